/* What the mock plugins of the loader tests share: a descriptor that does nothing, right in every field
 * that the mock does not name. */
#pragma once

#include "stageline/stage.h"

static inline int32_t mock_create(const struct sl_host *host, const void *config, void **ret_self)
{
	(void)config;
	*ret_self = (void *)host;
	return 0;
}

static inline int32_t mock_run(void *self, struct sl_task *task)
{
	(void)self;
	(void)task;
	return SL_DONE;
}

#define MOCK_STAGE(its_name, ...)                                                                  \
	{                                                                                          \
		.size = sizeof(struct sl_stage), .abi = SL_ABI, .name = its_name, .version = "1",  \
		.summary = "a mock", .create = mock_create, .run = mock_run, __VA_ARGS__           \
	}
