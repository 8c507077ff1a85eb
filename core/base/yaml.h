/* YAML: a file as a tree of nodes that know their line and column, and the list of what is wrong.
 *
 * YAML 1.2 core schema: plain scalars resolve to null, bool, int, float or string; quoted ones are
 * strings ("on", "yes", "0777" are no booleans and no octals). One document. Duplicate keys, keys that
 * are no strings, recursive aliases and trees that aliases blow up beyond a bound are errors. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

enum { YAML_FILE_MAX = 1 << 20, YAML_NODES_MAX = 50000, YAML_DEPTH_MAX = 32, YAML_FAULTS_MAX = 50 };

enum yaml_type { YAML_NULL, YAML_BOOL, YAML_INT, YAML_FLOAT, YAML_STRING, YAML_LIST, YAML_MAP };

struct yaml_node {
	enum yaml_type type;
	int line, column; /* of its first character, from 1; of an alias, where it stands */
	struct str text;  /* scalars: as written (after unquoting) */
	bool boolean;	  /* YAML_BOOL */
	int64_t integer;  /* YAML_INT */
	double number;	  /* YAML_INT and YAML_FLOAT; may be .inf or .nan */
	struct str key;	  /* when it is a member of a map */
	int key_line, key_column;
	struct yaml_node *first, *next; /* children of lists and maps; the next sibling */
	size_t n_children;
};

/* One wrong thing. `text` is the sentence without the place. */
struct yaml_fault {
	int line, column; /* 0: the file as a whole */
	const char *text;
};

/* All wrong things of one file, in the order found; past YAML_FAULTS_MAX only counted. The same sentence
 * at the same place counts once. Zeroed before first use. */
struct yaml_faults {
	struct arena arena;
	struct yaml_fault list[YAML_FAULTS_MAX];
	size_t n; /* found, may exceed YAML_FAULTS_MAX */
};

struct yaml {
	struct arena arena;
	struct yaml_node *root; /* borrowed from the arena; a NULL node for an empty file */
	char *source;		/* the text, NUL-terminated */
	size_t source_len;
};

/* Parses `text`. On 0 the tree is complete; faults found on the way (duplicate keys) are in `faults`
 * all the same. -EINVAL: not YAML, the reason is in `faults`. -ENOMEM. Returns owned. */
int yaml_parse(struct str text, struct yaml **ret, struct yaml_faults *faults);
/* Reads a file of at most YAML_FILE_MAX bytes into a string owned by the caller. */
int yaml_read(const char *path, char **ret, size_t *ret_len, struct err *e);
void yaml_destroy(struct yaml *y); /* not yaml_free: libyaml exports that name */

static inline void yaml_freep(struct yaml **y)
{
	yaml_destroy(*y);
}

/* Sets type and value from `node->text` as those of a plain scalar. false: a number that does not fit; the
 * type is YAML_FLOAT then. */
bool yaml_resolve(struct yaml_node *node);

/* The member of a map, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* `at` may be NULL: the file as a whole. */
void yaml_fault(struct yaml_faults *f, const struct yaml_node *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, placed at the key of a map member. */
void yaml_fault_key(struct yaml_faults *f, const struct yaml_node *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* `file:line:col: error: text`, one line each, sorted by place, and how many were left out. */
void yaml_faults_print(const struct yaml_faults *f, const char *file, FILE *out);
/* The same as a JSON array of {file, line, column, detail}; line and column are absent for the file as a whole. */
void yaml_faults_json(const struct yaml_faults *f, const char *file, struct json_writer *w);
/* The first fault as "line:col: text", for logs and API. */
void yaml_faults_first(const struct yaml_faults *f, struct err *e);
void yaml_faults_fini(struct yaml_faults *f);

/* The candidate nearest to `word` when it is near enough to be a slip (at most a third of its letters,
 * transposition counts one), else NULL. `candidates` ends in NULL. */
const char *yaml_suggest(struct str word, const char *const *candidates);
