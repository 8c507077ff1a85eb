/* A growing byte buffer with a sticky failure: append as often as needed, check `failed` once.
 * The bytes always end in a NUL that is not counted. */
#pragma once

#include "base/str.h"

struct buf {
	char *data;
	size_t len, cap;
	bool failed; /* an allocation failed; the content is incomplete */
};

void buf_add(struct buf *b, const void *data, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_text(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for `n` more bytes and returns where they go; add them to `len` yourself. */
char *buf_reserve(struct buf *b, size_t n);
void buf_clear(struct buf *b);
void buf_fini(struct buf *b);
/* The bytes as a string of their own, owned by the caller; NULL when the buffer failed. */
char *buf_steal(struct buf *b, size_t *ret_len);

static inline struct str buf_view(const struct buf *b)
{
	return (struct str){b->data ? b->data : "", b->len};
}
