/* Conditions: what they hold for, and what is said of an order they do not hold for. */
#include "model/condition.h"

#include "base/mem.h"
#include "model/condition_tree.h"

/* --- comparisons with one literal --- */

static bool is_equal(const struct yaml_node *literal, const cJSON *value)
{
	switch (literal->type) {
	case YAML_STRING:
		return cJSON_IsString(value) && str_is(literal->text, value->valuestring);
	case YAML_BOOL:
		return cJSON_IsBool(value) && literal->boolean == cJSON_IsTrue(value);
	case YAML_INT:
	case YAML_FLOAT:
		return cJSON_IsNumber(value) && value->valuedouble == literal->number;
	default:
		return false;
	}
}

static bool is_in(const struct yaml_node *literal, const cJSON *value)
{
	for (const struct yaml_node *n = literal->first; n; n = n->next)
		if (is_equal(n, value))
			return true;
	return false;
}

static bool is_above(const struct yaml_node *literal, const cJSON *value)
{
	return cJSON_IsNumber(value) && value->valuedouble > literal->number;
}

static bool is_at_least(const struct yaml_node *literal, const cJSON *value)
{
	return cJSON_IsNumber(value) && value->valuedouble >= literal->number;
}

static bool is_below(const struct yaml_node *literal, const cJSON *value)
{
	return cJSON_IsNumber(value) && value->valuedouble < literal->number;
}

static bool is_at_most(const struct yaml_node *literal, const cJSON *value)
{
	return cJSON_IsNumber(value) && value->valuedouble <= literal->number;
}

static bool is_there(const struct yaml_node *literal, const cJSON *value)
{
	return (void)literal, value != NULL;
}

static bool starts_with(const struct yaml_node *literal, const cJSON *value)
{
	return cJSON_IsString(value) && str_starts(str_of(value->valuestring), literal->text);
}

static bool contains(const struct yaml_node *literal, const cJSON *value)
{
	const cJSON *item;

	if (cJSON_IsString(value))
		return literal->type == YAML_STRING &&
		       strstr(value->valuestring, literal->text.p) != NULL;
	if (!cJSON_IsArray(value))
		return false;
	cJSON_ArrayForEach (item, value)
		if (is_equal(literal, item))
			return true;
	return false;
}

const struct comparison comparisons[] = {
	{"equals", LITERAL_SCALAR, is_equal, false, "is", "is not"},
	{"not_equals", LITERAL_SCALAR, is_equal, true, "is", "is not"},
	{"above", LITERAL_NUMBER, is_above, false, "is above", "is not above"},
	{"at_least", LITERAL_NUMBER, is_at_least, false, "is at least", "is not at least"},
	{"below", LITERAL_NUMBER, is_below, false, "is below", "is not below"},
	{"at_most", LITERAL_NUMBER, is_at_most, false, "is at most", "is not at most"},
	{"in", LITERAL_LIST, is_in, false, "is one of", "is not one of"},
	{"not_in", LITERAL_LIST, is_in, true, "is one of", "is not one of"},
	{"exists", LITERAL_BOOL, is_there, false, "is there", "is not there"},
	{"starts_with", LITERAL_TEXT, starts_with, false, "starts with", "does not start with"},
	{"contains", LITERAL_SCALAR, contains, false, "contains", "does not contain"},
	{0},
};

/* --- an order --- */

/* Whether the comparison holds for any value that the path leads to. */
static bool holds_for_any(
	const struct condition *c, const char *const *path, size_t n, const cJSON *value)
{
	const cJSON *item;

	if (!value || cJSON_IsNull(value))
		return false;
	if (n == 0)
		return c->comparison->holds(c->literal, value);
	if (!cJSON_IsArray(value))
		return holds_for_any(
			c, path + 1, n - 1, cJSON_GetObjectItemCaseSensitive(value, path[0]));
	cJSON_ArrayForEach (item, value)
		if (holds_for_any(c, path, n, item))
			return true;
	return false;
}

static bool holds_for_children(const struct condition *c, const cJSON *order, const cJSON *results)
{
	for (const struct condition *m = c->first; m; m = m->next)
		if (condition_holds(m, order, results) == c->is_any)
			return c->is_any;
	return !c->is_any;
}

bool condition_holds(const struct condition *c, const cJSON *order, const cJSON *results)
{
	bool holds = c->comparison ? holds_for_any(c, c->path, c->n_path,
					     c->reads_results ? results : order)
				   : holds_for_children(c, order, results);

	return holds != c->is_opposite;
}

void condition_each_stage(const struct condition *c,
	void (*on_stage)(void *arg, struct str stage, const struct yaml_node *at), void *arg)
{
	if (c->reads_results)
		on_stage(arg, str_of(c->path[0]), c->field);
	for (const struct condition *m = c->first; m; m = m->next)
		condition_each_stage(m, on_stage, arg);
}

/* --- in words --- */

enum { SHOWN_TEXT_MAX = 60, SHOWN_VALUES_MAX = 5 };

/* At most `max` bytes, no part of a character. */
static void put_cut(struct str s, size_t max, struct buf *out)
{
	size_t n = s.n < max ? s.n : max;

	while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	buf_add(out, s.p, n);
	if (n < s.n)
		buf_text(out, "…");
}

static void put_literal(const struct yaml_node *n, struct buf *out)
{
	const char *quote = n->type == YAML_STRING ? "'" : "";

	buf_text(out, quote);
	put_cut(n->text, SHOWN_TEXT_MAX, out);
	buf_text(out, quote);
}

static void put_literals(const struct yaml_node *list, struct buf *out)
{
	size_t n = 0;

	for (const struct yaml_node *m = list->first; m; m = m->next) {
		buf_text(out, n ? ", " : "");
		if (n++ == SHOWN_VALUES_MAX) {
			buf_text(out, "…");
			return;
		}
		put_literal(m, out);
	}
}

static void put_comparison(const struct condition *c, bool is_true, struct buf *out)
{
	const struct comparison *k = c->comparison;

	put_cut(c->field->text, SHOWN_TEXT_MAX, out);
	buf_char(out, ' ');
	buf_text(out, is_true ? k->is : k->is_not);
	if (k->wants == LITERAL_BOOL)
		return;
	buf_char(out, ' ');
	if (k->wants == LITERAL_LIST)
		put_literals(c->literal, out);
	else
		put_literal(c->literal, out);
}

/* That the condition is true, or that it is not: "not all" is said as "one is not … or another is not". */
static void put_condition(const struct condition *c, bool is_true, bool is_inner, struct buf *out)
{
	bool says = is_true != c->is_opposite, has_several = c->first && c->first->next;

	if (out->len > CONDITION_TEXT_MAX)
		return;
	if (c->comparison) {
		put_comparison(c, says, out);
		return;
	}
	buf_text(out, is_inner && has_several ? "(" : "");
	for (const struct condition *m = c->first; m; m = m->next) {
		put_condition(m, says, is_inner || has_several, out);
		if (m->next)
			buf_text(out, c->is_any == says ? " or " : " and ");
	}
	buf_text(out, is_inner && has_several ? ")" : "");
}

void condition_why_not(const struct condition *c, struct buf *out)
{
	_cleanup_(buf_fini) struct buf text = {0};

	put_condition(c, false, false, &text);
	if (text.failed)
		out->failed = true;
	else
		put_cut(buf_view(&text), CONDITION_TEXT_MAX, out);
}
