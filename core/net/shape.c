/* The shape of an order: one pass that checks and one that writes the canonical form. */
#include "net/shape.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

struct faults {
	struct json_writer w;
	size_t n;
};

static void fault(struct faults *f, const char *detail, const char *pointer_fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fault(struct faults *f, const char *detail, const char *pointer_fmt, ...)
{
	char pointer[128];
	va_list ap;

	va_start(ap, pointer_fmt);
	vsnprintf(pointer, sizeof pointer, pointer_fmt, ap);
	va_end(ap);
	json_open(&f->w, '{');
	json_key(&f->w, "pointer");
	json_text(&f->w, pointer);
	json_key(&f->w, "detail");
	json_text(&f->w, detail);
	json_close(&f->w, '}');
	f->n++;
}

/* --- members: one table for the order, one for an item --- */

enum member_type { MEMBER_TEXT, MEMBER_COUNT, MEMBER_MONEY, MEMBER_ITEMS };

struct member {
	const char *name;
	enum member_type type;
	const char *wrong;
};

static const struct member order_members[] = {
	{"customer_email", MEMBER_TEXT, "must be a text of 1 to 254 bytes"},
	{"items", MEMBER_ITEMS, "must be a list of at most 500 items"},
	{"total_amount", MEMBER_MONEY, "must be an amount with at most two decimals"},
};

static const struct member item_members[] = {
	{"product_id", MEMBER_TEXT, "must be a text of 1 to 254 bytes"},
	{"name", MEMBER_TEXT, "must be a text of 1 to 254 bytes"},
	{"quantity", MEMBER_COUNT, "must be a whole number between -1000000 and 1000000"},
	{"price", MEMBER_MONEY, "must be an amount with at most two decimals"},
};

/* Members that Stageline itself writes beside those of the order. */
static const char *const reserved[] = {"id", "status", "created_at", "updated_at", "completed_at",
	"error", "generation", "last_seq", "stages"};

static bool member_fits(const struct member *m, const cJSON *j)
{
	int64_t number;

	switch (m->type) {
	case MEMBER_TEXT:
		return cJSON_IsString(j) && j->valuestring[0] &&
		       strlen(j->valuestring) <= SHAPE_TEXT_MAX;
	case MEMBER_COUNT:
		return json_to_int(j, &number) && number >= -1000000 && number <= 1000000;
	case MEMBER_MONEY:
		return json_to_money(j, &number);
	case MEMBER_ITEMS:
		return cJSON_IsArray(j) && cJSON_GetArraySize(j) <= SHAPE_ITEMS_MAX;
	}
	return false;
}

static const struct member *member_find(const struct member *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* One step of a JSON Pointer (RFC 6901), cut at a character so that it stays UTF-8. */
static void pointer_step(const char *at, const char *name, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "%s/", at);

	for (const char *p = name; *p; p++) {
		size_t need = *p == '~' || *p == '/' ? 2 : 1;

		if (n + need + 4 > size && ((unsigned char)*p & 0xc0) != 0x80)
			break;
		if (need == 2)
			out[n++] = '~';
		out[n++] = *p == '~' ? '0' : *p == '/' ? '1' : *p;
	}
	out[n] = '\0';
}

static void check_names(const cJSON *object, bool is_order, const char *at, struct faults *f)
{
	const cJSON *m;

	if (cJSON_GetArraySize(object) > SHAPE_MEMBERS_MAX) {
		fault(f, "has more than 64 members", "%s", at);
		return;
	}
	cJSON_ArrayForEach (m, object) {
		if (cJSON_GetObjectItemCaseSensitive(object, m->string) != m) {
			char pointer[96];

			pointer_step(at, m->string, pointer, sizeof pointer);
			fault(f, "is given twice", "%s", pointer);
		}
		for (size_t i = 0; is_order && i < ARRAY_LEN(reserved); i++)
			if (strcmp(m->string, reserved[i]) == 0)
				fault(f, "is set by Stageline and cannot be given", "/%s",
					reserved[i]);
	}
}

static void check_members(
	const cJSON *object, const struct member *table, size_t n, const char *at, struct faults *f)
{
	for (size_t i = 0; i < n; i++) {
		const cJSON *m = cJSON_GetObjectItemCaseSensitive(object, table[i].name);

		if (!m)
			fault(f, "is missing", "%s/%s", at, table[i].name);
		else if (!member_fits(&table[i], m))
			fault(f, table[i].wrong, "%s/%s", at, table[i].name);
	}
}

static void check_order(const cJSON *order, struct faults *f)
{
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(order, "items"), *item;
	int i = 0;

	check_names(order, true, "", f);
	check_members(order, order_members, ARRAY_LEN(order_members), "", f);
	if (!cJSON_IsArray(items) || cJSON_GetArraySize(items) > SHAPE_ITEMS_MAX)
		return;
	cJSON_ArrayForEach (item, items) {
		char at[32];

		snprintf(at, sizeof at, "/items/%d", i++);
		if (!cJSON_IsObject(item)) {
			fault(f, "must be an object", "%s", at);
			continue;
		}
		check_names(item, false, at, f);
		check_members(item, item_members, ARRAY_LEN(item_members), at, f);
	}
}

/* --- the canonical form --- */

static void write_rest(
	const cJSON *object, const struct member *table, size_t n, struct json_writer *w)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, object) {
		if (member_find(table, n, m->string))
			continue;
		json_key(w, m->string);
		json_tree(w, m);
	}
}

static void write_value(const struct member *m, const cJSON *j, struct json_writer *w)
{
	int64_t minor = 0;

	if (m->type == MEMBER_MONEY && json_to_money(j, &minor))
		json_money(w, minor);
	else
		json_tree(w, j);
}

static void write_item(const cJSON *item, struct json_writer *w)
{
	json_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(item_members); i++) {
		json_key(w, item_members[i].name);
		write_value(&item_members[i],
			cJSON_GetObjectItemCaseSensitive(item, item_members[i].name), w);
	}
	write_rest(item, item_members, ARRAY_LEN(item_members), w);
	json_close(w, '}');
}

static void write_items(const cJSON *items, struct json_writer *w)
{
	const cJSON *item;

	json_open(w, '[');
	cJSON_ArrayForEach (item, items) {
		write_item(item, w);
	}
	json_close(w, ']');
}

static void write_order(const cJSON *order, struct json_writer *w)
{
	json_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(order_members); i++) {
		const struct member *m = &order_members[i];
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(order, m->name);

		json_key(w, m->name);
		if (m->type == MEMBER_ITEMS)
			write_items(value, w);
		else
			write_value(m, value, w);
	}
	write_rest(order, order_members, ARRAY_LEN(order_members), w);
	json_close(w, '}');
}

int shape_order(struct str text, unsigned max_depth, struct buf *canonical,
	struct order_facts **ret_facts, struct buf *errors, struct err *e)
{
	_cleanup_(json_freep) cJSON *order = NULL;
	struct faults f = {.w = {errors, false}};
	struct json_writer w = {canonical, false};
	int r = json_parse(text, max_depth, &order, e);

	if (r < 0)
		return r;
	if (!cJSON_IsObject(order))
		return err_set(e, -EINVAL, "an order is a JSON object");
	json_open(&f.w, '[');
	check_order(order, &f);
	json_close(&f.w, ']');
	if (f.n)
		return errors->failed ? -ENOMEM : -EDOM;
	write_order(order, &w);
	if (canonical->failed)
		return -ENOMEM;
	return ret_facts ? order_facts_of(order, ret_facts) : 0;
}
