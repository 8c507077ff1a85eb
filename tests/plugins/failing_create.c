/* Cannot start, and says why. */
#include <errno.h>

#include "mock.h"

static int32_t fail(const struct sl_host *host, const void *config, void **ret_self)
{
	(void)config;
	(void)ret_self;
	host->log(host, 0, "the licence has expired");
	return -EACCES;
}

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("failing_create", .create = fail);
