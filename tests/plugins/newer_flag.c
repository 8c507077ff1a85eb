/* Sets a flag that the host does not know. */
#include "mock.h"

SL_EXPORT const struct sl_stage stageline_stage =
	MOCK_STAGE("newer_flag", .abi = SL_ABI + 1, .flags = 0x4000);
