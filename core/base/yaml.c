/* YAML text to a tree of placed nodes, by libyaml's event parser. */
#include "base/yaml.h"

#include <yaml.h>

#include "base/mem.h"
#include "base/yaml_check.h"

enum { ANCHORS_MAX = 1000 };

struct weight {
	size_t nodes, bytes;
};

/* A node with a name. Aliases to it cost its weight again, so that what aliases blow up is bounded
 * before anybody walks it. */
struct anchor {
	struct anchor *next;
	struct str name;
	const struct yaml_node *node;
	struct weight weight;
	bool is_open; /* its end has not come yet */
};

struct parse {
	yaml_parser_t lib;
	yaml_event_t event; /* the current one, owned when has_event */
	bool has_event;
	struct yaml *y;
	struct yaml_faults *faults;
	struct anchor *anchors; /* newest first */
	size_t n_anchors;
	struct weight weight; /* of the whole tree as if aliases were written out */
};

/* A node that only says where something is. */
static struct yaml_node place(yaml_mark_t mark)
{
	return (struct yaml_node){.line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

/* libyaml's own complaint, in one sentence. */
static int fault_of_library(struct parse *p)
{
	const char *problem = p->lib.problem ? p->lib.problem : "not YAML";
	struct str source = {p->y->source, p->y->source_len};
	struct yaml_node at = place(p->lib.problem_mark);

	if (p->lib.error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->lib.error == YAML_READER_ERROR) {
		at = yaml_place_of_offset(source, p->lib.problem_offset);
		yaml_fault(p->faults, &at, "%s", problem);
	} else if (yaml_is_at_tab(p->y->source, &at)) {
		yaml_fault(p->faults, &at, "a tab character; YAML is indented with spaces");
	} else if (p->lib.context && p->lib.context_mark.line != p->lib.problem_mark.line) {
		yaml_fault(p->faults, &at, "%s %s that starts in line %d", problem, p->lib.context,
			(int)p->lib.context_mark.line + 1);
	} else {
		yaml_fault(p->faults, &at, "%s%s%s", problem, p->lib.context ? " " : "",
			p->lib.context ? p->lib.context : "");
	}
	return -EINVAL;
}

static void drop_event(struct parse *p)
{
	if (p->has_event)
		yaml_event_delete(&p->event);
	p->has_event = false;
}

static int next_event(struct parse *p)
{
	drop_event(p);
	if (!yaml_parser_parse(&p->lib, &p->event))
		return fault_of_library(p);
	p->has_event = true;
	return 0;
}

static int add_weight(struct parse *p, struct weight w)
{
	struct yaml_node at = place(p->event.start_mark);

	p->weight.nodes += w.nodes;
	p->weight.bytes += w.bytes;
	if (p->weight.nodes <= YAML_NODES_MAX && p->weight.bytes <= YAML_FILE_MAX)
		return 0;
	yaml_fault(p->faults, &at, "too large: more than %d values or %d bytes, aliases counted",
		YAML_NODES_MAX, YAML_FILE_MAX);
	return -EINVAL;
}

static int node_new(struct parse *p, enum yaml_type type, struct yaml_node **ret)
{
	struct yaml_node *node = arena_alloc(&p->y->arena, sizeof *node);

	if (!node)
		return -ENOMEM;
	node->type = type;
	node->line = (int)p->event.start_mark.line + 1;
	node->column = (int)p->event.start_mark.column + 1;
	*ret = node;
	return add_weight(p, (struct weight){1, 0});
}

/* Remembers a node's name; NULL name: nothing to remember. */
static int anchor_open(
	struct parse *p, const yaml_char_t *name, const struct yaml_node *node, struct anchor **ret)
{
	struct anchor *a;

	*ret = NULL;
	if (!name)
		return 0;
	if (++p->n_anchors > ANCHORS_MAX) {
		yaml_fault(p->faults, node, "more than %d anchors in one file", ANCHORS_MAX);
		return -EINVAL;
	}
	a = arena_alloc(&p->y->arena, sizeof *a);
	if (!a || !arena_copy(&p->y->arena, str_of((const char *)name), &a->name))
		return -ENOMEM;
	a->node = node;
	a->weight = p->weight;
	a->is_open = true;
	a->next = p->anchors;
	p->anchors = a;
	*ret = a;
	return 0;
}

static void anchor_close(const struct parse *p, struct anchor *a)
{
	if (!a)
		return;
	a->weight.nodes = p->weight.nodes - a->weight.nodes + 1;
	a->weight.bytes = p->weight.bytes - a->weight.bytes;
	a->is_open = false;
}

/* An alias becomes a node of its own that shares the children of the one it names. */
static int parse_alias(struct parse *p, struct yaml_node **ret)
{
	const char *name = (const char *)p->event.data.alias.anchor;
	struct yaml_node at = place(p->event.start_mark);
	const struct anchor *a = p->anchors;
	struct yaml_node *node;
	int r;

	while (a && !str_is(a->name, name))
		a = a->next;
	if (!a || a->is_open) {
		yaml_fault(p->faults, &at,
			a ? "the alias '*%.60s' stands inside the value that it repeats"
			  : "the alias '*%.60s' repeats nothing: no '&' with that name above",
			name);
		return -EINVAL;
	}
	r = add_weight(p, a->weight);
	if (r < 0)
		return r;
	node = arena_alloc(&p->y->arena, sizeof *node);
	if (!node)
		return -ENOMEM;
	*node = *a->node;
	node->line = at.line;
	node->column = at.column;
	node->key = (struct str){NULL, 0};
	node->key_line = node->key_column = 0;
	node->next = NULL;
	*ret = node;
	return 0;
}

static bool tag_is(const yaml_char_t *tag, const char *want)
{
	return !tag || strcmp((const char *)tag, want) == 0;
}

static int parse_scalar(struct parse *p, struct yaml_node **ret)
{
	const char *value = (const char *)p->event.data.scalar.value;
	size_t length = p->event.data.scalar.length;
	const char *tag = (const char *)p->event.data.scalar.tag;
	bool is_plain = p->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct anchor *anchor;
	struct yaml_node *node;
	int r = node_new(p, YAML_STRING, &node);

	if (r == 0)
		r = anchor_open(p, p->event.data.scalar.anchor, node, &anchor);
	if (r == 0)
		r = add_weight(p, (struct weight){0, length});
	if (r < 0)
		return r;
	if (!arena_copy(&p->y->arena, (struct str){value, length}, &node->text))
		return -ENOMEM;
	if (memchr(value, '\0', length))
		yaml_fault(p->faults, node, "text with a NUL character (\\0) is not accepted");
	if (tag)
		yaml_resolve_tagged(node, tag, p->faults);
	else if (is_plain && !yaml_resolve(node))
		yaml_fault(p->faults, node,
			"the number does not fit; if it is text, put it in quotes");
	anchor_close(p, anchor);
	*ret = node;
	return 0;
}

static int parse_node(struct parse *p, int depth, struct yaml_node **ret);

/* The children of a list, up to its end event. */
static int parse_items(struct parse *p, struct yaml_node *list, int depth)
{
	struct yaml_node **slot = &list->first;

	for (;;) {
		int r = next_event(p);

		if (r < 0)
			return r;
		if (p->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		r = parse_node(p, depth + 1, slot);
		if (r < 0)
			return r;
		slot = &(*slot)->next;
		list->n_children++;
	}
}

static int parse_member(struct parse *p, int depth, struct yaml_node **ret)
{
	bool is_plain = p->event.type == YAML_SCALAR_EVENT &&
			p->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct yaml_node *key, *value;
	int r = parse_node(p, depth + 1, &key);

	if (r == 0)
		r = next_event(p);
	if (r == 0)
		r = parse_node(p, depth + 1, &value);
	if (r < 0)
		return r;
	*ret = NULL;
	if (!yaml_check_key(key, is_plain, p->faults))
		return 0;
	value->key = key->text;
	value->key_line = key->line;
	value->key_column = key->column;
	*ret = value;
	return 0;
}

/* The members of a map, up to its end event. */
static int parse_members(struct parse *p, struct yaml_node *map, int depth)
{
	struct yaml_node **slot = &map->first;

	for (;;) {
		int r = next_event(p);

		if (r < 0)
			return r;
		if (p->event.type == YAML_MAPPING_END_EVENT)
			return yaml_check_duplicates(map, p->faults);
		r = parse_member(p, depth, slot);
		if (r < 0)
			return r;
		if (!*slot)
			continue;
		slot = &(*slot)->next;
		map->n_children++;
	}
}

static int parse_collection(struct parse *p, bool is_map, int depth, struct yaml_node **ret)
{
	const yaml_char_t *name =
		is_map ? p->event.data.mapping_start.anchor : p->event.data.sequence_start.anchor;
	const yaml_char_t *tag =
		is_map ? p->event.data.mapping_start.tag : p->event.data.sequence_start.tag;
	struct anchor *anchor;
	struct yaml_node *node;
	int r = node_new(p, is_map ? YAML_MAP : YAML_LIST, &node);

	if (r == 0)
		r = anchor_open(p, name, node, &anchor);
	if (r < 0)
		return r;
	if (!tag_is(tag, is_map ? YAML_MAP_TAG : YAML_SEQ_TAG))
		yaml_fault(p->faults, node, "the tag '%.60s' is not known here; leave it out", tag);
	if (depth >= YAML_DEPTH_MAX) {
		yaml_fault(p->faults, node, "nested more than %d deep", YAML_DEPTH_MAX);
		return -EINVAL;
	}
	r = is_map ? parse_members(p, node, depth) : parse_items(p, node, depth);
	if (r < 0)
		return r;
	anchor_close(p, anchor);
	*ret = node;
	return 0;
}

/* The node that the current event starts. Afterwards the current event is its last one. */
static int parse_node(struct parse *p, int depth, struct yaml_node **ret)
{
	if (p->event.type == YAML_ALIAS_EVENT)
		return parse_alias(p, ret);
	if (p->event.type == YAML_SCALAR_EVENT)
		return parse_scalar(p, ret);
	return parse_collection(p, p->event.type == YAML_MAPPING_START_EVENT, depth, ret);
}

static int parse_stream(struct parse *p)
{
	struct yaml_node at;
	int r = next_event(p);

	if (r == 0)
		r = next_event(p);
	if (r < 0)
		return r;
	if (p->event.type == YAML_STREAM_END_EVENT)
		return node_new(p, YAML_NULL, &p->y->root);
	r = next_event(p);
	if (r == 0)
		r = parse_node(p, 0, &p->y->root);
	if (r == 0)
		r = next_event(p);
	if (r == 0)
		r = next_event(p);
	if (r < 0 || p->event.type == YAML_STREAM_END_EVENT)
		return r;
	at = place(p->event.start_mark);
	yaml_fault(p->faults, &at, "a second document starts here; a file holds one");
	return -EINVAL;
}

static int tree_new(struct str text, struct yaml **ret)
{
	struct yaml *y = calloc(1, sizeof *y);

	if (!y)
		return -ENOMEM;
	y->source = str_dup(text);
	y->source_len = text.n;
	if (!y->source) {
		free(y);
		return -ENOMEM;
	}
	*ret = y;
	return 0;
}

int yaml_parse(struct str text, struct yaml **ret, struct yaml_faults *faults)
{
	_cleanup_(yaml_freep) struct yaml *y = NULL;
	struct parse p = {.faults = faults};
	int r;

	if (text.n > YAML_FILE_MAX) {
		yaml_fault(faults, NULL, "larger than %d bytes", YAML_FILE_MAX);
		return -EINVAL;
	}
	r = yaml_check_utf8(text, faults);
	if (r == 0)
		r = tree_new(text, &y);
	if (r < 0)
		return r;
	if (!yaml_parser_initialize(&p.lib))
		return -ENOMEM;
	p.y = y;
	yaml_parser_set_input_string(&p.lib, (const unsigned char *)y->source, y->source_len);
	r = parse_stream(&p);
	drop_event(&p);
	yaml_parser_delete(&p.lib);
	if (r == 0)
		*ret = steal_ptr(y);
	return r;
}

void yaml_destroy(struct yaml *y)
{
	if (!y)
		return;
	arena_fini(&y->arena);
	free(y->source);
	free(y);
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	if (!map || map->type != YAML_MAP)
		return NULL;
	for (const struct yaml_node *m = map->first; m; m = m->next)
		if (str_is(m->key, key))
			return m;
	return NULL;
}
