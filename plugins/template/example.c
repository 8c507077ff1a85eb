/* The stage `example`: books points for an order in Stageline's state; its undo takes them back.
 *
 * Everything that a stage may ask of the host is in <stageline/stage.h>. The rules that bite: no file-level state,
 * one instance per entry of the pipeline; no sleeping, SL_LATER instead; a call may come twice, so whoever is
 * called from here gets idempotency_key(). */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <stageline/stage.h>

/* Filled from `config:` of the pipeline file by the table of options below. */
struct config {
	int64_t points;
};

struct instance {
	const struct sl_host *host;
	const struct config *config;
};

static int32_t create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct instance *i = malloc(sizeof *i);

	if (!i) {
		host->log(host, 0, "no memory");
		return -ENOMEM;
	}
	*i = (struct instance){host, config};
	*ret_self = i;
	return 0;
}

static int32_t run(void *self, struct sl_task *task)
{
	const struct instance *i = self;
	char result[64];
	int n = snprintf(result, sizeof result, "{\"points\":%lld}", (long long)i->config->points);

	i->host->effect_add(task, "points/given", i->config->points, INT64_MIN);
	i->host->set_result(task, result, (size_t)n);
	i->host->set_message(task, "Points booked");
	return SL_DONE;
}

/* Also called when it is not known whether run came to its end: effects of a run that did not are none. */
static int32_t undo(void *self, struct sl_task *task)
{
	const struct instance *i = self;

	i->host->effect_add(task, "points/given", -i->config->points, INT64_MIN);
	i->host->set_message(task, "Points taken back");
	return SL_DONE;
}

static const struct sl_option options[] = {
	{
		.type = SL_OPTION_INT,
		.name = "points",
		.summary = "points for each order",
		.fallback = "1",
		.offset = offsetof(struct config, points),
		.min = 1,
		.max = 1000000,
	},
};

SL_EXPORT const struct sl_stage stageline_stage = {
	.size = sizeof(struct sl_stage),
	.abi = SL_ABI,
	.name = "example",
	.version = "0.1",
	.summary = "Books points for an order; takes them back on undo",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS,
	.n_options = sizeof options / sizeof options[0],
	.option_size = sizeof(struct sl_option),
	.config_size = sizeof(struct config),
	.options = options,
	.create = create,
	.destroy = free,
	.run = run,
	.undo = undo,
};
