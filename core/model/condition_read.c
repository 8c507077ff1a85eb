/* Reading a condition from YAML, everything wrong with it, and its schema. */
#include "base/mem.h"
#include "model/condition_tree.h"

enum { NAMES_MAX = 16 };

static const char *const combinations[] = {"all", "any", "not", NULL};

struct reading {
	struct arena *arena;
	struct yaml_faults *faults;
	size_t n_nodes;
};

/* Every key of a condition, NULL-terminated. */
static void known_keys(const char *names[NAMES_MAX])
{
	size_t n = 0;

	names[n++] = "field";
	for (size_t i = 0; comparisons[i].name; i++)
		names[n++] = comparisons[i].name;
	for (size_t i = 0; combinations[i]; i++)
		names[n++] = combinations[i];
	names[n] = NULL;
}

static bool is_one_of(struct str key, const char *const *names)
{
	while (*names && !str_is(key, *names))
		names++;
	return *names;
}

static const struct comparison *comparison_find(struct str name)
{
	for (size_t i = 0; comparisons[i].name; i++)
		if (str_is(name, comparisons[i].name))
			return &comparisons[i];
	return NULL;
}

/* Faults for unknown keys; whether there were none. */
static bool check_keys(const struct reading *r, const struct yaml_node *map)
{
	const char *names[NAMES_MAX];
	bool is_known = true;

	known_keys(names);
	for (const struct yaml_node *m = map->first; m; m = m->next) {
		const char *guess;

		if (is_one_of(m->key, names))
			continue;
		is_known = false;
		guess = yaml_suggest(m->key, names);
		if (guess)
			yaml_fault_key(r->faults, m, "unknown key '%.60s' (did you mean '%s'?)",
				m->key.p, guess);
		else
			yaml_fault_key(r->faults, m, "unknown key '%.60s'", m->key.p);
	}
	return is_known;
}

/* --- literals and fields --- */

static bool check_literal(
	const struct reading *r, const struct comparison *k, const struct yaml_node *n)
{
	const struct literal_kind *kind = &literal_kinds[k->wants];

	if (kind->fits(n))
		return true;
	if (n->type == YAML_LIST || n->type == YAML_MAP)
		yaml_fault(r->faults, n, "'%s' must be %s", k->name, kind->want);
	else
		yaml_fault(r->faults, n, "'%s' must be %s, not %s'%.60s'", k->name, kind->want,
			n->type == YAML_STRING ? "the text " : "", n->text.p);
	return false;
}

static bool is_path(struct str text)
{
	if (text.n == 0 || text.n > CONDITION_FIELD_MAX || text.p[0] == '.' ||
		text.p[text.n - 1] == '.')
		return false;
	return memmem(text.p, text.n, "..", 2) == NULL;
}

/* Splits the field's path at its dots. */
static int read_path(struct reading *r, struct condition *c, struct str text)
{
	size_t n = 1;
	char *copy = arena_alloc(r->arena, text.n + 1);

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '.';
	c->path = arena_alloc(r->arena, n * sizeof *c->path);
	if (!copy || !c->path)
		return -ENOMEM;
	memcpy(copy, text.p, text.n);
	while (c->n_path < n) {
		c->path[c->n_path++] = copy;
		copy += strcspn(copy, ".");
		*copy++ = '\0';
	}
	return 0;
}

/* Returns 1 when the field is right. */
static int read_field(struct reading *r, const struct yaml_node *map, struct condition *c)
{
	static const char prefix[] = "results.";
	const struct yaml_node *field = yaml_get(map, "field");
	struct str path;

	if (!field) {
		yaml_fault(r->faults, map,
			"'field' is missing: what of the order is compared, such as total_amount");
		return 0;
	}
	if (field->type != YAML_STRING || !is_path(field->text) || str_is(field->text, "results")) {
		yaml_fault(r->faults, field,
			"'field' must be a path of names, such as total_amount, customer.country "
			"or "
			"results.STAGE.risk");
		return 0;
	}
	c->field = field;
	c->reads_results = str_starts(field->text, STR(prefix));
	path = field->text;
	if (c->reads_results)
		path = (struct str){path.p + strlen(prefix), path.n - strlen(prefix)};
	return read_path(r, c, path) < 0 ? -ENOMEM : 1;
}

/* The one comparison of the map; NULL after a fault. */
static const struct yaml_node *the_literal(const struct reading *r, const struct yaml_node *map)
{
	const struct yaml_node *found = NULL;

	for (const struct yaml_node *m = map->first; m; m = m->next) {
		if (!comparison_find(m->key))
			continue;
		if (found) {
			yaml_fault_key(r->faults, m,
				"one comparison at a time; put '%s' and '%s' together with `all`",
				found->key.p, m->key.p);
			return NULL;
		}
		found = m;
	}
	if (!found)
		yaml_fault(r->faults, map, "a comparison is missing, such as `above: 100`");
	return found;
}

static int read_comparison(
	struct reading *r, const struct yaml_node *map, bool is_known, struct condition *c)
{
	int r_field = read_field(r, map, c);
	const struct yaml_node *literal = is_known ? the_literal(r, map) : NULL;
	const struct comparison *k = literal ? comparison_find(literal->key) : NULL;

	if (r_field < 0)
		return r_field;
	if (!k || !check_literal(r, k, literal) || r_field == 0)
		return 0;
	c->comparison = k;
	c->literal = literal;
	c->is_opposite = k->is_opposite || (k->wants == LITERAL_BOOL && !literal->boolean);
	return 0;
}

/* --- combinations --- */

static int read_condition(
	struct reading *r, const struct yaml_node *node, int depth, struct condition **ret);

static int read_list(
	struct reading *r, const struct yaml_node *list, int depth, struct condition *c)
{
	const struct condition **slot = &c->first;

	if (list->type != YAML_LIST || list->n_children == 0) {
		yaml_fault(r->faults, list, "'%s' must be a list of conditions", list->key.p);
		return 0;
	}
	c->is_any = str_is(list->key, "any");
	for (const struct yaml_node *m = list->first; m; m = m->next) {
		struct condition *child;
		int code = read_condition(r, m, depth + 1, &child);

		if (code < 0)
			return code;
		if (!child)
			continue;
		*slot = child;
		slot = &child->next;
	}
	return 0;
}

static int read_combination(
	struct reading *r, const struct yaml_node *member, int depth, struct condition *c)
{
	struct condition *child;
	int code;

	if (!str_is(member->key, "not"))
		return read_list(r, member, depth, c);
	c->is_opposite = true;
	code = read_condition(r, member, depth + 1, &child);
	c->first = child;
	return code;
}

/* The member that puts conditions together; the fault when it is not alone. */
static const struct yaml_node *the_combination(
	const struct reading *r, const struct yaml_node *map, bool is_known)
{
	const struct yaml_node *m = map->first, *other = map->first;

	while (m && !is_one_of(m->key, combinations))
		m = m->next;
	if (!m || map->n_children == 1 || !is_known)
		return m;
	if (other == m)
		other = m->next;
	yaml_fault_key(r->faults, other,
		"'%.60s' cannot stand beside '%s'; put both into a list of `all`", other->key.p,
		m->key.p);
	return m;
}

static int read_condition(
	struct reading *r, const struct yaml_node *node, int depth, struct condition **ret)
{
	const struct yaml_node *combination;
	bool is_known;

	*ret = NULL;
	if (depth > CONDITION_DEPTH_MAX || r->n_nodes > CONDITION_NODES_MAX)
		return 0;
	if (depth == CONDITION_DEPTH_MAX || r->n_nodes == CONDITION_NODES_MAX)
		yaml_fault(r->faults, node, "a condition has at most %d parts, %d deep",
			CONDITION_NODES_MAX, CONDITION_DEPTH_MAX);
	r->n_nodes++;
	if (node->type != YAML_MAP) {
		yaml_fault(r->faults, node,
			"a condition is a map, such as {field: total_amount, above: 100}");
		return 0;
	}
	*ret = arena_alloc(r->arena, sizeof **ret);
	if (!*ret)
		return -ENOMEM;
	is_known = check_keys(r, node);
	combination = the_combination(r, node, is_known);
	return combination ? read_combination(r, combination, depth, *ret)
			   : read_comparison(r, node, is_known, *ret);
}

int condition_read(const struct yaml_node *node, struct arena *arena, const struct condition **ret,
	struct yaml_faults *faults)
{
	struct reading r = {.arena = arena, .faults = faults};
	struct condition *c;
	int code = read_condition(&r, node, 0, &c);

	if (code == 0)
		*ret = c;
	return code;
}

/* --- schema --- */

static void one_form(struct json_writer *w, const char *name, int64_t n_members)
{
	json_open(w, '{');
	json_key(w, "required");
	json_open(w, '[');
	json_text(w, name);
	json_close(w, ']');
	json_key(w, "minProperties");
	json_int(w, n_members);
	json_key(w, "maxProperties");
	json_int(w, n_members);
	json_close(w, '}');
}

static void reference(struct json_writer *w, const char *ref)
{
	json_open(w, '{');
	json_key(w, "$ref");
	json_text(w, ref);
	json_close(w, '}');
}

static void combination_schema(struct json_writer *w, const char *name, const char *ref)
{
	json_key(w, name);
	if (strcmp(name, "not") == 0) {
		reference(w, ref);
		return;
	}
	json_open(w, '{');
	json_key(w, "type");
	json_text(w, "array");
	json_key(w, "minItems");
	json_int(w, 1);
	json_key(w, "items");
	reference(w, ref);
	json_close(w, '}');
}

static void properties(struct json_writer *w, const char *ref)
{
	json_key(w, "field");
	json_open(w, '{');
	literal_kinds[LITERAL_TEXT].schema(w);
	json_key(w, "description");
	json_text(w, "path into the order, or results.STAGE.path");
	json_close(w, '}');
	for (size_t i = 0; comparisons[i].name; i++) {
		json_key(w, comparisons[i].name);
		json_open(w, '{');
		literal_kinds[comparisons[i].wants].schema(w);
		json_close(w, '}');
	}
	for (size_t i = 0; combinations[i]; i++)
		combination_schema(w, combinations[i], ref);
}

void condition_schema(struct json_writer *w, const char *ref)
{
	json_key(w, "type");
	json_text(w, "object");
	json_key(w, "additionalProperties");
	json_bool(w, false);
	json_key(w, "oneOf");
	json_open(w, '[');
	one_form(w, "field", 2);
	for (size_t i = 0; combinations[i]; i++)
		one_form(w, combinations[i], 1);
	json_close(w, ']');
	json_key(w, "properties");
	json_open(w, '{');
	properties(w, ref);
	json_close(w, '}');
}
