/* YAML text to a tree of placed nodes, by libyaml's event parser. */
#include "base/yaml.h"

#include <fcntl.h>
#include <unistd.h>
#include <yaml.h>

#include "base/json.h"
#include "base/mem.h"

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

static struct yaml_node place_of_offset(struct str text, size_t offset)
{
	struct yaml_node at = {.line = 1, .column = 1};

	for (size_t i = 0; i < offset && i < text.n; i++) {
		if (text.p[i] == '\n') {
			at.line++;
			at.column = 1;
		} else if (((unsigned char)text.p[i] & 0xc0) != 0x80) {
			at.column++;
		}
	}
	return at;
}

static bool is_at_tab(const struct parse *p, const struct yaml_node *at)
{
	const char *s = p->y->source;

	for (int line = 1; line < at->line && s; line++) {
		s = strchr(s, '\n');
		s = s ? s + 1 : NULL;
	}
	return s && strlen(s) >= (size_t)at->column && s[at->column - 1] == '\t';
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
		at = place_of_offset(source, p->lib.problem_offset);
		yaml_fault(p->faults, &at, "%s", problem);
	} else if (is_at_tab(p, &at)) {
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

/* Resolves a scalar that carries a tag: "!!str 5", "!!float 5". */
static void resolve_tagged(struct parse *p, struct yaml_node *node, const char *tag)
{
	static const struct {
		const char *tag;
		enum yaml_type type;
	} core[] = {{YAML_NULL_TAG, YAML_NULL}, {YAML_BOOL_TAG, YAML_BOOL},
		{YAML_INT_TAG, YAML_INT}, {YAML_FLOAT_TAG, YAML_FLOAT}};

	if (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(core); i++) {
		if (strcmp(tag, core[i].tag) != 0)
			continue;
		if (yaml_resolve(node) && node->type == YAML_INT && core[i].type == YAML_FLOAT)
			node->type = YAML_FLOAT;
		if (node->type != core[i].type)
			yaml_fault(p->faults, node, "the value is not of the type its tag says");
		return;
	}
	yaml_fault(p->faults, node, "the tag '%.60s' is not known here; leave it out", tag);
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
		resolve_tagged(p, node, tag);
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

/* Whether a node may be a key; the fault when not. */
static bool check_key(struct parse *p, const struct yaml_node *key, bool is_plain)
{
	if (key->type == YAML_LIST || key->type == YAML_MAP)
		yaml_fault(p->faults, key, "a key must be text, not a list or a map");
	else if (key->type != YAML_STRING)
		yaml_fault(p->faults, key, "a key must be text: write it in quotes, \"%.*s\"",
			(int)(key->text.n < 60 ? key->text.n : 60), key->text.p);
	else if (is_plain && str_is(key->text, "<<"))
		yaml_fault(p->faults, key,
			"'<<' (merge) is not part of YAML 1.2: write the keys out here");
	else
		return true;
	return false;
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
	if (!check_key(p, key, is_plain))
		return 0;
	value->key = key->text;
	value->key_line = key->line;
	value->key_column = key->column;
	*ret = value;
	return 0;
}

/* By key, those with the same key in the order of the file. */
static int compare_members(const void *a, const void *b)
{
	const struct yaml_node *x = *(const struct yaml_node *const *)a;
	const struct yaml_node *y = *(const struct yaml_node *const *)b;
	size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
	int order = memcmp(x->key.p, y->key.p, n);

	if (order == 0 && x->key.n != y->key.n)
		order = x->key.n < y->key.n ? -1 : 1;
	if (order == 0 && x->key_line != y->key_line)
		order = x->key_line < y->key_line ? -1 : 1;
	return order ? order : x->key_column - y->key_column;
}

static int check_duplicates(struct parse *p, const struct yaml_node *map)
{
	_cleanup_(freep) const struct yaml_node **members = NULL;
	const struct yaml_node *first = NULL;
	size_t n = 0;

	if (map->n_children < 2)
		return 0;
	members = malloc(map->n_children * sizeof *members);
	if (!members)
		return -ENOMEM;
	for (const struct yaml_node *m = map->first; m; m = m->next)
		members[n++] = m;
	qsort(members, n, sizeof *members, compare_members);
	for (size_t i = 0; i < n; i++) {
		if (!first || !str_eq(first->key, members[i]->key))
			first = members[i];
		else
			yaml_fault_key(p->faults, members[i],
				"duplicate key '%.60s'; the first one is in line %d, column %d",
				first->key.p, first->key_line, first->key_column);
	}
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
			return check_duplicates(p, map);
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

static size_t utf8_wish(unsigned char first)
{
	return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

static int check_utf8(struct str text, struct yaml_faults *faults)
{
	struct yaml_node at;
	size_t i = 0;

	if (utf8_valid(text))
		return 0;
	for (;;) {
		struct str c = {text.p + i, utf8_wish((unsigned char)text.p[i])};

		if (c.n > text.n - i || !utf8_valid(c))
			break;
		i += c.n;
	}
	at = place_of_offset(text, i);
	yaml_fault(faults, &at, "not valid UTF-8 (byte 0x%02x)", (unsigned char)text.p[i]);
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
	r = check_utf8(text, faults);
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

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

int yaml_read(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	_cleanup_(freep) char *text = malloc(YAML_FILE_MAX + 1);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = 0;
	ssize_t got;

	if (fd < 0)
		return err_set(e, -errno, "cannot be opened: %s", strerror(errno));
	if (!text)
		return err_set(e, -ENOMEM, "no memory to read it");
	do {
		got = read(fd, text + n, YAML_FILE_MAX + 1 - n);
		if (got < 0 && errno != EINTR)
			return err_set(e, -errno, "cannot be read: %s", strerror(errno));
		n += got > 0 ? (size_t)got : 0;
	} while (got != 0 && n <= YAML_FILE_MAX);
	if (n > YAML_FILE_MAX)
		return err_set(e, -EFBIG, "is larger than %d bytes", YAML_FILE_MAX);
	*ret = str_dup((struct str){text, n});
	if (!*ret)
		return err_set(e, -ENOMEM, "no memory to read it");
	*ret_len = n;
	return 0;
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
