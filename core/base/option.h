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

/* A map of a file of our own: its options, and the keys whose values are more than an option. */
struct option_map {
	const struct sl_option *options;
	size_t n_options;
	const struct option_key *keys;
	size_t n_keys;
	/* A map whose options may be written here too, into the same struct. They have no defaults
	 * here: what is not written stays as `dst` holds it. May be NULL. */
	const struct option_map *inherits;
	/* The schema of values under any other key; NULL: other keys are faults. */
	void (*others)(struct json_writer *w);
};

/* A key whose value is a map read into a struct inside `dst`, or something that the caller reads. */
struct option_key {
	const char *name, *summary;
	const struct option_map *map;	       /* NULL: the caller reads it */
	size_t offset;			       /* of the map's struct */
	void (*schema)(struct json_writer *w); /* without `map`: the members of its schema */
	bool is_required;
	const char *word;   /* may be written instead of the map; NULL: none */
	size_t word_offset; /* of the bool that says whether it was, or is by default */
};

/* As option_read(), for a map with all that is inside. `dst` is as large as the options say. */
int option_map_read(const struct option_map *map, const struct yaml_node *node, void *dst,
	struct arena *arena, struct yaml_faults *faults);
/* The members of the map's JSON Schema, into the open object: type, properties, required … */
void option_map_schema(const struct option_map *map, struct json_writer *w);

/* Values with units, all of the text or -EINVAL. Durations: ms, s, m, h, d. Sizes: B, KiB, MiB, GiB.
 * A decimal fraction is accepted when the result is whole ("1.5s"). Ranges: "1s..2s", or one value
 * for both ends. */
int option_parse_duration(struct str text, int64_t *ret_ms);
int option_parse_size(struct str text, int64_t *ret_bytes);
int option_parse_range(struct str text, struct sl_range *ret_ms);

enum { OPTION_UNIT_TEXT_SIZE = 24 };

/* The reverse, in the largest unit that is exact: "2m", "1500ms", "64KiB". */
void option_duration_text(int64_t ms, char out[OPTION_UNIT_TEXT_SIZE]);
void option_size_text(int64_t bytes, char out[OPTION_UNIT_TEXT_SIZE]);

enum { OPTION_BOUNDS_SIZE = 2 * OPTION_UNIT_TEXT_SIZE + 8 };

/* "1s to 1d", "0 to 1"; empty: it has no bounds. */
void option_bounds_text(const struct sl_option *o, char out[OPTION_BOUNDS_SIZE]);

/* For a manual page, in mdoc(7): a list of the map's keys with what they are, nested as they are. */
void option_manual(const struct sl_option *table, size_t n, FILE *out);
void option_map_manual(const struct option_map *map, FILE *out);
/* Text of a page: what roff would take for its own stands as it is. */
void option_manual_text(const char *text, FILE *out);
