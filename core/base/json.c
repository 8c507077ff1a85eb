/* JSON: cJSON behind the strict check, exact numbers, and the writer. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>

/* --- reading --- */

int json_parse(struct str text, unsigned max_depth, cJSON **ret, struct err *e)
{
	const char *end = NULL;
	int r = json_check(text, max_depth, NULL, e);
	cJSON *j;

	if (r < 0)
		return r;
	errno = 0;
	j = cJSON_ParseWithLengthOpts(text.p, text.n, &end, false);
	if (!j && errno == ENOMEM) /* it ends at the first failure and does not say which */
		return err_set(e, -ENOMEM, "out of memory");
	if (!j)
		return err_set(e, -EINVAL, "byte %zu: not JSON",
			end >= text.p && end <= text.p + text.n ? (size_t)(end - text.p) + 1 : 1);
	*ret = j;
	return 0;
}

bool json_to_int(const cJSON *j, int64_t *ret)
{
	if (!cJSON_IsNumber(j) || fabs(j->valuedouble) > 9007199254740992.0 ||
		floor(j->valuedouble) != j->valuedouble)
		return false;
	*ret = (int64_t)j->valuedouble;
	return true;
}

bool json_to_money(const cJSON *j, int64_t *ret_minor)
{
	int64_t minor;

	if (!cJSON_IsNumber(j) || !(fabs(j->valuedouble) <= 1e13))
		return false;
	minor = llround(j->valuedouble * 100);
	if ((double)minor / 100 != j->valuedouble)
		return false;
	*ret_minor = minor;
	return true;
}

int64_t json_int_member(const cJSON *object, const char *name)
{
	int64_t value = 0;

	return json_to_int(cJSON_GetObjectItemCaseSensitive(object, name), &value) ? value : 0;
}

struct str json_member(const cJSON *object, const char *name)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(object, name);

	return str_of(cJSON_IsString(m) ? m->valuestring : NULL);
}

/* --- writing --- */

static void value(struct json_writer *w)
{
	if (w->comma)
		buf_char(w->out, ',');
	w->comma = true;
}

void json_open(struct json_writer *w, char bracket)
{
	value(w);
	buf_char(w->out, bracket);
	w->comma = false;
}

void json_close(struct json_writer *w, char bracket)
{
	buf_char(w->out, bracket);
	w->comma = true;
}

static void put_escaped(struct buf *b, unsigned char c)
{
	static const char letters[] = "btn\0fr"; /* for 8 to 13; 11 has none */

	if (c == '"' || c == '\\')
		buf_fmt(b, "\\%c", c);
	else if (c >= 8 && c <= 13 && letters[c - 8])
		buf_fmt(b, "\\%c", letters[c - 8]);
	else
		buf_fmt(b, "\\u%04x", c);
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Bytes of what stands at `s` and is more than one plain byte: a whole letter is taken as it is. */
static size_t put_other(struct buf *b, struct str s)
{
	size_t n = (unsigned char)*s.p < 0x80 ? 0 : utf8_length(s);

	if (n)
		buf_add(b, s.p, n);
	else if ((unsigned char)*s.p < 0x80)
		put_escaped(b, (unsigned char)*s.p);
	else
		buf_str(b, STR("\xef\xbf\xbd"));
	return n ? n : 1;
}

static void put_inner(struct buf *b, struct str s)
{
	size_t n;

	for (;;) {
		for (n = 0; n < s.n && is_plain((unsigned char)s.p[n]); n++)
			;
		buf_add(b, s.p, n);
		if (n == s.n)
			return;
		n += put_other(b, (struct str){s.p + n, s.n - n});
		s = (struct str){s.p + n, s.n - n};
	}
}

static void put_string(struct buf *b, struct str s)
{
	buf_char(b, '"');
	put_inner(b, s);
	buf_char(b, '"');
}

/* Text without anything to escape. */
static void put_plain(struct json_writer *w, const char *text, size_t n)
{
	char *p;

	value(w);
	p = buf_reserve(w->out, n + 2);
	if (!p)
		return;
	p[0] = '"';
	memcpy(p + 1, text, n);
	p[n + 1] = '"';
	w->out->len += n + 2;
	w->out->data[w->out->len] = '\0';
}

void json_key_str(struct json_writer *w, struct str name)
{
	value(w);
	put_string(w->out, name);
	buf_char(w->out, ':');
	w->comma = false;
}

void json_str(struct json_writer *w, struct str s)
{
	if (!s.p) {
		json_null(w);
		return;
	}
	value(w);
	put_string(w->out, s);
}

void json_int(struct json_writer *w, int64_t v)
{
	value(w);
	buf_int(w->out, v);
}

/* Whole numbers and amounts, which most are: the text that reads back the same, without trying. */
static bool put_short(struct buf *b, double v)
{
	int64_t hundredths;

	if (!(fabs(v) < 1e12) || (v == 0 && signbit(v)))
		return false;
	hundredths = llround(v * 100);
	if ((double)hundredths / 100 != v)
		return false;
	if (hundredths < 0)
		buf_char(b, '-');
	hundredths = llabs(hundredths);
	buf_int(b, hundredths / 100);
	if (hundredths % 100 == 0)
		return true;
	buf_char(b, '.');
	buf_char(b, (char)('0' + hundredths / 10 % 10));
	if (hundredths % 10)
		buf_char(b, (char)('0' + hundredths % 10));
	return true;
}

void json_double(struct json_writer *w, double v)
{
	char text[32];

	value(w);
	if (!isfinite(v)) {
		buf_text(w->out, "null");
		return;
	}
	if (put_short(w->out, v))
		return;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_text(w->out, text);
}

void json_bool(struct json_writer *w, bool v)
{
	value(w);
	buf_text(w->out, v ? "true" : "false");
}

void json_null(struct json_writer *w)
{
	value(w);
	buf_text(w->out, "null");
}

void json_money(struct json_writer *w, int64_t minor)
{
	uint64_t size = minor < 0 ? 0 - (uint64_t)minor : (uint64_t)minor;

	value(w);
	if (minor < 0)
		buf_char(w->out, '-');
	buf_int(w->out, (int64_t)(size / 100));
	buf_add(w->out, (const char[]){'.', (char)('0' + size / 10 % 10), (char)('0' + size % 10)},
		3);
}

void json_time(struct json_writer *w, int64_t wall_us)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text(wall_us, text);
	put_plain(w, text, CLOCK_TEXT_SIZE - 1);
}

void json_id(struct json_writer *w, const struct id *id)
{
	char text[ID_TEXT_SIZE];

	id_text(id, text);
	put_plain(w, text, ID_TEXT_SIZE - 1);
}

void json_raw(struct json_writer *w, struct str json)
{
	value(w);
	buf_str(w->out, json);
}

void json_members(struct json_writer *w, struct str object)
{
	if (object.n <= 2)
		return;
	json_raw(w, (struct str){object.p + 1, object.n - 2});
}

void json_tree(struct json_writer *w, const cJSON *j)
{
	const cJSON *child;

	if (cJSON_IsObject(j) || cJSON_IsArray(j)) {
		json_open(w, cJSON_IsObject(j) ? '{' : '[');
		cJSON_ArrayForEach (child, j) {
			if (cJSON_IsObject(j))
				json_key(w, child->string);
			json_tree(w, child);
		}
		json_close(w, cJSON_IsObject(j) ? '}' : ']');
	} else if (cJSON_IsString(j)) {
		json_text(w, j->valuestring);
	} else if (cJSON_IsNumber(j)) {
		json_double(w, j->valuedouble);
	} else if (cJSON_IsBool(j)) {
		json_bool(w, cJSON_IsTrue(j));
	} else {
		json_null(w);
	}
}
