/* `stageline pipeline` watch, history and errors: the stages as they move, and what went wrong there last. */
#pragma once

#include "cli/remote.h"

/* Exit status of the action: 0 also when a signal ends a watch. */
int pipeline_watch(struct remote *r);
int pipeline_history(struct remote *r);
int pipeline_errors(struct remote *r);

/* How a stage is, in a word for people. `live` has `served_by` and `paused`. */
const char *pipeline_stage_word(const cJSON *live, bool is_unhealthy);
/* Nobody takes its tasks. */
bool pipeline_is_deserted(const cJSON *live);
/* Why it cannot run; NULL: it can. */
const char *pipeline_trouble(const cJSON *live);
