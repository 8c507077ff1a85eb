/* Changes the world and cannot take it back. */
#include "mock.h"

SL_EXPORT const struct sl_stage stageline_stage =
	MOCK_STAGE("effectful", .flags = SL_STAGE_EFFECTS);
