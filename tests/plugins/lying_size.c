/* Says that its descriptor is longer than the symbol is. */
#include "mock.h"

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("lying_size", .size = 2048);
