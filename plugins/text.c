/* Text that grows. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 256 };

void text_fini(struct text *t)
{
	free(t->p);
	*t = (struct text){0};
}

static bool has_room(struct text *t, size_t n)
{
	size_t cap = t->cap ? t->cap : FIRST;
	char *grown;

	if (t->failed || n > SIZE_MAX / 4 - t->n)
		t->failed = true;
	if (t->failed)
		return false;
	while (cap < t->n + n + 1)
		cap *= 2;
	if (cap == t->cap)
		return true;
	grown = realloc(t->p, cap);
	t->failed = !grown;
	if (!grown)
		return false;
	t->p = grown;
	t->cap = cap;
	return true;
}

void text_bytes(struct text *t, const char *p, size_t n)
{
	if (!has_room(t, n))
		return;
	if (n)
		memcpy(t->p + t->n, p, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void text_put(struct text *t, const char *s)
{
	text_bytes(t, s, strlen(s));
}

void text_fmt(struct text *t, const char *format, ...)
{
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	if (n < 0)
		t->failed = true;
	else if (has_room(t, (size_t)n))
		t->n += (size_t)vsnprintf(t->p + t->n, (size_t)n + 1, format, again);
	va_end(again);
	va_end(args);
}

void text_json(struct text *t, const char *s)
{
	text_bytes(t, "\"", 1);
	for (const char *c = s; *c; c++) {
		if (*c == '"' || *c == '\\')
			text_bytes(t, "\\", 1);
		if ((unsigned char)*c < 0x20)
			text_fmt(t, "\\u%04x", (unsigned)*c);
		else
			text_bytes(t, c, 1);
	}
	text_bytes(t, "\"", 1);
}

/* Bytes of the well-formed UTF-8 character at `s`, 0 when it is none (RFC 3629, section 4). */
static size_t character(const unsigned char *s, size_t n)
{
	unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (len == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

void text_line(struct text *t, const char *p, size_t n, size_t max)
{
	const unsigned char *s = (const unsigned char *)p;
	size_t end = t->n + max, len;
	bool is_blank = true; /* none at the beginning */

	for (size_t i = 0; i < n && !t->failed; i += len) {
		len = character(s + i, n - i);
		if (t->n + (len ? len : 1) > end)
			break;
		if (len == 1 && (s[i] <= ' ' || s[i] == 0x7f)) {
			if (!is_blank)
				text_bytes(t, " ", 1);
			is_blank = true;
			continue;
		}
		text_bytes(t, len ? p + i : "?", len ? len : 1);
		is_blank = false;
		len = len ? len : 1;
	}
	if (is_blank && t->n > end - max)
		t->p[--t->n] = '\0';
}

uint64_t text_hash(const char *p, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 0x100000001b3;
	return h;
}
