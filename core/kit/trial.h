/* A trial: one plugin, one order, no engine. In a child process, so that it may crash or hang. */
#pragma once

#include "model/pipeline.h"

enum { TRIAL_RUNS_MAX = 1000000 };

struct trial {
	const char *file;		 /* the plugin's */
	const struct pipeline *pipeline; /* for its catalogue; NULL: none */
	const char *stage;		 /* name in the pipeline; NULL: the plugin's name */
	const struct yaml_node *config;	 /* NULL: all defaults */
	const char *config_name;	 /* for faults */
	int config_shift;   /* columns that stand before the first line of the config */
	const cJSON *order; /* an object */
	struct str results; /* JSON object */
	struct str signal;  /* JSON; may be absent */
	bool is_undo;
	bool is_fast; /* time that SL_LATER asks for is skipped */
	int64_t attempt, n_runs, timeout_ms;
};

/* {"verdict", "message", "result", "effects", "delay_ms", "turns", "waited_ms"} of the last run, and of all:
 * {"runs", "verdicts": {WORD: n}, "time_us": {"min", "median", "max"}}; after a crash also "signal" (its name, or
 * null) and "exit". Returned owned. NULL: it could not start; *ret_status is then the status for the command, and
 * the reason is in `e`, or was printed already when that is empty. */
cJSON *trial_run(const struct trial *t, int *ret_status, struct err *e);
