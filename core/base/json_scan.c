/* A pass over JSON that is known to be right. Nothing is checked twice: what is wrong would lead it astray. */
#include "base/json_scan.h"

enum { DIGITS_MAX = 15 };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static const char *skip_blanks(const struct json_scan *s, const char *p)
{
	while (p < s->end && is_blank(*p))
		p++;
	return p;
}

/* `p` is at the first quote. */
static const char *skip_string(const struct json_scan *s, const char *p)
{
	for (p++; p < s->end && *p != '"'; p++)
		p += *p == '\\';
	return p + 1;
}

static const char *skip_nested(const struct json_scan *s, const char *p)
{
	size_t depth = 0;

	while (p < s->end) {
		if (*p == '"') {
			p = skip_string(s, p);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		if ((*p == '}' || *p == ']') && --depth == 0)
			return p + 1;
		p++;
	}
	return p;
}

static const char *skip_value(const struct json_scan *s, const char *p)
{
	if (*p == '"')
		return skip_string(s, p);
	if (*p == '{' || *p == '[')
		return skip_nested(s, p);
	while (p < s->end && *p != ',' && *p != '}' && *p != ']' && !is_blank(*p))
		p++;
	return p;
}

bool json_scan_begin(struct json_scan *s, struct str text)
{
	*s = (struct json_scan){text.p, text.p + text.n};
	s->p = skip_blanks(s, s->p);
	return s->p < s->end && *s->p == '{';
}

bool json_scan_next(struct json_scan *s, struct str *ret_key, struct str *ret_value)
{
	const char *p = skip_blanks(s, s->p);

	if (p < s->end && (*p == '{' || *p == ','))
		p = skip_blanks(s, p + 1);
	s->p = p;
	if (p >= s->end || *p != '"')
		return false;
	p = skip_string(s, p);
	*ret_key = (struct str){s->p + 1, (size_t)(p - s->p) - 2};
	p = skip_blanks(s, skip_blanks(s, p) + 1);
	s->p = skip_value(s, p);
	*ret_value = (struct str){p, (size_t)(s->p - p)};
	return true;
}

struct str json_scan_text(struct str value)
{
	if (value.n < 2 || *value.p != '"' || memchr(value.p, '\\', value.n))
		return (struct str){NULL, 0};
	return (struct str){value.p + 1, value.n - 2};
}

bool json_scan_int(struct str value, int64_t *ret)
{
	bool is_negative = value.n && *value.p == '-';
	size_t i = is_negative;
	int64_t v = 0;

	if (value.n == i || value.n - i > DIGITS_MAX)
		return false;
	for (; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
		v = v * 10 + (value.p[i] - '0');
	}
	*ret = is_negative ? -v : v;
	return true;
}
