/* What a comparison may be made with: which YAML value fits, and how a schema says so. */
#include <math.h>

#include "model/condition_tree.h"

#define EXACT_MAX 9007199254740992.0 /* beyond 2^53 not every whole number has a double */

static bool is_exact(const struct yaml_node *n)
{
	return (n->type == YAML_INT || n->type == YAML_FLOAT) && fabs(n->number) <= EXACT_MAX;
}

static bool is_scalar(const struct yaml_node *n)
{
	return n->type == YAML_STRING || n->type == YAML_BOOL || is_exact(n);
}

static bool is_text(const struct yaml_node *n)
{
	return n->type == YAML_STRING && n->text.n > 0;
}

static bool is_bool(const struct yaml_node *n)
{
	return n->type == YAML_BOOL;
}

static bool is_list(const struct yaml_node *n)
{
	if (n->type != YAML_LIST || n->n_children == 0 || n->n_children > CONDITION_VALUES_MAX)
		return false;
	for (const struct yaml_node *m = n->first; m; m = m->next)
		if (!is_scalar(m))
			return false;
	return true;
}

static void number_schema(struct json_writer *w)
{
	json_key(w, "type");
	json_text(w, "number");
}

static void text_schema(struct json_writer *w)
{
	json_key(w, "type");
	json_text(w, "string");
	json_key(w, "minLength");
	json_int(w, 1);
}

static void bool_schema(struct json_writer *w)
{
	json_key(w, "type");
	json_text(w, "boolean");
}

static void scalar_schema(struct json_writer *w)
{
	json_key(w, "type");
	json_open(w, '[');
	json_text(w, "string");
	json_text(w, "number");
	json_text(w, "boolean");
	json_close(w, ']');
}

static void list_schema(struct json_writer *w)
{
	json_key(w, "type");
	json_text(w, "array");
	json_key(w, "minItems");
	json_int(w, 1);
	json_key(w, "maxItems");
	json_int(w, CONDITION_VALUES_MAX);
	json_key(w, "items");
	json_open(w, '{');
	scalar_schema(w);
	json_close(w, '}');
}

const struct literal_kind literal_kinds[] = {
	[LITERAL_SCALAR] = {is_scalar, "text, a number, true or false", scalar_schema},
	[LITERAL_NUMBER] = {is_exact, "a number", number_schema},
	[LITERAL_TEXT] = {is_text, "text", text_schema},
	[LITERAL_BOOL] = {is_bool, "true or false", bool_schema},
	[LITERAL_LIST] = {is_list, "a list of 1 to 256 values: text, numbers, true or false",
		list_schema},
};
_Static_assert(CONDITION_VALUES_MAX == 256, "the table above says so");
