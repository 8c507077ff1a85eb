/* A growing byte buffer with a sticky failure: append as often as needed, check `failed` once.
 * The bytes always end in a NUL that is not counted. */
#pragma once

#include <stdint.h>

#include "base/str.h"

struct buf {
	char *data;
	size_t len, cap;
	bool failed; /* an allocation failed; the content is incomplete */
};

/* Makes room for `n` more bytes and returns where they go; add them to `len` yourself. */
char *buf_reserve(struct buf *b, size_t n);

static inline void buf_add(struct buf *b, const void *data, size_t n)
{
	char *p = b->cap - b->len > n && !b->failed ? b->data + b->len : buf_reserve(b, n);

	if (!p || !n)
		return;
	memcpy(p, data, n);
	b->len += n;
	p[n] = '\0';
}

static inline void buf_str(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}

static inline void buf_text(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

static inline void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

/* The decimal digits. */
void buf_int(struct buf *b, int64_t v);
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_clear(struct buf *b);
void buf_fini(struct buf *b);
/* The bytes as a string of their own, owned by the caller; NULL when the buffer failed. */
char *buf_steal(struct buf *b, size_t *ret_len);

static inline struct str buf_view(const struct buf *b)
{
	return (struct str){b->data ? b->data : "", b->len};
}
