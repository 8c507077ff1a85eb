/* An option with a field that the host does not know, in use. */
#include "mock.h"

struct new_option {
	struct sl_option option;
	const char *unit;
};

static const struct new_option options[] = {
	{{.type = SL_OPTION_INT, .name = "one", .summary = "first", .offset = 0}, "kg"},
};

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("newer_option", .abi = SL_ABI + 1,
	.n_options = 1, .option_size = sizeof(struct new_option), .config_size = 8,
	.options = &options[0].option);
