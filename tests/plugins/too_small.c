/* Says that its descriptor ends before what every version has. */
#include "mock.h"

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("too_small", .size = 16);
