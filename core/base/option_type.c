/* The types of options: how each is read, bounded and described. */
#include "base/option_type.h"

#include <math.h>
#include <stdalign.h>

#include "base/mem.h"

enum { SHOWN_MAX = 60 };

static int shown(struct str s)
{
	size_t n = s.n < SHOWN_MAX ? s.n : SHOWN_MAX;

	while (n && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--; /* not within a letter */
	return (int)n;
}

/* "'workers' must be an integer, not the text 'many'" */
static int refuse(struct option_value *v, const char *want)
{
	const struct yaml_node *n = v->node;
	const char *name = v->option->name;

	if (v->is_text)
		return err_set(v->e, -EINVAL, "'%s' must be %s, not '%.*s'", name, want,
			shown(n->text), n->text.p);
	if (n->type == YAML_LIST || n->type == YAML_MAP)
		return err_set(v->e, -EINVAL, "'%s' must be %s, not a %s", name, want,
			n->type == YAML_LIST ? "list" : "map");
	if (n->type == YAML_NULL)
		return err_set(v->e, -EINVAL, "'%s' has no value; it must be %s", name, want);
	return err_set(v->e, -EINVAL, "'%s' must be %s, not %s'%.*s'", name, want,
		n->type == YAML_STRING ? "the text " : "", shown(n->text), n->text.p);
}

static bool has_bounds(const struct sl_option *o)
{
	return o->min || o->max;
}

static int check_bounds(struct option_value *v, double low, double high)
{
	const struct sl_option *o = v->option;
	char min[OPTION_UNIT_TEXT_SIZE], max[OPTION_UNIT_TEXT_SIZE], want[128];

	if (!has_bounds(o) || (low >= (double)o->min && high <= (double)o->max))
		return 0;
	option_type(o->type)->bound_text(o->min, min);
	option_type(o->type)->bound_text(o->max, max);
	snprintf(want, sizeof want, "between %s and %s", min, max);
	return refuse(v, want);
}

static int read_string(struct option_value *v)
{
	const struct yaml_node *n = v->node;
	const char *copy;

	if (n->type != YAML_STRING && !v->is_text) {
		if (n->type == YAML_LIST || n->type == YAML_MAP || n->type == YAML_NULL)
			return refuse(v, "text");
		return err_set(v->e, -EINVAL, "'%s' must be text; write it in quotes: \"%.*s\"",
			v->option->name, shown(n->text), n->text.p);
	}
	if (n->text.n && memchr(n->text.p, '\0', n->text.n))
		return refuse(v, "text without NUL characters");
	copy = arena_alloc(v->arena, n->text.n + 1);
	if (!copy)
		return -ENOMEM;
	if (n->text.n)
		memcpy((char *)copy, n->text.p, n->text.n);
	*(const char **)v->field = copy;
	return 0;
}

static int read_bool(struct option_value *v)
{
	if (v->node->type != YAML_BOOL)
		return refuse(v, "true or false");
	*(uint8_t *)v->field = v->node->boolean;
	return 0;
}

static int read_int(struct option_value *v)
{
	int r;

	if (v->node->type != YAML_INT)
		return refuse(v, "a whole number");
	r = check_bounds(v, v->node->number, v->node->number);
	if (r == 0)
		*(int64_t *)v->field = v->node->integer;
	return r;
}

static bool is_number(const struct yaml_node *n)
{
	return (n->type == YAML_INT || n->type == YAML_FLOAT) && isfinite(n->number);
}

static int read_number(struct option_value *v)
{
	int r;

	if (!is_number(v->node))
		return refuse(v, "a number");
	r = check_bounds(v, v->node->number, v->node->number);
	if (r == 0)
		*(double *)v->field = v->node->number;
	return r;
}

static int read_ratio(struct option_value *v)
{
	if (!is_number(v->node) || v->node->number < 0 || v->node->number > 1)
		return refuse(v, "a number from 0 to 1");
	return read_number(v);
}

/* Text of a scalar that may hold a unit; absent for all else. */
static struct str unit_text(const struct yaml_node *n)
{
	return n->type == YAML_LIST || n->type == YAML_MAP ? (struct str){NULL, 0} : n->text;
}

static int read_duration(struct option_value *v)
{
	int64_t ms;
	int r;

	if (option_parse_duration(unit_text(v->node), &ms) < 0)
		return refuse(v, "a time with its unit, such as 200ms, 5s, 2m, 1h or 30d");
	r = check_bounds(v, (double)ms, (double)ms);
	if (r == 0)
		*(int64_t *)v->field = ms;
	return r;
}

static int read_size(struct option_value *v)
{
	int64_t bytes;
	int r;

	if (option_parse_size(unit_text(v->node), &bytes) < 0)
		return refuse(v, "a size with its unit, such as 512B, 64KiB, 10MiB or 1GiB");
	r = check_bounds(v, (double)bytes, (double)bytes);
	if (r == 0)
		*(int64_t *)v->field = bytes;
	return r;
}

static int read_range(struct option_value *v)
{
	struct sl_range range;
	int r;

	if (option_parse_range(unit_text(v->node), &range) < 0)
		return refuse(v, "a time or a range from short to long, such as 500ms or 1s..2s");
	r = check_bounds(v, (double)range.low, (double)range.high);
	if (r == 0)
		*(struct sl_range *)v->field = range;
	return r;
}

/* The next of the words separated by '|'; absent at the end. */
static struct str next_word(const char **rest)
{
	struct str word = {*rest, 0};

	if (!*rest)
		return word;
	word.n = strcspn(*rest, "|");
	*rest = word.p[word.n] ? word.p + word.n + 1 : NULL;
	return word;
}

static int read_choice(struct option_value *v)
{
	const char *rest = v->option->choices;
	char want[256] = "one of ";
	size_t n = strlen(want);
	int64_t index = 0;

	for (struct str word; (word = next_word(&rest)).p; index++) {
		if (v->node->type == YAML_STRING && str_eq(word, v->node->text)) {
			*(int64_t *)v->field = index;
			return 0;
		}
		if (n < sizeof want)
			n += (size_t)snprintf(want + n, sizeof want - n, "%s%.*s",
				index ? ", " : "", (int)word.n, word.p);
	}
	return refuse(v, want);
}

static int read_items(struct option_value *v, const char **items)
{
	size_t i = 0;

	for (const struct yaml_node *n = v->node->first; n; n = n->next) {
		struct option_value item = *v;
		int r;

		item.node = n;
		item.field = &items[i++];
		if (n->type != YAML_STRING) {
			v->wrong = n;
			return err_set(v->e, -EINVAL, "'%s' holds text only; this is none",
				v->option->name);
		}
		r = read_string(&item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_list(struct option_value *v)
{
	struct sl_list *list = v->field;
	const char **items;
	int r;

	if (v->node->type != YAML_LIST)
		return refuse(v, "a list, such as [a, b]");
	items = arena_alloc(v->arena, (v->node->n_children + 1) * sizeof *items);
	if (!items)
		return -ENOMEM;
	r = read_items(v, items);
	if (r == 0)
		*list = (struct sl_list){v->node->n_children, items};
	return r;
}

static void type_is(struct json_writer *w, const char *name)
{
	json_key(w, "type");
	json_text(w, name);
}

static void schema_string(const struct sl_option *o, struct json_writer *w)
{
	(void)o;
	type_is(w, "string");
}

static void schema_bool(const struct sl_option *o, struct json_writer *w)
{
	(void)o;
	type_is(w, "boolean");
}

static void schema_bounds(const struct sl_option *o, struct json_writer *w)
{
	if (!has_bounds(o))
		return;
	json_key(w, "minimum");
	json_int(w, o->min);
	json_key(w, "maximum");
	json_int(w, o->max);
}

static void schema_int(const struct sl_option *o, struct json_writer *w)
{
	type_is(w, "integer");
	schema_bounds(o, w);
}

static void schema_number(const struct sl_option *o, struct json_writer *w)
{
	type_is(w, "number");
	schema_bounds(o, w);
}

static void schema_ratio(const struct sl_option *o, struct json_writer *w)
{
	(void)o;
	type_is(w, "number");
	json_key(w, "minimum");
	json_int(w, 0);
	json_key(w, "maximum");
	json_int(w, 1);
}

static void schema_pattern(struct json_writer *w, const char *pattern)
{
	type_is(w, "string");
	json_key(w, "pattern");
	json_text(w, pattern);
}

#define DECIMAL	 "[0-9]+(\\.[0-9]+)?"
#define DURATION DECIMAL "(ms|s|m|h|d)"

static void schema_duration(const struct sl_option *o, struct json_writer *w)
{
	(void)o;
	schema_pattern(w, "^" DURATION "$");
}

static void schema_size(const struct sl_option *o, struct json_writer *w)
{
	(void)o;
	schema_pattern(w, "^" DECIMAL "(B|KiB|MiB|GiB)$");
}

static void schema_range(const struct sl_option *o, struct json_writer *w)
{
	(void)o;
	schema_pattern(w, "^" DURATION "(\\.\\." DURATION ")?$");
}

static void schema_choice(const struct sl_option *o, struct json_writer *w)
{
	const char *rest = o->choices;

	json_key(w, "enum");
	json_open(w, '[');
	for (struct str word; (word = next_word(&rest)).p;)
		json_str(w, word);
	json_close(w, ']');
}

static void schema_list(const struct sl_option *o, struct json_writer *w)
{
	(void)o;
	type_is(w, "array");
	json_key(w, "items");
	json_open(w, '{');
	type_is(w, "string");
	json_close(w, '}');
}

static void int_text(int64_t value, char out[OPTION_UNIT_TEXT_SIZE])
{
	snprintf(out, OPTION_UNIT_TEXT_SIZE, "%lld", (long long)value);
}

#define FIELD(c_type) sizeof(c_type), alignof(c_type)

static const struct option_type types[] = {
	[SL_OPTION_STRING] = {"text", FIELD(const char *), read_string, schema_string, NULL},
	[SL_OPTION_BOOL] = {"true or false", FIELD(uint8_t), read_bool, schema_bool, NULL},
	[SL_OPTION_INT] = {"integer", FIELD(int64_t), read_int, schema_int, int_text},
	[SL_OPTION_NUMBER] = {"number", FIELD(double), read_number, schema_number, int_text},
	[SL_OPTION_RATIO] = {"0 to 1", FIELD(double), read_ratio, schema_ratio, int_text},
	[SL_OPTION_DURATION] = {"time", FIELD(int64_t), read_duration, schema_duration,
		option_duration_text},
	[SL_OPTION_SIZE] = {"size", FIELD(int64_t), read_size, schema_size, option_size_text},
	[SL_OPTION_DURATION_RANGE] = {"time range", FIELD(struct sl_range), read_range,
		schema_range, option_duration_text},
	[SL_OPTION_CHOICE] = {"choice", FIELD(int64_t), read_choice, schema_choice, NULL},
	[SL_OPTION_LIST] = {"list", FIELD(struct sl_list), read_list, schema_list, NULL},
};

const struct option_type *option_type(uint32_t type)
{
	return type < ARRAY_LEN(types) && types[type].name ? &types[type] : NULL;
}
