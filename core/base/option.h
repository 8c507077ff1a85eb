/* Options: tables of typed fields that fill a struct from a YAML map.
 *
 * One table (`struct sl_option`, the same type that plugins carry) serves reading with errors that
 * name line and column, the JSON Schema for editors, and the printed documentation. */
#pragma once

#include "base/json.h"
#include "base/yaml.h"
#include "stageline/stage.h"

/* Fills `dst` (zeroed by the caller, `size` bytes) from the map `node` by the table: defaults first,
 * then what is written. `node` may be NULL: all defaults. Unknown keys (with a suggestion), wrong
 * types, values out of bounds and missing required options go to `faults`, placed.
 * Strings and lists are copied into `arena`. `skip` names keys that others read (NULL-terminated, may
 * be NULL). Returns 0, -EINVAL when faults were added, -ENOMEM. */
int option_read(const struct sl_option *table, size_t n, const struct yaml_node *node,
	const char *const *skip, void *dst, size_t size, struct arena *arena,
	struct yaml_faults *faults);

/* The same for one value given as text, as on a command line. `e` says what is wrong with it. */
int option_read_text(const struct sl_option *option, struct str text, void *dst, size_t size,
	struct arena *arena, struct err *e);

/* Whether the table itself is sound: known types, fields inside `size`, aligned, no overlap, names
 * unique, defaults that read. Used on plugins before anything else trusts them. -EINVAL with reason. */
int option_check_table(const struct sl_option *table, size_t n, size_t size, struct err *e);

/* The "properties" object of a JSON Schema (draft 2020-12): type, description, default, bounds. */
void option_schema(const struct sl_option *table, size_t n, struct json_writer *w);
/* A table for people: name, type, default, what it is. */
void option_print(const struct sl_option *table, size_t n, FILE *out);

/* Values with units, all of the text or -EINVAL. Durations: ms, s, m, h, d. Sizes: B, KiB, MiB, GiB.
 * Ranges: "1s..2s", or one value for both ends. */
int option_parse_duration(struct str text, int64_t *ret_ms);
int option_parse_size(struct str text, int64_t *ret_bytes);
