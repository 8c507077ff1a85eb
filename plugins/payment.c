/* Payment: captures the order's total with a simulated bank, and gives it back. Keeps two ledgers in the
 * state, in minor units: payments/captured and payments/refunded. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "money.h"
#include "simulated.h"

struct payment_config {
	struct simulated sim;
};

struct payment {
	const struct sl_host *host;
	const struct payment_config *config;
};

static int32_t payment_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct payment *p = malloc(sizeof *p);

	if (!p) {
		host->log(host, 0, "no memory");
		return -ENOMEM;
	}
	*p = (struct payment){host, config};
	*ret_self = p;
	return 0;
}

static int set_reference(const struct sl_host *host, struct sl_task *task, const char *member,
	const char *prefix, int64_t minor)
{
	char reference[SIMULATED_REFERENCE_SIZE], json[128];
	int n;

	simulated_reference(prefix, host->idempotency_key(task), reference);
	n = snprintf(json, sizeof json, "{\"%s\":\"%s\",\"amount\":%" PRId64 ".%02" PRId64 "}",
		member, reference, minor / 100, minor % 100);
	return host->set_result(task, json, (size_t)n);
}

/* What the host gives is always JSON: without a tree of it there was no memory. */
static int32_t have_no_memory(const struct payment *p, struct sl_task *task)
{
	p->host->set_message(task, "no memory");
	return SL_RETRY;
}

/* -EINVAL: it is no amount of money. -ENOMEM. */
static int read_total(const struct payment *p, struct sl_task *task, int64_t *ret_minor)
{
	size_t len;
	const char *text = p->host->order(task, &len);
	cJSON *order = cJSON_ParseWithLength(text, len);
	bool ok = money_read(cJSON_GetObjectItemCaseSensitive(order, "total_amount"), ret_minor) &&
		  *ret_minor >= 0;
	int r = ok ? 0 : order ? -EINVAL : -ENOMEM;

	cJSON_Delete(order);
	return r;
}

static int32_t payment_run(void *self, struct sl_task *task)
{
	struct payment *p = self;
	int64_t minor;
	int r;
	int32_t verdict = simulated_step(&p->config->sim, p->host, task,
		(struct simulated_words){"Payment declined", "the bank did not answer"});

	if (verdict != SIMULATED_GO_ON)
		return verdict;
	r = read_total(p, task, &minor);
	if (r == -ENOMEM)
		return have_no_memory(p, task);
	if (r < 0) {
		p->host->set_message(task, "total_amount is no amount of money");
		return SL_FAIL;
	}
	p->host->effect_add(task, "payments/captured", minor, INT64_MIN);
	set_reference(p->host, task, "transaction_id", "TXN", minor);
	p->host->set_message(task, "Payment captured");
	return SL_DONE;
}

/* What run captured, as its result says. -ENOENT: it never came to that. -ENOMEM. */
static int read_captured(const struct payment *p, struct sl_task *task, int64_t *ret_minor)
{
	size_t len;
	const char *text = p->host->results(task, &len);
	cJSON *results = cJSON_ParseWithLength(text, len);
	const cJSON *own = cJSON_GetObjectItemCaseSensitive(results, p->host->stage_name(p->host));
	bool ok = money_read(cJSON_GetObjectItemCaseSensitive(own, "amount"), ret_minor);
	int r = ok ? 0 : results ? -ENOENT : -ENOMEM;

	cJSON_Delete(results);
	return r;
}

static int32_t payment_undo(void *self, struct sl_task *task)
{
	struct payment *p = self;
	char message[64];
	int64_t minor;
	int r;
	int32_t verdict = simulated_step(&p->config->sim, p->host, task,
		(struct simulated_words){NULL, "the bank did not answer"});

	if (verdict != SIMULATED_GO_ON)
		return verdict;
	r = read_captured(p, task, &minor);
	if (r == -ENOMEM)
		return have_no_memory(p, task);
	if (r < 0) {
		p->host->set_message(task, "Nothing was captured");
		return SL_DONE;
	}
	p->host->effect_add(task, "payments/refunded", minor, INT64_MIN);
	set_reference(p->host, task, "refund_id", "RFD", minor);
	snprintf(message, sizeof message, "Refunded %" PRId64 ".%02" PRId64, minor / 100,
		minor % 100);
	p->host->set_message(task, message);
	return SL_DONE;
}

static const struct sl_option options[] = {SIMULATED_OPTIONS(struct payment_config)};

SL_EXPORT const struct sl_stage stageline_stage = {
	.size = sizeof(struct sl_stage),
	.abi = SL_ABI,
	.name = "payment",
	.version = "1.0",
	.summary = "Captures the total with a simulated bank; refunds it on undo",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS,
	.n_options = sizeof options / sizeof options[0],
	.option_size = sizeof(struct sl_option),
	.config_size = sizeof(struct payment_config),
	.options = options,
	.create = payment_create,
	.destroy = free,
	.run = payment_run,
	.undo = payment_undo,
};
