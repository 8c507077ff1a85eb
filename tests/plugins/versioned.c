/* Two versions of one stage, whose message says which one ran. */
#include "mock.h"

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "one"
#endif

static const struct sl_host *the_host(void *self)
{
	return self;
}

static int32_t versioned_create(const struct sl_host *host, const void *config, void **ret_self)
{
	(void)config;
	*ret_self = (void *)(uintptr_t)host;
	return 0;
}

static int32_t versioned_run(void *self, struct sl_task *task)
{
	the_host(self)->set_message(task, PLUGIN_VERSION);
	return SL_DONE;
}

SL_EXPORT const struct sl_stage stageline_stage =
	MOCK_STAGE("versioned", .flags = SL_STAGE_CONCURRENT, .version = PLUGIN_VERSION,
		.create = versioned_create, .run = versioned_run);
