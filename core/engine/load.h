/* Loading a pipeline: what `serve`, `reload` and `check` do before anything starts. */
#pragma once

#include "model/pipeline.h"
#include "stage/stage.h"

/* Reads, parses and checks the file against the plugins in `folders`. Everything wrong inside the file
 * goes to `faults` (-EINVAL, all in one go) and the first of it to `e`; a file that cannot be read at
 * all is in `e` alone. Plugins that it names are loaded; with `is_rehearsed`, each is started once in a process of its
 * own (stage_rehearse()), else nothing is. [load]  Returns owned. */
int pipeline_load(const char *path, const struct plugin_folders *folders, bool is_rehearsed,
	struct pipeline **ret, struct yaml_faults *faults, struct err *e);
