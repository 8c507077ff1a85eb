/* From the future, and in need of it: a field beyond what the host knows is set. */
#include "mock.h"

struct new_stage {
	struct sl_stage stage;
	int32_t (*pause)(void *self);
};

static int32_t pause_it(void *self)
{
	(void)self;
	return 0;
}

SL_EXPORT const struct new_stage stageline_stage = {
	.stage = MOCK_STAGE("newer_needy", .size = sizeof(struct new_stage), .abi = SL_ABI + 7),
	.pause = pause_it,
};
