/* A stage that runs again in a retrial: its process, asked one task at a time. */
#pragma once

#include "stage/stage.h"

struct retrial_stage;

/* `p` has it made a stage of a retrial (stage_confine()), and outlives it. */
int retrial_stage_create(const struct pipeline *p, size_t stage,
	const struct plugin_folders *folders, struct retrial_stage **ret, struct err *e);
void retrial_stage_destroy(struct retrial_stage *s);
/* Takes the task through its process and gives it back in *ret with its verdict; the end of the process is a verdict,
 * too. -ECHILD: it ends too often, and is not asked any more. -EIO: none can be started. The task is freed then. */
int retrial_stage_run(struct retrial_stage *s, struct task *t, struct task **ret, struct err *e);
