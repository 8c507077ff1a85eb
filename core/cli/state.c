/* `stageline state`: stock and ledgers, and changing them. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/terminal.h"

static void print_list(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"KEY"}, {"VALUE", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *state = cJSON_GetObjectItemCaseSensitive(answer, "state"), *entry;
	const char *next = json_member(answer, "next").p;

	(void)r;
	cJSON_ArrayForEach (entry, state) {
		table_add(&t, entry->string);
		table_add_member(&t, state, entry->string);
	}
	table_print(&t);
	if (!next)
		return;
	fputs("There may be more: --after '", stderr);
	terminal_put(stderr, next, SIZE_MAX);
	fputs("'\n", stderr);
}

static int run_list(struct remote *r)
{
	static const enum remote_flag query[] = {FLAG_PREFIX, FLAG_AFTER, FLAG_LIMIT, FLAG_AT};
	_cleanup_(buf_fini) struct buf path = {0};

	buf_text(&path, "/state");
	remote_query(r, &path, query, ARRAY_LEN(query));
	return remote_ask(r, path.failed ? NULL : path.data, NULL, print_list);
}

/* --- history --- */

/* A value on the way back: what it was after the change that is looked at. */
struct then {
	bool is_known; /* not before something that was set, nor where a list goes on */
	int64_t value;
};

/* "+5" and what that made of it, "set" and to what, or "deleted". */
static void add_change(struct table *t, const cJSON *change, struct then *then)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(change, "value");
	char text[24];
	int64_t delta;

	if (!json_to_int(cJSON_GetObjectItemCaseSensitive(change, "delta"), &delta)) {
		table_add(t, cJSON_IsNull(value) ? "deleted" : "set");
		table_add_member(t, change, "value");
		then->is_known = false;
		return;
	}
	snprintf(text, sizeof text, "%+lld", (long long)delta);
	table_add(t, text);
	if (then->is_known)
		table_add_int(t, then->value);
	else
		table_add(t, NULL);
	then->value -= delta;
}

static void print_changes(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"TIME", .is_extra = true},
		{"CHANGE", .is_number = true}, {"THEN", .is_cut = true}, {"EVENT", .is_cut = true},
		{"ORDER", .is_extra = true}, {"WHY", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *next = cJSON_GetObjectItemCaseSensitive(answer, "next"), *change;
	struct then then = {0};

	if (!r->flags[FLAG_CURSOR])
		then.is_known =
			json_to_int(cJSON_GetObjectItemCaseSensitive(answer, "value"), &then.value);
	cJSON_ArrayForEach (change, cJSON_GetObjectItemCaseSensitive(answer, "changes")) {
		const cJSON *event = cJSON_GetObjectItemCaseSensitive(change, "event");
		bool has_reason = cJSON_GetObjectItemCaseSensitive(event, "reason");

		table_add_member(&t, event, "timestamp");
		add_change(&t, change, &then);
		table_add_member(&t, event, "event_type");
		table_add_member(&t, event, "order_id");
		table_add_member(&t, event, has_reason ? "reason" : "message");
	}
	table_print(&t);
	if (cJSON_IsNumber(next))
		fprintf(stderr, "There may be more: --cursor %.0f\n", next->valuedouble);
}

static int run_history(struct remote *r)
{
	static const enum remote_flag query[] = {FLAG_LIMIT, FLAG_CURSOR};
	_cleanup_(buf_fini) struct buf path = {0};

	buf_text(&path, "/state/history");
	remote_query(r, &path, query, ARRAY_LEN(query));
	buf_text(&path, r->flags[FLAG_LIMIT] || r->flags[FLAG_CURSOR] ? "&key=" : "?key=");
	remote_escaped(&path, r->arguments[0]);
	return remote_ask(r, path.failed ? NULL : path.data, NULL, print_changes);
}

/* --- adjust --- */

static bool write_delta(const struct remote *r, struct json_writer *w)
{
	int64_t delta, floor;

	if (!remote_int(r, FLAG_DELTA, &delta))
		return false;
	json_key(w, "delta");
	json_int(w, delta);
	if (!r->flags[FLAG_FLOOR])
		return true;
	if (!remote_int(r, FLAG_FLOOR, &floor))
		return false;
	json_key(w, "floor");
	json_int(w, floor);
	return true;
}

static bool write_value(const struct remote *r, struct json_writer *w)
{
	_cleanup_(json_freep) cJSON *value = NULL;
	struct str text = str_of(r->flags[FLAG_VALUE]);
	struct err e = {0};

	if (json_parse(text, JSON_DEPTH_MAX, &value, &e) < 0) {
		remote_refuse(r, "--value is not JSON: %s", err_text(&e));
		return false;
	}
	json_key(w, "value");
	json_raw(w, text);
	return true;
}

/* What it is now, as far as the daemon tells. */
static void print_adjusted(struct remote *r)
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};
	_cleanup_(buf_fini) struct buf path = {0}, value = {0};
	const cJSON *now;

	buf_text(&path, "/state/history?limit=1&key=");
	remote_escaped(&path, r->arguments[0]);
	now = path.failed || client_get(r->client, path.data, &answer, NULL) < 0
		      ? NULL
		      : cJSON_GetObjectItemCaseSensitive(answer.json, "value");
	if (now)
		json_tree(&(struct json_writer){&value, false}, now);
	terminal_put(stderr, r->arguments[0], SIZE_MAX);
	fputs(" is adjusted", stderr);
	if (value.len && !value.failed) {
		fputs("; it is now ", stderr);
		terminal_put(stderr, value.data, SIZE_MAX);
	}
	fputc('\n', stderr);
}

static int run_adjust(struct remote *r)
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};
	_cleanup_(buf_fini) struct buf body = {0};
	struct json_writer w = {&body, false};

	if (!r->flags[FLAG_DELTA] == !r->flags[FLAG_VALUE])
		return remote_refuse(r, "adjust needs either --delta or --value");
	if (r->flags[FLAG_FLOOR] && !r->flags[FLAG_DELTA])
		return remote_refuse(r, "--floor goes with --delta");
	remote_open_body(r, &w);
	json_key(&w, "key");
	json_text(&w, r->arguments[0]);
	if (r->flags[FLAG_DELTA] ? !write_delta(r, &w) : !write_value(r, &w))
		return EXIT_USAGE;
	json_close(&w, '}');
	if (remote_request(r, "/state/adjust", &body, &answer) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	if (r->flags[FLAG_JSON])
		remote_print_json(&answer);
	else
		print_adjusted(r);
	return EXIT_SUCCESS;
}

static const struct remote_action actions[] = {
	{"list", "", "Lists keys and values", .run = run_list,
		.takes = TAKES(FLAG_PREFIX) | TAKES(FLAG_AFTER) | TAKES(FLAG_LIMIT) |
			 TAKES(FLAG_AT)},
	{"history", "KEY", "Shows what changed a value, newest first", 1, 1,
		.takes = TAKES(FLAG_LIMIT) | TAKES(FLAG_CURSOR), .run = run_history},
	{"adjust", "KEY", "Adds to a value, or sets it", 1, 1, .needs_reason = true,
		.takes = TAKES(FLAG_REASON) | TAKES(FLAG_DELTA) | TAKES(FLAG_FLOOR) |
			 TAKES(FLAG_VALUE),
		.run = run_adjust},
	{0},
};

int state_main(int argc, char **argv)
{
	static const struct remote_command command = {
		"state", "Shows and adjusts stock and ledgers", actions};

	return remote_main(&command, argc, argv);
}
