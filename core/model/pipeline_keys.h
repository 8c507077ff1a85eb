/* The keys of the pipeline file: the tables that read it and print its schema. */
#pragma once

#include "base/option.h"
#include "model/pipeline.h"

enum { PIPELINE_NAME_MAX = 64, STATE_KEY_MAX = 256 };

/* What the top of the file says. `stages`, `catalog` and `state` are read from the tree. */
struct pipeline_head {
	const char *name;
	struct stage_spec defaults;
};

/* What one entry of `stages` says. */
struct stage_entry {
	struct stage_spec spec;
	struct sl_list after; /* the names; their places are in the tree */
};

struct catalog_entry {
	const char *id, *name;
};

extern const struct option_map pipeline_map; /* struct pipeline_head */
extern const struct option_map stage_map;    /* struct stage_entry */
extern const struct option_map catalog_map;  /* struct catalog_entry */

/* The catalogue as JSON text in `arena`. Faults are placed. -EINVAL, -ENOMEM. */
int catalog_read(const struct yaml_node *list, struct arena *arena, struct str *ret,
	struct yaml_faults *faults);
/* Checks keys and values of `state`. */
void state_check(const struct yaml_node *map, struct yaml_faults *faults);

/* Completes what a stage, or `defaults`, says about retries, breaker and rate: what tables cannot say.
 * `inherited`: the policies of `defaults`; NULL for `defaults` itself. */
void policies_complete(
	struct stage_spec *s, const struct stage_spec *inherited, struct yaml_faults *faults);

/* [a-z][a-z0-9_-]*, at most PIPELINE_NAME_MAX. */
bool pipeline_is_name(const char *s);
/* Names that clash, words that are taken, stages that wait for nobody known or for each other.
 * Sets `after` and the words that were left out. -ENOMEM. */
int stages_connect(
	struct stage_spec *specs, size_t n, struct arena *arena, struct yaml_faults *faults);
