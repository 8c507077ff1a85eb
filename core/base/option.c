/* Reading options: from a YAML map or from text into the fields that a table names. */
#include "base/option.h"

#include <assert.h>

#include "base/mem.h"
#include "base/option_type.h"

enum { NAMES_MAX = 256, OPTIONS_MAX = 200 };

struct reading {
	void *dst;
	struct arena *arena;
	struct yaml_faults *faults;
	int result;	  /* 0, -EINVAL; -ENOMEM wins */
	const char *word; /* may stand instead of the map; NULL: none */
};

static void fail(struct reading *r, int code)
{
	if (r->result != -ENOMEM && code < 0)
		r->result = code;
}

/* A plain or a quoted scalar, or YAML's own list. */
static int node_of_text(const struct sl_option *o, struct str text, struct yaml_node *node,
	struct yaml **ret_document)
{
	struct yaml_faults faults = {0};
	int r;

	*node = (struct yaml_node){.text = text};
	if (o->type != SL_OPTION_LIST) {
		yaml_resolve(node);
		return 0;
	}
	r = yaml_parse(text, ret_document, &faults);
	yaml_faults_fini(&faults);
	if (r == 0)
		*node = *(*ret_document)->root;
	else if (r == -EINVAL)
		node->type = YAML_STRING;
	node->text = text;
	return r == -EINVAL ? 0 : r;
}

int option_read_text(const struct sl_option *option, struct str text, void *dst, size_t size,
	struct arena *arena, struct err *e)
{
	const struct option_type *type = option_type(option->type);
	_cleanup_(yaml_freep) struct yaml *document = NULL;
	struct yaml_node node;
	struct option_value v = {
		.option = option, .node = &node, .is_text = true, .arena = arena, .e = e};
	int r;

	if (!type || type->size > size || option->offset > size - type->size)
		return err_set(e, -EINVAL, "'%s' is no option of this table", option->name);
	v.field = (char *)dst + option->offset;
	r = node_of_text(option, text, &node, &document);
	return r < 0 ? r : type->read(&v);
}

static void read_default(struct reading *r, const struct sl_option *o)
{
	const struct option_type *type = option_type(o->type);
	struct err e = {0};
	int code;

	if (!o->fallback)
		return;
	code = option_read_text(
		o, str_of(o->fallback), r->dst, o->offset + type->size, r->arena, &e);
	assert(code == 0 || code == -ENOMEM); /* the table was checked */
	fail(r, code);
}

static void read_value(struct reading *r, const struct sl_option *o, const struct yaml_node *node)
{
	struct err e = {0};
	struct option_value v = {.option = o,
		.node = node,
		.arena = r->arena,
		.e = &e,
		.field = (char *)r->dst + o->offset};
	int code = option_type(o->type)->read(&v);

	if (code == -EINVAL)
		yaml_fault(r->faults, v.wrong ? v.wrong : node, "%s", err_text(&e));
	fail(r, code);
}

static void read_options(struct reading *r, const struct sl_option *table, size_t n,
	const struct yaml_node *node, bool has_defaults)
{
	for (size_t i = 0; i < n; i++) {
		const struct yaml_node *value = yaml_get(node, table[i].name);

		if (value) {
			read_value(r, &table[i], value);
			continue;
		}
		if (has_defaults)
			read_default(r, &table[i]);
		if (has_defaults && table[i].flags & SL_OPTION_REQUIRED) {
			yaml_fault_key(r->faults, node, "'%s' is missing: %s", table[i].name,
				table[i].summary ? table[i].summary : "it has no default");
			fail(r, -EINVAL);
		}
	}
}

/* Faults of keys that are not in `names`. */
static void refuse_unknown(
	struct reading *r, const struct yaml_node *node, const char *const *names)
{
	for (const struct yaml_node *m = node ? node->first : NULL; m; m = m->next) {
		const char *guess;
		size_t i = 0;

		while (names[i] && !str_is(m->key, names[i]))
			i++;
		if (names[i])
			continue;
		guess = yaml_suggest(m->key, names);
		if (guess)
			yaml_fault_key(r->faults, m, "unknown key '%.60s' (did you mean '%s'?)",
				m->key.p, guess);
		else
			yaml_fault_key(r->faults, m, "unknown key '%.60s'", m->key.p);
		fail(r, -EINVAL);
	}
}

/* A map or nothing: the node to read from, or a fault. */
static bool is_readable(struct reading *r, const struct yaml_node **node)
{
	if (*node && (*node)->type == YAML_NULL)
		*node = NULL;
	if (!*node || (*node)->type == YAML_MAP)
		return true;
	if ((*node)->key.p && r->word)
		yaml_fault(r->faults, *node, "'%.60s' must be '%s' or a map of options",
			(*node)->key.p, r->word);
	else if ((*node)->key.p)
		yaml_fault(r->faults, *node, "'%.60s' must be a map of options", (*node)->key.p);
	else
		yaml_fault(r->faults, *node, "a map of options (key: value) is wanted here");
	fail(r, -EINVAL);
	return false;
}

int option_read(const struct sl_option *table, size_t n, const struct yaml_node *node,
	const char *const *skip, void *dst, size_t size, struct arena *arena,
	struct yaml_faults *faults)
{
	struct reading r = {.dst = dst, .arena = arena, .faults = faults};
	_cleanup_(freep) const char **names = NULL;
	const struct yaml_node *place = node;
	size_t n_names = 0, n_skip = 0;

	(void)size;
	while (skip && skip[n_skip])
		n_skip++;
	names = calloc(n + n_skip + 1, sizeof *names);
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		assert(table[i].offset + option_type(table[i].type)->size <= size);
		names[n_names++] = table[i].name;
	}
	for (size_t i = 0; i < n_skip; i++)
		names[n_names++] = skip[i];
	if (!is_readable(&r, &node))
		return r.result;
	read_options(&r, table, n, node ? node : place, true);
	refuse_unknown(&r, node, names);
	return r.result;
}

static void collect_names(const struct option_map *map, const char *names[NAMES_MAX], size_t *n)
{
	for (; map; map = map->inherits) {
		assert(*n + map->n_options + map->n_keys < NAMES_MAX);
		for (size_t i = 0; i < map->n_options; i++)
			names[(*n)++] = map->options[i].name;
		for (size_t i = 0; i < map->n_keys; i++)
			names[(*n)++] = map->keys[i].name;
	}
	names[*n] = NULL;
}

static void read_map(struct reading *r, const struct option_map *map, const struct yaml_node *node,
	bool has_defaults);

static void read_key(struct reading *r, const struct option_key *key, const struct yaml_node *node,
	bool has_defaults)
{
	const struct yaml_node *value = yaml_get(node, key->name);
	struct reading inner = *r;
	bool *is_word = (bool *)((char *)r->dst + key->word_offset);

	if (key->is_required && !value) {
		yaml_fault_key(r->faults, node, "'%s' is missing: %s", key->name, key->summary);
		fail(r, -EINVAL);
	}
	if (!key->map)
		return;
	if (key->word && value)
		*is_word = value->type == YAML_STRING && str_is(value->text, key->word);
	inner.dst = (char *)r->dst + key->offset;
	inner.word = key->word;
	read_map(&inner, key->map, key->word && *is_word ? NULL : value, has_defaults);
	fail(r, inner.result);
}

static void read_map(struct reading *r, const struct option_map *map, const struct yaml_node *node,
	bool has_defaults)
{
	const char *names[NAMES_MAX];
	const struct yaml_node *place = node;
	bool is_open = map->others != NULL;
	size_t n = 0;

	collect_names(map, names, &n);
	if (!is_readable(r, &node))
		return;
	for (; map; map = map->inherits) {
		read_options(r, map->options, map->n_options, node ? node : place, has_defaults);
		for (size_t i = 0; i < map->n_keys; i++)
			read_key(r, &map->keys[i], node ? node : place, has_defaults);
		has_defaults = false;
	}
	if (!is_open)
		refuse_unknown(r, node, names);
}

int option_map_read(const struct option_map *map, const struct yaml_node *node, void *dst,
	struct arena *arena, struct yaml_faults *faults)
{
	struct reading r = {.dst = dst, .arena = arena, .faults = faults};

	read_map(&r, map, node, true);
	return r.result;
}

/* Where the option's field starts and ends; false when it is not a sound field. */
static int check_field(const struct sl_option *o, size_t size, struct err *e)
{
	const struct option_type *type = option_type(o->type);

	if (!type)
		return err_set(e, -EINVAL, "option '%s' is of a type (%u) this host does not know",
			o->name, o->type);
	if (o->offset % type->align || type->size > size || o->offset > size - type->size)
		return err_set(e, -EINVAL,
			"option '%s': its field does not lie in the config struct", o->name);
	if (o->min > o->max)
		return err_set(
			e, -EINVAL, "option '%s': its minimum is above its maximum", o->name);
	if (o->type == SL_OPTION_CHOICE && (!o->choices || !*o->choices))
		return err_set(e, -EINVAL, "option '%s' is a choice without words", o->name);
	return 0;
}

static int check_pair(const struct sl_option *a, const struct sl_option *b, struct err *e)
{
	if (strcmp(a->name, b->name) == 0)
		return err_set(e, -EINVAL, "option '%s' is there twice", a->name);
	if (a->offset < b->offset + option_type(b->type)->size &&
		b->offset < a->offset + option_type(a->type)->size)
		return err_set(e, -EINVAL, "options '%s' and '%s' share bytes of the config struct",
			a->name, b->name);
	return 0;
}

static bool is_name(const char *name)
{
	return name && *name && strlen(name) <= 64 &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int check_default(const struct sl_option *o, void *scratch, size_t size, struct err *e)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	int r;

	if (!o->fallback)
		return 0;
	if (o->flags & SL_OPTION_REQUIRED)
		return err_set(e, -EINVAL, "option '%s' is required and has a default", o->name);
	r = option_read_text(o, str_of(o->fallback), scratch, size, &arena, e);
	return r < 0 ? err_wrap(e, r, "default of option '%s'", o->name) : 0;
}

int option_check_table(const struct sl_option *table, size_t n, size_t size, struct err *e)
{
	_cleanup_(freep) void *scratch = calloc(1, size + 1);
	int r;

	if (!scratch)
		return -ENOMEM;
	if (n > OPTIONS_MAX)
		return err_set(e, -EINVAL, "more than %d options", OPTIONS_MAX);
	if (n && !table)
		return err_set(e, -EINVAL, "%zu options, but no table of them", n);
	for (size_t i = 0; i < n; i++) {
		if (!is_name(table[i].name))
			return err_set(e, -EINVAL, "option %zu: a name is a-z, 0-9 and _", i + 1);
		r = check_field(&table[i], size, e);
		for (size_t j = 0; r == 0 && j < i; j++)
			r = check_pair(&table[j], &table[i], e);
		if (r == 0)
			r = check_default(&table[i], scratch, size, e);
		if (r < 0)
			return r;
	}
	return 0;
}
