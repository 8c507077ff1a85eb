/* For another major version of the ABI. */
#include "mock.h"

SL_EXPORT const struct sl_stage stageline_stage =
	MOCK_STAGE("other_major", .abi = (uint32_t)(SL_ABI_MAJOR + 1) << 16);
