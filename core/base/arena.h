/* Memory that is freed in one go: what belongs to one batch lives in the batch's arena.
 * Not thread-safe; an arena has one owner at a time. */
#pragma once

#include "base/str.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	struct arena_chunk *lent; /* not to be freed; NULL: none */
	size_t used;		  /* in the first chunk */
	size_t total;
};

/* An arena that begins in memory that is there already, aligned for any type, and outlives it. */
void arena_init(struct arena *a, void *memory, size_t size);
/* Zeroed memory, aligned for any type; NULL without memory. */
void *arena_alloc(struct arena *a, size_t size);
/* A copy with a NUL behind it; an absent str stays absent. Returns false without memory. */
bool arena_copy(struct arena *a, struct str s, struct str *ret);
char *arena_strdup(struct arena *a, const char *s);
/* Gives back what was allocated, but keeps a chunk for what comes next: the one that was lent. */
void arena_clear(struct arena *a);
void arena_fini(struct arena *a);
