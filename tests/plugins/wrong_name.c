/* Calls itself other than its file. */
#include "mock.h"

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("somebody");
