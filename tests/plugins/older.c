/* From a time when the descriptor ended before `undo`, and an option before its bounds. */
#include "mock.h"

struct old_option {
	uint32_t type, flags;
	const char *name, *summary, *fallback, *choices;
	size_t offset;
};

struct old_stage {
	uint32_t size, abi;
	const char *name, *version, *summary;
	uint32_t flags, n_options, option_size, config_size;
	const struct old_option *options;
	int32_t (*create)(const struct sl_host *, const void *, void **);
	void (*destroy)(void *);
	int32_t (*run)(void *, struct sl_task *);
};

static const struct old_option options[] = {
	{.type = SL_OPTION_INT, .name = "one", .summary = "first", .fallback = "1", .offset = 0},
	{.type = SL_OPTION_INT, .name = "two", .summary = "second", .fallback = "2", .offset = 8},
};

SL_EXPORT const struct old_stage stageline_stage = {sizeof(struct old_stage), SL_ABI, "older",
	"0.9", "a mock", 0, 2, sizeof(struct old_option), 16, options, mock_create, NULL, mock_run};
