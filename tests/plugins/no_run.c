/* Has nothing to run. */
#include "mock.h"

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("no_run", .run = NULL);
