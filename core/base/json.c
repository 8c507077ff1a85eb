/* JSON: the strict gate before cJSON, exact numbers, and the writer. */
#include "base/json.h"

#include <math.h>
#include <stdio.h>

/* --- reading --- */

/* Bytes of the well-formed UTF-8 character at `s`, 0 when it is none (RFC 3629, section 4). */
static size_t utf8_length(const unsigned char *s, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len;

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
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0;

	while (i < s.n) {
		size_t len = utf8_length(p + i, s.n - i);

		if (!len)
			return false;
		i += len;
	}
	return true;
}

struct gate {
	const char *p, *start, *end;
	unsigned depth, max_depth;
	struct err *e;
};

static int refuse(struct gate *g, const char *why)
{
	return err_set(g->e, -EINVAL, "byte %zu: %s", (size_t)(g->p - g->start) + 1, why);
}

static int gate_string(struct gate *g)
{
	for (g->p++; g->p < g->end && *g->p != '"'; g->p++) {
		if ((unsigned char)*g->p < 0x20)
			return refuse(g, "control character in a string");
		if (*g->p != '\\')
			continue;
		if (g->end - g->p > 5 && memcmp(g->p, "\\u0000", 6) == 0)
			return refuse(g, "\\u0000 in a string");
		g->p++;
	}
	return g->p < g->end ? 0 : refuse(g, "string without an end");
}

static int gate_check(struct gate *g)
{
	for (; g->p < g->end; g->p++) {
		int r = 0;

		if (*g->p == '"')
			r = gate_string(g);
		else if ((*g->p == '{' || *g->p == '[') && ++g->depth > g->max_depth)
			r = refuse(g, "nested too deeply");
		else if ((*g->p == '}' || *g->p == ']') && g->depth)
			g->depth--;
		else if (*g->p == '\0')
			r = refuse(g, "NUL byte");
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!strchr(" \t\r\n", s.p[i]))
			return false;
	return true;
}

/* cJSON says NULL for text that is no JSON and for want of memory alike. */
static _Thread_local bool is_out_of_memory;

static void *allocate(size_t size)
{
	void *p = malloc(size);

	is_out_of_memory = is_out_of_memory || !p;
	return p;
}

/* Before there are threads: the hooks are the library's only ones. */
__attribute__((constructor)) static void hook_cjson(void)
{
	cJSON_InitHooks(&(cJSON_Hooks){allocate, free});
}

int json_parse(struct str text, unsigned max_depth, cJSON **ret, struct err *e)
{
	struct gate g = {.p = text.p, .start = text.p, .max_depth = max_depth, .e = e};
	const char *end = NULL;
	cJSON *j;
	int r;

	if (!text.n || is_blank(text))
		return err_set(e, -EINVAL, "empty");
	g.end = text.p + text.n;
	if (!utf8_valid(text))
		return err_set(e, -EINVAL, "not valid UTF-8");
	r = gate_check(&g);
	if (r < 0)
		return r;
	is_out_of_memory = false;
	j = cJSON_ParseWithLengthOpts(text.p, text.n, &end, false);
	if (!j && is_out_of_memory)
		return err_set(e, -ENOMEM, "out of memory");
	if (!j)
		return err_set(e, -EINVAL, "byte %zu: not JSON",
			end && end >= text.p && end <= g.end ? (size_t)(end - text.p) + 1 : 1);
	if (!is_blank((struct str){end, (size_t)(g.end - end)})) {
		cJSON_Delete(j);
		return err_set(e, -EINVAL, "byte %zu: more text after the value",
			(size_t)(end - text.p) + 1);
	}
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

static void put_string(struct buf *b, struct str s)
{
	size_t from = 0;

	buf_char(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
			continue;
		buf_add(b, s.p + from, i - from);
		put_escaped(b, c);
		from = i + 1;
	}
	buf_add(b, s.p + from, s.n - from);
	buf_char(b, '"');
}

void json_key_str(struct json_writer *w, struct str name)
{
	value(w);
	put_string(w->out, name);
	buf_char(w->out, ':');
	w->comma = false;
}

void json_key(struct json_writer *w, const char *name)
{
	json_key_str(w, str_of(name));
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

void json_text(struct json_writer *w, const char *s)
{
	json_str(w, str_of(s));
}

void json_int(struct json_writer *w, int64_t v)
{
	value(w);
	buf_fmt(w->out, "%lld", (long long)v);
}

void json_double(struct json_writer *w, double v)
{
	char text[32];

	value(w);
	if (!isfinite(v)) {
		buf_text(w->out, "null");
		return;
	}
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
	buf_fmt(w->out, "%s%llu.%02u", minor < 0 ? "-" : "", (unsigned long long)(size / 100),
		(unsigned)(size % 100));
}

void json_time(struct json_writer *w, int64_t wall_us)
{
	char text[CLOCK_TEXT_SIZE];

	clock_text(wall_us, text);
	json_text(w, text);
}

void json_id(struct json_writer *w, const struct id *id)
{
	char text[ID_TEXT_SIZE];

	id_text(id, text);
	json_text(w, text);
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
