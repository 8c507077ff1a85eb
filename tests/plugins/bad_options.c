/* An option whose field lies outside the config struct. */
#include "mock.h"

static const struct sl_option options[] = {
	{.type = SL_OPTION_INT, .name = "one", .summary = "first", .offset = 64},
};

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("bad_options", .n_options = 1,
	.option_size = sizeof(struct sl_option), .config_size = 8, .options = options);
