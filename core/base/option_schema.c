/* What a table of options looks like from outside: JSON Schema for editors, a list for people. */
#include "base/mem.h"
#include "base/option_type.h"

static void list_default(const char *text, struct json_writer *w)
{
	_cleanup_(yaml_freep) struct yaml *document = NULL;
	const struct yaml_node *item = NULL;

	if (yaml_parse(str_of(text), &document, NULL) == 0)
		item = document->root->first;
	json_open(w, '[');
	for (; item; item = item->next)
		json_str(w, item->text);
	json_close(w, ']');
}

static void schema_default(const struct sl_option *o, struct json_writer *w)
{
	struct yaml_node node = {.text = str_of(o->fallback)};

	json_key(w, "default");
	yaml_resolve(&node);
	if (o->type == SL_OPTION_LIST)
		list_default(o->fallback, w);
	else if (o->type == SL_OPTION_BOOL)
		json_bool(w, node.boolean);
	else if (o->type == SL_OPTION_INT)
		json_int(w, node.integer);
	else if (o->type == SL_OPTION_NUMBER || o->type == SL_OPTION_RATIO)
		json_double(w, node.number);
	else
		json_text(w, o->fallback);
}

static void description(const char *text, struct json_writer *w)
{
	if (!text)
		return;
	json_key(w, "description");
	json_text(w, text);
}

static void properties(
	const struct sl_option *table, size_t n, bool has_defaults, struct json_writer *w)
{
	for (size_t i = 0; i < n; i++) {
		json_key(w, table[i].name);
		json_open(w, '{');
		option_type(table[i].type)->schema(&table[i], w);
		description(table[i].summary, w);
		if (has_defaults && table[i].fallback)
			schema_default(&table[i], w);
		json_close(w, '}');
	}
}

void option_schema(const struct sl_option *table, size_t n, struct json_writer *w)
{
	json_open(w, '{');
	properties(table, n, true, w);
	json_close(w, '}');
}

static void map_schema(const struct option_map *map, bool has_defaults, struct json_writer *w);

static void map_or_word_schema(
	const struct option_key *key, bool has_defaults, struct json_writer *w)
{
	json_key(w, "anyOf");
	json_open(w, '[');
	json_open(w, '{');
	json_key(w, "const");
	json_text(w, key->word);
	json_close(w, '}');
	json_open(w, '{');
	map_schema(key->map, has_defaults, w);
	json_close(w, '}');
	json_close(w, ']');
}

static void key_schema(const struct option_key *key, bool has_defaults, struct json_writer *w)
{
	json_key(w, key->name);
	json_open(w, '{');
	if (key->word)
		map_or_word_schema(key, has_defaults, w);
	else if (key->map)
		map_schema(key->map, has_defaults, w);
	else
		key->schema(w);
	description(key->summary, w);
	json_close(w, '}');
}

static void required_names(const struct option_map *map, struct json_writer *w)
{
	for (size_t i = 0; i < map->n_options; i++)
		if (map->options[i].flags & SL_OPTION_REQUIRED)
			json_text(w, map->options[i].name);
	for (size_t i = 0; i < map->n_keys; i++)
		if (map->keys[i].is_required)
			json_text(w, map->keys[i].name);
}

static void map_schema(const struct option_map *map, bool has_defaults, struct json_writer *w)
{
	json_key(w, "type");
	json_text(w, "object");
	json_key(w, "required");
	json_open(w, '[');
	required_names(map, w);
	json_close(w, ']');
	json_key(w, "additionalProperties");
	if (map->others)
		map->others(w);
	else
		json_bool(w, false);
	json_key(w, "properties");
	json_open(w, '{');
	for (; map; map = map->inherits) {
		properties(map->options, map->n_options, has_defaults, w);
		for (size_t i = 0; i < map->n_keys; i++)
			key_schema(&map->keys[i], has_defaults, w);
		has_defaults = false;
	}
	json_close(w, '}');
}

void option_map_schema(const struct option_map *map, struct json_writer *w)
{
	map_schema(map, true, w);
}

void option_print(const struct sl_option *table, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct sl_option *o = &table[i];
		const char *fallback = o->fallback		       ? o->fallback
				       : o->flags & SL_OPTION_REQUIRED ? "(required)"
								       : "-";

		fprintf(out, "%-16s %-14s %-14s %s\n", o->name, option_type(o->type)->name,
			fallback, o->summary ? o->summary : "");
		if (o->choices)
			fprintf(out, "%-46s one of: %s\n", "", o->choices);
	}
}
