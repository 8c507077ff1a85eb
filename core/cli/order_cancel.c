/* What cancelling an order would undo, told beforehand. */
#include "cli/order_cancel.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/table.h"

/* Also one that is on hold at an undo, or waits for a stage that still runs, has turned round. */
static bool has_turned_round(const cJSON *events)
{
	const cJSON *event;

	cJSON_ArrayForEach (event, events) {
		const struct str type = json_member(event, "event_type");

		if (str_is(type, "cancel_requested") || str_is(type, "stage_failed"))
			return true;
	}
	return false;
}

/* Why it is too late to cancel; NULL: it is not. */
static const char *why_too_late(const cJSON *order, const cJSON *events)
{
	if (cJSON_GetObjectItemCaseSensitive(order, "completed_at"))
		return "it has ended";
	return has_turned_round(events) ? "it is being undone already" : NULL;
}

struct fate {
	const char *word, *text;
};

/* What becomes of a stage; NULL: it has done nothing. Whether one that is queued runs, the journal does not tell. */
static const struct fate *fate_of(const cJSON *stage)
{
	static const struct fate undo = {"undo", "is undone"},
				 keep = {"keep", "stays as it is: it has no undo"},
				 wait = {"wait",
					 "is waited for if it runs, and undone if it succeeds"};
	const struct str status = json_member(stage, "status");

	if (str_is(status, "queued") || str_is(status, "running"))
		return &wait;
	if (str_is(status, "done"))
		return json_member(stage, "undo_event").n ? &undo : &keep;
	return NULL;
}

/* The last one first, as they are undone. */
static void print_table(const cJSON *stages)
{
	static const struct table_column columns[] = {{"STAGE"}, {"WHAT", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};

	for (int i = cJSON_GetArraySize(stages) - 1; i >= 0; i--) {
		const cJSON *stage = cJSON_GetArrayItem(stages, i);
		const struct fate *fate = fate_of(stage);

		if (!fate)
			continue;
		table_add_member(&t, stage, "name");
		table_add(&t, fate->text);
	}
	table_print(&t);
}

static void print_json(const cJSON *order, const cJSON *stages)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};

	json_open(&w, '{');
	json_key(&w, "id");
	json_str(&w, json_member(order, "id"));
	json_key(&w, "status");
	json_str(&w, json_member(order, "status"));
	json_key(&w, "dry_run");
	json_bool(&w, true);
	json_key(&w, "stages");
	json_open(&w, '[');
	for (int i = cJSON_GetArraySize(stages) - 1; i >= 0; i--) {
		const cJSON *stage = cJSON_GetArrayItem(stages, i);
		const struct fate *fate = fate_of(stage);

		if (!fate)
			continue;
		json_open(&w, '{');
		json_key(&w, "stage");
		json_str(&w, json_member(stage, "name"));
		json_key(&w, "what");
		json_text(&w, fate->word);
		json_close(&w, '}');
	}
	json_close(&w, ']');
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

int order_cancel_preview(const struct remote *r, const cJSON *answer)
{
	const cJSON *order = cJSON_GetObjectItemCaseSensitive(answer, "order");
	const cJSON *stages = cJSON_GetObjectItemCaseSensitive(order, "stages");
	const char *late = why_too_late(order, cJSON_GetObjectItemCaseSensitive(answer, "events"));

	if (late) {
		fprintf(stderr, "stageline: error: order %s cannot be cancelled: %s\n",
			r->arguments[0], late);
		return EXIT_FAILURE;
	}
	if (r->flags[FLAG_JSON]) {
		print_json(order, stages);
		return EXIT_SUCCESS;
	}
	print_table(stages);
	fprintf(stderr, "Order %s would be cancelled; nothing was changed\n", r->arguments[0]);
	return EXIT_SUCCESS;
}
