/* The inside of a condition: for what reads one, and for what asks one. */
#pragma once

#include "model/condition.h"

/* What a comparison may be made with. */
enum literal { LITERAL_SCALAR, LITERAL_NUMBER, LITERAL_TEXT, LITERAL_BOOL, LITERAL_LIST };

/* One row for each of them. */
extern const struct literal_kind {
	bool (*fits)(const struct yaml_node *n);
	const char *want;		       /* for people */
	void (*schema)(struct json_writer *w); /* the members of its JSON Schema */
} literal_kinds[];

/* One way of comparing. `value` is never NULL and never a JSON null. */
struct comparison {
	const char *name; /* its key */
	enum literal wants;
	bool (*holds)(const struct yaml_node *literal, const cJSON *value);
	bool is_opposite;	 /* the condition holds when `holds` says no for every value */
	const char *is, *is_not; /* in words, for what `holds` says */
};

extern const struct comparison comparisons[]; /* ends in a row without a name */

struct condition {
	bool is_opposite; /* holds when what is said below does not */

	const struct comparison *comparison; /* NULL: a combination */
	const struct yaml_node *field, *literal;
	const char **path;
	size_t n_path;
	bool reads_results; /* the path starts with a stage's name */

	bool is_any; /* one of the children is enough; else all must hold */
	const struct condition *first, *next;
};
