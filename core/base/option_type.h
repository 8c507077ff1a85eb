/* The types of options: one row each, used by reading, checking, schema and documentation. */
#pragma once

#include "base/option.h"

/* One value on its way into its field. */
struct option_value {
	const struct sl_option *option;
	const struct yaml_node *node;
	bool is_text; /* given as text, not by YAML: a string is whatever it says */
	void *field;
	struct arena *arena;
	const struct yaml_node *wrong; /* where the fault is, when not at `node` */
	struct err *e;
};

struct option_type {
	const char *name; /* for people */
	size_t size, align;
	int (*read)(struct option_value *v); /* -EINVAL and `e`, -ENOMEM */
	/* The members of the value's JSON Schema, but for description and default. */
	void (*schema)(const struct sl_option *o, struct json_writer *w);
	void (*bound_text)(int64_t value, char out[OPTION_UNIT_TEXT_SIZE]); /* NULL: no bounds */
};

/* NULL: no such type. */
const struct option_type *option_type(uint32_t type);
