/* Identifiers: UUID version 7 (RFC 9562), so that ids sort by the time they were made. */
#pragma once

#include <stdint.h>

#include "base/str.h"

enum { ID_TEXT_SIZE = 37 };

struct id {
	uint8_t bytes[16];
};

/* A new id for the given wall time; the rest is random (RFC 9562, 6.2 method 3: sub-millisecond
 * time in rand_a). Any thread. */
void id_create(struct id *ret, int64_t wall_us);
void id_text(const struct id *id, char out[ID_TEXT_SIZE]);
/* 36 characters, hyphens in place, either case. -EINVAL for all else. */
int id_parse(struct str text, struct id *ret);

static inline bool id_eq(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Random bytes from the kernel, through a buffer of the calling thread. */
void id_random(void *out, size_t n);
/* For tests: random bytes come from there, to be had again. NULL: the kernel's again. */
void id_set_random(void (*source)(void *out, size_t n));
