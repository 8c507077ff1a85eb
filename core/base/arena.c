/* Memory that is freed in one go. Chunks grow from 4 KiB to 64 KiB; a larger wish gets its own. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>

enum { CHUNK_MIN = 4096, CHUNK_MAX = 65536 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	alignas(max_align_t) char bytes[];
};

static struct arena_chunk *chunk_add(struct arena *a, size_t wish)
{
	size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_MIN;
	struct arena_chunk *c;

	if (size > CHUNK_MAX)
		size = CHUNK_MAX;
	if (size < wish)
		size = wish;
	c = malloc(sizeof *c + size);
	if (!c)
		return NULL;
	c->size = size;
	c->next = a->chunks;
	a->chunks = c;
	a->used = 0;
	a->total += size;
	return c;
}

/* Not zeroed. */
static void *take(struct arena *a, size_t size)
{
	size_t align = alignof(max_align_t);
	size_t want = (size + align - 1) & ~(align - 1);
	void *p;

	if (want < size || want > SIZE_MAX / 4)
		return NULL;
	if ((!a->chunks || a->chunks->size - a->used < want) && !chunk_add(a, want))
		return NULL;
	p = a->chunks->bytes + a->used;
	a->used += want;
	return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
	void *p = take(a, size);

	return p ? memset(p, 0, size) : NULL;
}

bool arena_copy(struct arena *a, struct str s, struct str *ret)
{
	char *p;

	if (!s.p) {
		*ret = (struct str){NULL, 0};
		return true;
	}
	p = take(a, s.n + 1);
	if (!p)
		return false;
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	*ret = (struct str){p, s.n};
	return true;
}

char *arena_strdup(struct arena *a, const char *s)
{
	struct str copy;

	if (!s || !arena_copy(a, str_of(s), &copy))
		return NULL;
	return (char *)copy.p;
}

void arena_init(struct arena *a, void *memory, size_t size)
{
	struct arena_chunk *c = memory;

	*c = (struct arena_chunk){.size = size - sizeof *c};
	*a = (struct arena){.chunks = c, .lent = c, .total = c->size};
}

/* All but `keep`, which may be NULL. */
static void free_chunks(struct arena *a, struct arena_chunk *keep)
{
	while (a->chunks) {
		struct arena_chunk *next = a->chunks->next;

		if (a->chunks != keep && a->chunks != a->lent)
			free(a->chunks);
		a->chunks = next;
	}
}

void arena_clear(struct arena *a)
{
	struct arena_chunk *keep = a->lent ? a->lent : a->chunks;

	if (keep && keep->size > CHUNK_MAX)
		keep = NULL;
	free_chunks(a, keep);
	*a = (struct arena){.chunks = keep, .lent = a->lent, .total = keep ? keep->size : 0};
	if (keep)
		keep->next = NULL;
}

void arena_fini(struct arena *a)
{
	free_chunks(a, NULL);
	*a = (struct arena){0};
}
