/* Checks of YAML text and nodes that libyaml leaves to its caller. */
#include "base/yaml_check.h"

#include <yaml.h>

#include "base/json.h"
#include "base/mem.h"

struct yaml_node yaml_place_of_offset(struct str text, size_t offset)
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

static size_t utf8_wish(unsigned char first)
{
	return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

int yaml_check_utf8(struct str text, struct yaml_faults *faults)
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
	at = yaml_place_of_offset(text, i);
	yaml_fault(faults, &at, "not valid UTF-8 (byte 0x%02x)", (unsigned char)text.p[i]);
	return -EINVAL;
}

bool yaml_is_at_tab(const char *s, const struct yaml_node *at)
{
	for (int line = 1; line < at->line && s; line++) {
		s = strchr(s, '\n');
		s = s ? s + 1 : NULL;
	}
	return s && strlen(s) >= (size_t)at->column && s[at->column - 1] == '\t';
}

void yaml_resolve_tagged(struct yaml_node *node, const char *tag, struct yaml_faults *faults)
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
			yaml_fault(faults, node, "the value is not of the type its tag says");
		return;
	}
	yaml_fault(faults, node, "the tag '%.60s' is not known here; leave it out", tag);
}

bool yaml_check_key(const struct yaml_node *key, bool is_plain, struct yaml_faults *faults)
{
	if (key->type == YAML_LIST || key->type == YAML_MAP)
		yaml_fault(faults, key, "a key must be text, not a list or a map");
	else if (key->type != YAML_STRING)
		yaml_fault(faults, key, "a key must be text: write it in quotes, \"%.*s\"",
			(int)(key->text.n < 60 ? key->text.n : 60), key->text.p);
	else if (is_plain && str_is(key->text, "<<"))
		yaml_fault(faults, key,
			"'<<' (merge) is not part of YAML 1.2: write the keys out here");
	else
		return true;
	return false;
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

int yaml_check_duplicates(const struct yaml_node *map, struct yaml_faults *faults)
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
			yaml_fault_key(faults, members[i],
				"duplicate key '%.60s'; the first one is in line %d, column %d",
				first->key.p, first->key_line, first->key_column);
	}
	return 0;
}
