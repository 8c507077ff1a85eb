/* One order for people. */
#include "cli/order_text.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/table.h"

static int64_t time_of(const cJSON *object, const char *name)
{
	int64_t at_us = 0;

	clock_parse(json_member(object, name), &at_us);
	return at_us;
}

static void add_took(struct table *t, const cJSON *order)
{
	table_add(t, "took ms");
	table_add_int(t, (time_of(order, "completed_at") - time_of(order, "created_at")) / 1000);
}

static void print_head(const cJSON *order)
{
	const char *id = json_member(order, "id").p;
	const struct table_column columns[] = {{"ORDER"}, {id ? id : "", .is_cut = true}};
	static const struct {
		const char *label, *member;
	} lines[] = {{"status", "status"}, {"customer", "customer_email"},
		{"total", "total_amount"}, {"created", "created_at"}, {"updated", "updated_at"},
		{"completed", "completed_at"}, {"erased", "erased_at"}, {"archived", "archived_at"},
		{"archive", "archive"}, {"error", "error"}, {"generation", "generation"}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (!cJSON_GetObjectItemCaseSensitive(order, lines[i].member))
			continue;
		table_add(&t, lines[i].label);
		table_add_member(&t, order, lines[i].member);
		if (strcmp(lines[i].member, "completed_at") == 0)
			add_took(&t, order);
	}
	table_print(&t);
}

static void print_items(const cJSON *items)
{
	static const struct table_column columns[] = {{"PRODUCT"}, {"NAME", .is_cut = true},
		{"QUANTITY", .is_number = true}, {"PRICE", .is_number = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *item;

	cJSON_ArrayForEach (item, items) {
		table_add_member(&t, item, "product_id");
		table_add_member(&t, item, "name");
		table_add_member(&t, item, "quantity");
		table_add_member(&t, item, "price");
	}
	table_print(&t);
}

static void print_stages(const cJSON *stages)
{
	static const struct table_column columns[] = {{"STAGE", .is_cut = true},
		{"STATUS", .is_status = true}, {"ATTEMPT", .is_number = true},
		{"DUE", .is_extra = true}, {"ERROR", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *stage;

	cJSON_ArrayForEach (stage, stages) {
		table_add_member(&t, stage, "name");
		table_add_member(&t, stage, "status");
		table_add_member(&t, stage, "attempt");
		table_add_member(&t, stage, "due_at");
		table_add_member(&t, stage, "error");
	}
	table_print(&t);
}

static void print_events(const cJSON *events)
{
	static const struct table_column columns[] = {{"SEQ", .is_number = true}, {"TIME"},
		{"EVENT", .is_cut = true}, {"STATUS", .is_status = true, .is_extra = true},
		{"STAGE", .is_cut = true}, {"ATTEMPT", .is_number = true, .is_extra = true},
		{"MS", .is_number = true, .is_extra = true}, {"MESSAGE", .is_cut = true},
		{"REASON", .is_cut = true, .is_extra = true}};
	static const char *const members[] = {"seq", "timestamp", "event_type", "status", "stage",
		"attempt", "duration_ms", "message", "reason"};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *event;

	cJSON_ArrayForEach (event, events) {
		for (size_t i = 0; i < ARRAY_LEN(members); i++)
			table_add_member(&t, event, members[i]);
	}
	table_print(&t);
}

/* --- --long: event by event, uncut --- */

/* Times whole, to the microsecond. */
static void add_fact(struct table *t, const cJSON *event, const cJSON *fact)
{
	if (cJSON_IsString(fact) && !*fact->valuestring)
		return;
	table_add(t, fact->string);
	if (cJSON_IsString(fact))
		table_add(t, fact->valuestring);
	else
		table_add_member(t, event, fact->string);
}

static void print_event(const cJSON *event, bool is_first)
{
	char seq[24];
	const struct table_column columns[] = {{"EVENT"}, {seq}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *fact;

	snprintf(seq, sizeof seq, "%lld", (long long)json_int_member(event, "seq"));
	cJSON_ArrayForEach (fact, event) {
		if (strcmp(fact->string, "metadata") == 0)
			table_add_tree(&t, "metadata", fact);
		else if (strcmp(fact->string, "seq") != 0 && strcmp(fact->string, "order_id") != 0)
			add_fact(&t, event, fact);
		if (!is_first && strcmp(fact->string, "timestamp") == 0) {
			table_add(&t, "after_ms");
			table_add_int(&t,
				(time_of(event, "timestamp") - time_of(event->prev, "timestamp")) /
					1000);
		}
	}
	table_print(&t);
}

static void print_long_events(const cJSON *events)
{
	const cJSON *event;

	cJSON_ArrayForEach (event, events) {
		if (event != events->child)
			putchar('\n');
		if (cJSON_IsObject(event))
			print_event(event, event == events->child);
	}
}

void order_print(const struct remote *r, const cJSON *answer)
{
	const cJSON *order = cJSON_GetObjectItemCaseSensitive(answer, "order"),
		    *events = cJSON_GetObjectItemCaseSensitive(answer, "events");

	print_head(order);
	putchar('\n');
	if (cJSON_GetObjectItemCaseSensitive(order, "items")) {
		print_items(cJSON_GetObjectItemCaseSensitive(order, "items"));
		putchar('\n');
	}
	print_stages(cJSON_GetObjectItemCaseSensitive(order, "stages"));
	putchar('\n');
	if (r->flags[FLAG_LONG])
		print_long_events(events);
	else
		print_events(events);
}
