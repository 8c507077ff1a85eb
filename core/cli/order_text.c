/* One order for people. */
#include "cli/order_text.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/table.h"

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
		{"ERROR", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *stage;

	cJSON_ArrayForEach (stage, stages) {
		table_add_member(&t, stage, "name");
		table_add_member(&t, stage, "status");
		table_add_member(&t, stage, "attempt");
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

void order_print(const struct remote *r, const cJSON *answer)
{
	const cJSON *order = cJSON_GetObjectItemCaseSensitive(answer, "order");

	(void)r;
	print_head(order);
	putchar('\n');
	if (cJSON_GetObjectItemCaseSensitive(order, "items")) {
		print_items(cJSON_GetObjectItemCaseSensitive(order, "items"));
		putchar('\n');
	}
	print_stages(cJSON_GetObjectItemCaseSensitive(order, "stages"));
	putchar('\n');
	print_events(cJSON_GetObjectItemCaseSensitive(answer, "events"));
}
