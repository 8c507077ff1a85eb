/* From the future, using nothing of it: descriptor and options are longer, and zero where they are. */
#include "mock.h"

struct new_option {
	struct sl_option option;
	const char *unit;
};

struct new_stage {
	struct sl_stage stage;
	int32_t (*pause)(void *self);
	uint64_t more[7];
};

static const struct new_option options[] = {
	{{.type = SL_OPTION_INT, .name = "one", .summary = "first", .fallback = "1", .offset = 0},
		NULL},
	{{.type = SL_OPTION_INT, .name = "two", .summary = "second", .fallback = "2", .offset = 8},
		NULL},
};

SL_EXPORT const struct new_stage stageline_stage = {
	.stage = {.size = sizeof(struct new_stage),
		.abi = SL_ABI + 7,
		.name = "newer_quiet",
		.version = "2",
		.summary = "a mock",
		.n_options = 2,
		.option_size = sizeof(struct new_option),
		.config_size = 16,
		.options = &options[0].option,
		.create = mock_create,
		.run = mock_run},
};
