/* Whether bytes are JSON: the whole grammar of RFC 8259, UTF-8 included, in one pass that allocates nothing. */
#include <math.h>

#include "base/json.h"

/* cJSON reads no longer number. */
enum { NUMBER_MAX = 60 };

struct check {
	const char *p, *start, *end;
	unsigned depth, max_depth;
	bool is_compact;
	struct err *e;
};

static int refuse(struct check *c, const char *why)
{
	return err_set(c->e, -EINVAL, "byte %zu: %s", (size_t)(c->p - c->start) + 1, why);
}

/* RFC 3629, section 4. */
size_t utf8_length(struct str text)
{
	const unsigned char *s = (const unsigned char *)text.p;
	unsigned char low = 0x80, high = 0xbf;
	size_t n = text.n, len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		low = 0xa0;
	if (s[0] == 0xed)
		high = 0x9f;
	if (s[0] == 0xf0)
		low = 0x90;
	if (s[0] == 0xf4)
		high = 0x8f;
	if (n < len || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool utf8_valid(struct str s)
{
	size_t i = 0;

	while (i < s.n) {
		size_t len = utf8_length((struct str){s.p + i, s.n - i});

		if (!len)
			return false;
		i += len;
	}
	return true;
}

void utf8_cut(char *text)
{
	size_t n = strlen(text), at = n;

	while (at && n - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at && (unsigned char)text[at - 1] >= 0xc0 &&
		!utf8_length((struct str){text + at - 1, n - at + 1}))
		text[at - 1] = '\0';
}

static void blanks(struct check *c)
{
	const char *from = c->p;

	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
		c->p++;
	if (c->p > from)
		c->is_compact = false;
}

/* The four digits after \u, -1 when they are none. */
static int hex4(const struct check *c, const char *p)
{
	int v = 0;

	if (c->end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char d = (char)(p[i] | 0x20);
		int n = d >= '0' && d <= '9' ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : -1;

		if (n < 0)
			return -1;
		v = v << 4 | n;
	}
	return v;
}

/* At \u; characters beyond the basic plane are a pair. */
static int check_unicode(struct check *c)
{
	int low, v = hex4(c, c->p + 2);

	if (v < 0)
		return refuse(c, "\\u without four digits");
	if (v == 0)
		return refuse(c, "\\u0000 in a string");
	if (v >= 0xdc00 && v < 0xe000)
		return refuse(c, "half a surrogate pair");
	if (v >= 0xd800 && v < 0xdc00) {
		low = c->end - c->p > 7 && c->p[6] == '\\' && c->p[7] == 'u' ? hex4(c, c->p + 8)
									     : -1;
		if (low < 0xdc00 || low >= 0xe000)
			return refuse(c, "half a surrogate pair");
		c->p += 6;
	}
	c->p += 6;
	return 0;
}

static int check_escape(struct check *c)
{
	if (c->end - c->p < 2)
		return refuse(c, "string without an end");
	if (c->p[1] == 'u')
		return check_unicode(c);
	if (!c->p[1] || !strchr("\"\\/bfnrt", c->p[1]))
		return refuse(c, "no such escape");
	c->p += 2;
	return 0;
}

static int check_string(struct check *c)
{
	int r = 0;

	for (c->p++; c->p < c->end && *c->p != '"';) {
		unsigned char ch = (unsigned char)*c->p;
		size_t len = 1;

		if (ch == '\\')
			r = check_escape(c);
		else if (ch < 0x20)
			r = refuse(c, "control character in a string");
		else if (ch >= 0x80 &&
			 !(len = utf8_length((struct str){c->p, (size_t)(c->end - c->p)})))
			r = refuse(c, "not valid UTF-8");
		if (r < 0)
			return r;
		if (ch != '\\')
			c->p += len;
	}
	if (c->p == c->end)
		return refuse(c, "string without an end");
	c->p++;
	return 0;
}

static bool digits(struct check *c)
{
	const char *from = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p > from;
}

static bool is_next(const struct check *c, const char *any)
{
	for (; c->p < c->end && *any; any++)
		if (*c->p == *any)
			return true;
	return false;
}

static int check_number(struct check *c)
{
	const char *from = c->p;
	char text[NUMBER_MAX + 1];

	c->p += is_next(c, "-");
	if (is_next(c, "0"))
		c->p++;
	else if (!digits(c))
		return refuse(c, "not JSON");
	if (is_next(c, ".")) {
		c->p++;
		if (!digits(c))
			return refuse(c, "a number ends in its point");
	}
	if (is_next(c, "eE")) {
		c->p++;
		c->p += is_next(c, "+-");
		if (!digits(c))
			return refuse(c, "a number without its exponent");
	}
	if (c->p - from > NUMBER_MAX)
		return refuse(c, "a number of more than 60 characters");
	if (!memchr(from, 'e', (size_t)(c->p - from)) && !memchr(from, 'E', (size_t)(c->p - from)))
		return 0;
	memcpy(text, from, (size_t)(c->p - from));
	text[c->p - from] = '\0';
	return isfinite(strtod(text, NULL)) ? 0 : refuse(c, "a number that is too large");
}

static int check_word(struct check *c)
{
	static const struct str words[] = {STR("true"), STR("false"), STR("null")};

	for (size_t i = 0; i < 3; i++)
		if ((size_t)(c->end - c->p) >= words[i].n &&
			memcmp(c->p, words[i].p, words[i].n) == 0) {
			c->p += words[i].n;
			return 0;
		}
	return refuse(c, *c->p ? "not JSON" : "NUL byte");
}

static int check_value(struct check *c);

static int check_member(struct check *c)
{
	int r;

	blanks(c);
	if (!is_next(c, "\""))
		return refuse(c, "not JSON");
	r = check_string(c);
	if (r < 0)
		return r;
	blanks(c);
	if (!is_next(c, ":"))
		return refuse(c, "not JSON");
	c->p++;
	return check_value(c);
}

/* An object or an array. */
static int check_nested(struct check *c)
{
	char end = *c->p == '{' ? '}' : ']';
	int r;

	if (++c->depth > c->max_depth)
		return refuse(c, "nested too deeply");
	c->p++;
	blanks(c);
	if (c->p < c->end && *c->p == end)
		goto closed;
	for (;;) {
		r = end == '}' ? check_member(c) : check_value(c);
		if (r < 0)
			return r;
		if (c->p < c->end && *c->p == end)
			break;
		if (!is_next(c, ","))
			return refuse(c, "not JSON");
		c->p++;
	}
closed:
	c->p++;
	c->depth--;
	return 0;
}

static int check_value(struct check *c)
{
	int r;

	blanks(c);
	if (c->p == c->end)
		return refuse(c, "it ends too early");
	if (*c->p == '"')
		r = check_string(c);
	else if (*c->p == '{' || *c->p == '[')
		r = check_nested(c);
	else if (*c->p == '-' || (*c->p >= '0' && *c->p <= '9'))
		r = check_number(c);
	else
		r = check_word(c);
	if (r == 0)
		blanks(c);
	return r;
}

int json_check(struct str text, unsigned max_depth, bool *ret_is_compact, struct err *e)
{
	struct check c = {.p = text.p,
		.start = text.p,
		.end = text.p + text.n,
		.max_depth = max_depth,
		.is_compact = true,
		.e = e};
	int r;

	blanks(&c);
	if (c.p == c.end)
		return err_set(e, -EINVAL, "empty");
	r = check_value(&c);
	if (r == 0 && c.p < c.end)
		r = refuse(&c, "more text after the value");
	if (r == 0 && ret_is_compact)
		*ret_is_compact = c.is_compact;
	return r;
}
