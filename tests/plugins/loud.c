/* A plugin whose constructor leaves a trace: the file that STAGELINE_TEST_TRACE names. Linked in several ways. */
#include <stdio.h>
#include <stdlib.h>

#include "mock.h"

struct config {
	const char *text;
	int64_t speed, pause_ms;
};

__attribute__((constructor)) static void leave_a_trace(void)
{
	const char *path = getenv("STAGELINE_TEST_TRACE");
	FILE *f = path ? fopen(path, "w") : NULL;

	if (f)
		fclose(f);
}

static const struct sl_option options[] = {
	{.type = SL_OPTION_STRING,
		.flags = SL_OPTION_REQUIRED,
		.name = "text",
		.summary = "what is said",
		.offset = offsetof(struct config, text)},
	{.type = SL_OPTION_CHOICE,
		.name = "speed",
		.summary = "how fast",
		.fallback = "slow",
		.choices = "slow|fast",
		.offset = offsetof(struct config, speed)},
	{.type = SL_OPTION_DURATION,
		.name = "pause",
		.summary = "how long in between",
		.fallback = "5s",
		.offset = offsetof(struct config, pause_ms),
		.min = 1000,
		.max = 60000},
};

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("loud", .version = "2.5",
	.summary = "Leaves a trace when it is loaded", .flags = SL_STAGE_CONCURRENT, .n_options = 3,
	.option_size = sizeof(struct sl_option), .config_size = sizeof(struct config),
	.options = options, .destroy = free, .undo = mock_run);
