/* The text of header fields: what RFC 9110 allows in it and how it is compared. */
#include "net/field.h"

#include <strings.h>

/* RFC 9110, 5.6.2: the characters of a token. */
static bool is_token_char(unsigned char c)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && memchr(others, c, sizeof others - 1));
}

size_t field_token_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_token_char((unsigned char)s.p[n]))
		n++;
	return n;
}

bool field_is_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

struct str field_trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

bool field_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool field_is(struct str s, const char *word)
{
	return field_equal(s, str_of(word));
}

bool field_lists(struct str list, const char *word)
{
	while (list.n) {
		const char *comma = memchr(list.p, ',', list.n);
		size_t n = comma ? (size_t)(comma - list.p) : list.n;

		if (field_is(field_trim((struct str){list.p, n}), word))
			return true;
		n += comma != NULL;
		list = (struct str){list.p + n, list.n - n};
	}
	return false;
}
