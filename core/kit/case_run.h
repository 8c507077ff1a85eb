/* One case from its start to a verdict, in a child process and a folder of its own. */
#pragma once

#include "kit/cases.h"
#include "stage/stage.h"

struct case_setup {
	struct plugin_folders folders;
	int64_t silence_ms; /* real time; a case that takes longer is ended */
};

/* What became of it: {"name", "line", "passed", "status", "error", "virtual_ms", "real_ms",
 * "faults": [{"line", "column", "text"}], "events": [{"at_ms", …as the API shows them}]}, returned owned.
 * `p` is loaded and borrowed. NULL and `e`: it could not be run. */
cJSON *case_run(const struct case_setup *setup, struct pipeline *p, const struct case_file *file,
	const struct order_case *c, struct err *e);
