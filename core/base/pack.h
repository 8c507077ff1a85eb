/* Packed values: numbers in little-endian order and counted texts, one after the other, as stages' processes and
 * workers on other machines are told them.
 *
 * A text is its length 4 (2^32-1: absent), its bytes, a zero byte. */
#pragma once

#include "base/buf.h"

void pack_u32(struct buf *out, uint32_t v);
void pack_u64(struct buf *out, uint64_t v);
void pack_str(struct buf *out, struct str s); /* absent stays absent */

static inline void pack_text(struct buf *out, const char *s)
{
	pack_str(out, str_of(s));
}

/* Reads what is not believed: after the first thing that does not fit it has failed, and gives zeros. */
struct unpack {
	struct str rest;
	bool failed;
};

uint32_t unpack_u32(struct unpack *r);
uint64_t unpack_u64(struct unpack *r);
/* The next `n` bytes as they are; NULL: there are not so many. */
const char *unpack_bytes(struct unpack *r, size_t n);
/* Borrowed; absent when it was, or when the reader has failed. A zero byte follows it. */
struct str unpack_str(struct unpack *r);
/* A C string: no zero byte in it. NULL: absent. */
const char *unpack_text(struct unpack *r);
/* -EPROTO when it failed or something is left over. */
int unpack_end(const struct unpack *r);
