/* Loading a pipeline: what `serve`, `reload` and `check` do before anything starts. */
#pragma once

#include "model/pipeline.h"
#include "stage/stage.h"

/* Reads, parses and checks the file against the plugins in `folders`. Everything wrong inside the file
 * goes to `faults` (-EINVAL, all in one go) and the first of it to `e`; a file that cannot be read at
 * all is in `e` alone. Starts nothing; plugins that it names are loaded. [load]  Returns owned. */
int pipeline_load(const char *path, const struct plugin_folders *folders, struct pipeline **ret,
	struct yaml_faults *faults, struct err *e);
