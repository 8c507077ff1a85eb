/* Two versions of one plugin, for the test that replaces a file. */
#include "mock.h"

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "one"
#endif

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("replaced", .version = PLUGIN_VERSION);
