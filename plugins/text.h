/* Text that grows, for what stages write to the outside and to people. A failure to grow stays in `failed`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *p; /* NUL-terminated once anything was added */
	size_t n, cap;
	bool failed;
};

enum { TEXT_LINE_MAX = 1000 }; /* of what people read; the host takes 1024 bytes */

void text_fini(struct text *t);
void text_bytes(struct text *t, const char *p, size_t n);
void text_put(struct text *t, const char *s);
__attribute__((format(printf, 2, 3))) void text_fmt(struct text *t, const char *format, ...);
/* A JSON string. `s` is UTF-8. */
void text_json(struct text *t, const char *s);
/* Somebody else's bytes as part of one line for people: at most `max` bytes, a blank for each row of control
 * characters and a '?' for what is no UTF-8. */
void text_line(struct text *t, const char *p, size_t n, size_t max);

/* FNV-1a, for names that must be the same next time. */
uint64_t text_hash(const char *p, size_t n);
