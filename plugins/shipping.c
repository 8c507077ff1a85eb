/* Shipping: books a parcel with a simulated carrier, and cancels it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "simulated.h"

struct shipping_config {
	struct simulated sim;
};

struct shipping {
	const struct sl_host *host;
	const struct shipping_config *config;
};

static int32_t shipping_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct shipping *s = malloc(sizeof *s);

	if (!s) {
		host->log(host, 0, "no memory");
		return -ENOMEM;
	}
	*s = (struct shipping){host, config};
	*ret_self = s;
	return 0;
}

static int32_t shipping_run(void *self, struct sl_task *task)
{
	static const char *const carriers[] = {"DHL", "UPS", "FedEx"};
	struct shipping *s = self;
	const char *key = s->host->idempotency_key(task);
	char reference[SIMULATED_REFERENCE_SIZE], json[128];
	int32_t verdict = simulated_step(&s->config->sim, s->host, task,
		(struct simulated_words){
			"No carrier delivers to this address", "the carrier did not answer"});
	int n;

	if (verdict != SIMULATED_GO_ON)
		return verdict;
	simulated_reference("TRK", key, reference);
	n = snprintf(json, sizeof json, "{\"tracking_number\":\"%s\",\"carrier\":\"%s\"}",
		reference, carriers[simulated_number(key) % 3]);
	s->host->set_result(task, json, (size_t)n);
	s->host->set_message(task, "Shipment created");
	return SL_DONE;
}

static int32_t shipping_undo(void *self, struct sl_task *task)
{
	struct shipping *s = self;
	int32_t verdict = simulated_step(&s->config->sim, s->host, task,
		(struct simulated_words){NULL, "the carrier did not answer"});

	if (verdict != SIMULATED_GO_ON)
		return verdict;
	s->host->set_message(task, "Shipment cancelled");
	return SL_DONE;
}

static const struct sl_option options[] = {SIMULATED_OPTIONS(struct shipping_config)};

SL_EXPORT const struct sl_stage stageline_stage = {
	.size = sizeof(struct sl_stage),
	.abi = SL_ABI,
	.name = "shipping",
	.version = "1.0",
	.summary = "Books a parcel with a simulated carrier; cancels it on undo",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS,
	.n_options = sizeof options / sizeof options[0],
	.option_size = sizeof(struct sl_option),
	.config_size = sizeof(struct shipping_config),
	.options = options,
	.create = shipping_create,
	.destroy = free,
	.run = shipping_run,
	.undo = shipping_undo,
};
