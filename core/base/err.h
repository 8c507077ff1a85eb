/* Errors that a person will read.
 *
 * A function that can fail returns 0 (or a count) or a negative errno. Where the reason matters to a
 * person it also takes a `struct err *` last; callers above add context with err_wrap(). NULL is
 * accepted wherever a `struct err *` is, and then only the number travels. */
#pragma once

#include <errno.h>
#include <stdarg.h>

enum { ERR_TEXT_MAX = 512 };

struct err {
	int code; /* negative errno, 0: no error yet */
	char text[ERR_TEXT_MAX];
};

/* Sets code and text, returns `code`. `code` must be negative. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the text that is there, returns `code`. */
int err_wrap(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The text, or the errno's own words when none was set. Borrowed from `e`. */
const char *err_text(const struct err *e);
