/* The data of a pipeline file: its catalogue and its initial state, checked and written as JSON. */
#include <ctype.h>
#include <math.h>

#include "base/mem.h"
#include "model/pipeline_keys.h"

enum { PRICE_DIGITS_MAX = 12 };

/* "999.99", "1.5" or "20" to minor units, from the text: no rounding on the way. */
static bool parse_price(struct str text, int64_t *ret_minor)
{
	int64_t minor = 0;
	size_t i = 0, decimals = 0;

	for (; i < text.n && isdigit((unsigned char)text.p[i]); i++)
		if (i < PRICE_DIGITS_MAX)
			minor = minor * 10 + (text.p[i] - '0');
	if (i == 0 || i > PRICE_DIGITS_MAX)
		return false;
	if (i < text.n && text.p[i++] != '.')
		return false;
	for (; i < text.n && isdigit((unsigned char)text.p[i]) && decimals < 2; i++, decimals++)
		minor = minor * 10 + (text.p[i] - '0');
	while (decimals++ < 2)
		minor *= 10;
	*ret_minor = minor;
	return i == text.n && minor > 0;
}

static void put_scalar(const struct yaml_node *n, struct json_writer *w)
{
	if (n->type == YAML_STRING)
		json_str(w, n->text);
	else if (n->type == YAML_BOOL)
		json_bool(w, n->boolean);
	else if (n->type == YAML_INT)
		json_int(w, n->integer);
	else if (n->type == YAML_FLOAT)
		json_double(w, n->number);
	else
		json_null(w);
}

static void put_value(const struct yaml_node *n, struct json_writer *w)
{
	if (n->type != YAML_LIST && n->type != YAML_MAP) {
		put_scalar(n, w);
		return;
	}
	json_open(w, n->type == YAML_MAP ? '{' : '[');
	for (const struct yaml_node *m = n->first; m; m = m->next) {
		if (n->type == YAML_MAP)
			json_key_str(w, m->key);
		put_value(m, w);
	}
	json_close(w, n->type == YAML_MAP ? '}' : ']');
}

void pipeline_state_json(const struct yaml_node *value, struct buf *out)
{
	struct json_writer w = {out, false};

	put_value(value, &w);
}

static bool is_finite_scalar(const struct yaml_node *n)
{
	if (n->type == YAML_LIST || n->type == YAML_MAP)
		return false;
	return n->type != YAML_FLOAT || isfinite(n->number);
}

static bool is_fixed_key(struct str key)
{
	return str_is(key, "id") || str_is(key, "name") || str_is(key, "price");
}

static void put_item(const struct catalog_entry *entry, int64_t price, const struct yaml_node *item,
	struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "id");
	json_text(w, entry->id);
	json_key(w, "name");
	json_text(w, entry->name);
	json_key(w, "price");
	json_money(w, price);
	for (const struct yaml_node *m = item->first; m; m = m->next) {
		if (is_fixed_key(m->key))
			continue;
		json_key_str(w, m->key);
		put_scalar(m, w);
	}
	json_close(w, '}');
}

static void check_extras(const struct yaml_node *item, struct yaml_faults *faults)
{
	for (const struct yaml_node *m = item->first; m; m = m->next)
		if (!is_fixed_key(m->key) && !is_finite_scalar(m))
			yaml_fault(faults, m,
				"'%.60s' must be text, a finite number, true, false or null",
				m->key.p);
}

static void check_id(const struct yaml_node *list, const struct yaml_node *item, const char *id,
	struct yaml_faults *faults)
{
	if (!*id)
		yaml_fault(faults, yaml_get(item, "id"), "'id' is empty");
	for (const struct yaml_node *other = list->first; other != item; other = other->next) {
		const struct yaml_node *taken = yaml_get(other, "id");

		if (!taken || taken->type != YAML_STRING || !str_is(taken->text, id))
			continue;
		yaml_fault(faults, yaml_get(item, "id"),
			"product '%.60s' is there already, in line %d", id, taken->line);
		return;
	}
}

static int read_item(const struct yaml_node *list, const struct yaml_node *item,
	struct arena *arena, struct json_writer *w, struct yaml_faults *faults)
{
	const struct yaml_node *price = yaml_get(item, "price");
	struct catalog_entry entry = {0};
	int64_t minor = 0;
	int r = option_map_read(&catalog_map, item, &entry, arena, faults);

	if (r == -ENOMEM)
		return r;
	if (entry.id)
		check_id(list, item, entry.id, faults);
	if (price && (price->type == YAML_STRING || !parse_price(price->text, &minor)))
		yaml_fault(faults, price,
			"'price' must be a number above 0 with at most two decimals, such as "
			"19.99");
	if (item->type == YAML_MAP)
		check_extras(item, faults);
	if (r == 0 && faults->n == 0)
		put_item(&entry, minor, item, w);
	return 0;
}

int catalog_read(const struct yaml_node *list, struct arena *arena, struct str *ret,
	struct yaml_faults *faults)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};
	int r = 0;

	json_open(&w, '[');
	if (list && list->type != YAML_LIST && list->type != YAML_NULL)
		yaml_fault(faults, list, "'catalog' must be a list of products");
	else
		for (const struct yaml_node *m = list ? list->first : NULL; m && r == 0;
			m = m->next)
			r = read_item(list, m, arena, &w, faults);
	json_close(&w, ']');
	if (r < 0)
		return r;
	return !out.failed && arena_copy(arena, buf_view(&out), ret) ? 0 : -ENOMEM;
}

/* Infinities have no JSON. */
static void check_numbers(const struct yaml_node *n, struct yaml_faults *faults)
{
	if (n->type == YAML_FLOAT && !isfinite(n->number))
		yaml_fault(faults, n, "a state value must be a finite number");
	for (const struct yaml_node *m = n->first; m; m = m->next)
		check_numbers(m, faults);
}

static bool is_state_key(struct str key)
{
	for (size_t i = 0; i < key.n; i++)
		if ((unsigned char)key.p[i] < 0x20 || key.p[i] == 0x7f)
			return false;
	return key.n > 0 && key.n <= STATE_KEY_MAX;
}

void state_check(const struct yaml_node *map, struct yaml_faults *faults)
{
	if (!map || map->type == YAML_NULL)
		return;
	if (map->type != YAML_MAP) {
		yaml_fault(faults, map, "'state' must be a map of keys and their initial values");
		return;
	}
	for (const struct yaml_node *m = map->first; m; m = m->next) {
		if (!is_state_key(m->key))
			yaml_fault_key(faults, m,
				"a state key has 1 to %d bytes and no control characters",
				STATE_KEY_MAX);
		if (m->type == YAML_NULL)
			yaml_fault(faults, m, "'%.60s' has no initial value", m->key.p);
		check_numbers(m, faults);
	}
}
