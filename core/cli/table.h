/* Tables on stdout: as wide as their content, and no wider than the terminal. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "base/buf.h"

struct table_column {
	const char *name;
	bool is_number; /* stands to the right */
	bool is_cut;	/* gives way when the terminal is narrow; ids and numbers do not */
	bool is_status; /* coloured by its word */
	bool is_extra;	/* left out when the terminal is too narrow, from left to right */
};

struct table {
	const struct table_column *columns; /* borrowed */
	size_t n_columns, n_cells;
	struct buf text; /* the cells, each with its NUL */
};

/* Cells are added row by row, from left to right. */
void table_add(struct table *t, const char *text); /* copies; NULL: empty */
void table_add_int(struct table *t, int64_t value);
/* A member of `object`: texts as they are, times to the second, all else as JSON. */
void table_add_member(struct table *t, const cJSON *object, const char *name);
/* For a table of two columns: a row per member, those of objects in it as "NAME MEMBER". */
void table_add_tree(struct table *t, const char *name, const cJSON *object);
/* -ENOMEM: nothing is printed. */
int table_print(const struct table *t);
void table_fini(struct table *t);
