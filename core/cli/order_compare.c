/* What is different between two states of an order. */
#include "cli/order_compare.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/table.h"

struct comparison {
	cJSON *list;
	const char *stage;  /* NULL: of the order itself */
	struct buf pointer; /* to where it is */
	bool failed;
};

/* Takes `item`. */
static void put(struct comparison *c, cJSON *object, const char *name, cJSON *item)
{
	if (cJSON_AddItemToObject(object, name, item))
		return;
	cJSON_Delete(item);
	c->failed = true;
}

static void note(struct comparison *c, const cJSON *before, const cJSON *after)
{
	cJSON *change = cJSON_CreateObject();

	if (!cJSON_AddItemToArray(c->list, change)) {
		cJSON_Delete(change);
		c->failed = true;
		return;
	}
	if (c->stage)
		put(c, change, "stage", cJSON_CreateString(c->stage));
	put(c, change, "pointer", cJSON_CreateString(buf_view(&c->pointer).p));
	if (before)
		put(c, change, "before", cJSON_Duplicate(before, true));
	if (after)
		put(c, change, "after", cJSON_Duplicate(after, true));
}

/* One more step of the pointer, escaped. */
static void step(struct buf *pointer, const char *name)
{
	buf_char(pointer, '/');
	for (; *name; name++) {
		if (*name == '~' || *name == '/')
			buf_text(pointer, *name == '~' ? "~0" : "~1");
		else
			buf_char(pointer, *name);
	}
}

static void step_back(struct buf *pointer, size_t length)
{
	if (!pointer->data)
		return;
	pointer->len = length;
	pointer->data[length] = '\0';
}

static bool is_of_parts(const cJSON *value)
{
	return cJSON_IsObject(value) || cJSON_IsArray(value);
}

/* Whether the parts are to be looked at one by one. */
static bool comes_apart(const cJSON *before, const cJSON *after)
{
	const cJSON *one = before ? before : after, *other = after ? after : before;

	return is_of_parts(one) && cJSON_IsArray(one) == cJSON_IsArray(other) &&
	       is_of_parts(other) && (one->child || other->child);
}

/* Of an order's own members. */
static bool is_told(const char *name)
{
	static const char *const untold[] = {
		"id", "created_at", "updated_at", "last_seq", "stages"};

	for (size_t i = 0; i < ARRAY_LEN(untold); i++)
		if (strcmp(name, untold[i]) == 0)
			return false;
	return true;
}

/* Numbers exactly, where cJSON takes neighbours for equal. What has parts is looked at part by part. */
static bool is_same(const cJSON *before, const cJSON *after)
{
	if (cJSON_IsNumber(before) && cJSON_IsNumber(after))
		return before->valuedouble == after->valuedouble;
	return !before->child && !after->child && cJSON_Compare(before, after, true);
}

/* One of both may be NULL. `name` NULL: the orders themselves. */
static void compare(struct comparison *c, const char *name, const cJSON *before, const cJSON *after)
{
	const cJSON *a = before ? before->child : NULL, *b = after ? after->child : NULL;
	bool is_list = cJSON_IsArray(before ? before : after);
	size_t length = c->pointer.len;

	if (before && after && is_same(before, after))
		return;
	if (name)
		step(&c->pointer, name);
	if (!comes_apart(before, after)) {
		note(c, before, after);
		a = b = NULL;
	}
	for (size_t i = 0; is_list && (a || b); i++) {
		char place[24];

		snprintf(place, sizeof place, "%zu", i);
		compare(c, place, a, b);
		a = a ? a->next : NULL;
		b = b ? b->next : NULL;
	}
	for (; a; a = a->next)
		if (name || is_told(a->string))
			compare(c, a->string, a,
				cJSON_GetObjectItemCaseSensitive(after, a->string));
	for (; b; b = b->next)
		if ((name || is_told(b->string)) &&
			!cJSON_GetObjectItemCaseSensitive(before, b->string))
			compare(c, b->string, NULL, b);
	step_back(&c->pointer, length);
}

/* --- stages, which are the same by name: another generation may have others --- */

static const cJSON *stage_of(const cJSON *order, const char *name)
{
	const cJSON *stage;

	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(order, "stages")) {
		const char *its = json_member(stage, "name").p;

		if (its && strcmp(its, name) == 0)
			return stage;
	}
	return NULL;
}

static void compare_stage(
	struct comparison *c, const char *name, const cJSON *before, const cJSON *after)
{
	static const char *const told[] = {"status", "attempt", "error", "due_at"};

	c->stage = name;
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		const cJSON *a = cJSON_GetObjectItemCaseSensitive(before, told[i]),
			    *b = cJSON_GetObjectItemCaseSensitive(after, told[i]);

		if (a || b)
			compare(c, told[i], a, b);
	}
	c->stage = NULL;
}

static void compare_stages(struct comparison *c, const cJSON *before, const cJSON *after)
{
	const cJSON *stage;

	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(before, "stages")) {
		const char *name = json_member(stage, "name").p;

		if (name)
			compare_stage(c, name, stage, stage_of(after, name));
	}
	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(after, "stages")) {
		const char *name = json_member(stage, "name").p;

		if (name && !stage_of(before, name))
			compare_stage(c, name, NULL, stage);
	}
}

cJSON *order_compare(const cJSON *before, const cJSON *after)
{
	struct comparison c = {.list = cJSON_CreateArray()};

	compare(&c, NULL, before, after);
	compare_stages(&c, before, after);
	if (c.failed || c.pointer.failed) {
		cJSON_Delete(c.list);
		c.list = NULL;
	}
	buf_fini(&c.pointer);
	return c.list;
}

/* --- as a table --- */

static bool has_stage(const cJSON *item)
{
	for (; item; item = item->next)
		if (cJSON_GetObjectItemCaseSensitive(item, "stage"))
			return true;
	return false;
}

/* Tables of changes that are all of the order itself lack the column for stages. */
static void add_change(struct table *t, const cJSON *change, bool has_stages)
{
	const char *pointer = json_member(change, "pointer").p;

	if (has_stages)
		table_add_member(t, change, "stage");
	table_add(t, pointer && *pointer ? pointer + 1 : NULL);
	table_add_member(t, change, "before");
	table_add_member(t, change, "after");
}

/* What was not there before the event. */
static void add_results(struct table *t, const cJSON *event, bool has_stages)
{
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(event, "metadata"), *result;

	cJSON_ArrayForEach (result, metadata) {
		if (has_stages)
			table_add_member(t, event, "stage");
		table_add(t, result->string);
		table_add(t, NULL);
		table_add_member(t, metadata, result->string);
	}
}

bool order_changes_print(const cJSON *changes, const cJSON *event)
{
	static const struct table_column columns[] = {{"STAGE", .is_cut = true},
		{"WHAT", .is_cut = true}, {"BEFORE", .is_cut = true, .is_status = true},
		{"AFTER", .is_cut = true, .is_status = true}};
	bool has_stages = has_stage(changes->child) || has_stage(event);
	size_t first = has_stages ? 0 : 1;
	_cleanup_(table_fini) struct table t = {columns + first, ARRAY_LEN(columns) - first};
	const cJSON *change;

	cJSON_ArrayForEach (change, changes) {
		add_change(&t, change, has_stages);
	}
	for (; event; event = event->next)
		add_results(&t, event, has_stages);
	if (t.n_cells)
		table_print(&t);
	return t.n_cells > 0;
}
