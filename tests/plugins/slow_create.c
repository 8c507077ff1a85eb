/* A stage that takes a second to start. */
#include <unistd.h>

#include "mock.h"

static int32_t slow_create(const struct sl_host *host, const void *config, void **ret_self)
{
	(void)host, (void)config;
	*ret_self = NULL;
	sleep(1);
	return 0;
}

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("slow_create", .create = slow_create);
