/* `stageline dead-letters`: orders on hold, why, and what to do with them. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/job.h"
#include "cli/letter_edit.h"
#include "cli/order_text.h"
#include "cli/table.h"

/* --- list and causes --- */

static void add_held(struct table *t, const cJSON *order, const cJSON *held)
{
	table_add_member(t, order, "id");
	table_add_member(t, held, "name");
	table_add(t, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(held, "undo")) ? "undo" : "run");
	table_add_member(t, held, "attempts");
	table_add_member(t, order, "customer_email");
	table_add_member(t, order, "updated_at");
	table_add_member(t, held, "error");
}

static void print_list(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"ID"}, {"STAGE", .is_cut = true},
		{"STEP", .is_extra = true}, {"ATTEMPTS", .is_number = true},
		{"CUSTOMER", .is_cut = true, .is_extra = true}, {"SINCE", .is_extra = true},
		{"ERROR", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *next = cJSON_GetObjectItemCaseSensitive(answer, "next"), *letter, *held;

	(void)r;
	cJSON_ArrayForEach (letter, cJSON_GetObjectItemCaseSensitive(answer, "dead_letters")) {
		cJSON_ArrayForEach (held, cJSON_GetObjectItemCaseSensitive(letter, "held")) {
			add_held(&t, cJSON_GetObjectItemCaseSensitive(letter, "order"), held);
		}
	}
	table_print(&t);
	fprintf(stderr, "%lld on hold in all", (long long)json_int_member(answer, "total"));
	if (cJSON_IsNumber(next))
		fprintf(stderr, "; there may be more: --cursor %.0f", next->valuedouble);
	fputc('\n', stderr);
}

static int run_list(struct remote *r)
{
	static const enum remote_flag query[] = {FLAG_STAGE, FLAG_ERROR, FLAG_LIMIT, FLAG_CURSOR};
	_cleanup_(buf_fini) struct buf path = {0};

	buf_text(&path, "/dead-letters");
	remote_query(r, &path, query, ARRAY_LEN(query));
	return remote_ask(r, path.failed ? NULL : path.data, NULL, print_list);
}

static void print_causes(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"COUNT", .is_number = true},
		{"STAGE", .is_cut = true}, {"FIRST SEEN", .is_extra = true}, {"LAST SEEN"},
		{"ERROR", .is_cut = true}};
	static const char *const members[] = {"count", "stage", "first_seen", "last_seen", "error"};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *cause;

	(void)r;
	cJSON_ArrayForEach (cause, cJSON_GetObjectItemCaseSensitive(answer, "causes")) {
		for (size_t i = 0; i < ARRAY_LEN(members); i++)
			table_add_member(&t, cause, members[i]);
	}
	table_print(&t);
	fprintf(stderr, "%lld on hold in all\n", (long long)json_int_member(answer, "total"));
}

static int run_causes(struct remote *r)
{
	return remote_ask(r, "/dead-letters?group=cause", NULL, print_causes);
}

static int run_show(struct remote *r)
{
	char id[ID_TEXT_SIZE], path[64];

	if (!remote_id(r, r->arguments[0], id))
		return EXIT_USAGE;
	snprintf(path, sizeof path, "/orders/%s", id);
	return remote_ask(r, path, NULL, order_print);
}

/* --- jobs --- */

static int run_job(struct remote *r)
{
	_cleanup_(buf_fini) struct buf path = {0};
	struct client_answer answer;

	buf_text(&path, "/dead-letters/jobs");
	remote_path(&path, r->arguments[0]);
	if (remote_request(r, path.failed ? NULL : path.data, NULL, &answer) == EXIT_SUCCESS)
		return job_end(r, &answer);
	client_answer_fini(&answer);
	return EXIT_FAILURE;
}

/* --- retry, skip, discard --- */

static int check_selection(const struct remote *r)
{
	bool has_filter = r->flags[FLAG_STAGE] || r->flags[FLAG_ERROR];
	int n = (r->n_arguments > 0) + has_filter + (r->flags[FLAG_ALL] != NULL);

	if (n == 1)
		return EXIT_SUCCESS;
	return remote_refuse(r, n ? "give either ids, or --stage and --error, or --all"
				  : "say which: ids, --stage NAME, --error TEXT or --all");
}

static bool write_ids(const struct remote *r, struct json_writer *w)
{
	json_key(w, "ids");
	json_open(w, '[');
	for (size_t i = 0; i < r->n_arguments; i++) {
		char id[ID_TEXT_SIZE];

		if (!remote_id(r, r->arguments[i], id))
			return false;
		json_text(w, id);
	}
	json_close(w, ']');
	return true;
}

static bool write_filter(const struct remote *r, struct json_writer *w)
{
	json_key(w, "filter");
	json_open(w, '{');
	if (r->flags[FLAG_STAGE]) {
		json_key(w, "stage");
		json_text(w, r->flags[FLAG_STAGE]);
	}
	if (r->flags[FLAG_ERROR]) {
		json_key(w, "error");
		json_text(w, r->flags[FLAG_ERROR]);
	}
	json_close(w, '}');
	return true;
}

static bool write_bulk(const struct remote *r, struct json_writer *w)
{
	int64_t rate;

	remote_open_body(r, w);
	if (r->n_arguments ? !write_ids(r, w) : !write_filter(r, w))
		return false;
	if (r->flags[FLAG_RATE]) {
		if (!remote_int(r, FLAG_RATE, &rate))
			return false;
		json_key(w, "rate");
		json_int(w, rate);
	}
	json_key(w, "dry_run");
	json_bool(w, r->flags[FLAG_DRY_RUN] != NULL);
	json_close(w, '}');
	return true;
}

static void print_dry(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"ID"}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	int64_t matched = json_int_member(answer, "matched");
	const cJSON *id;

	cJSON_ArrayForEach (id, cJSON_GetObjectItemCaseSensitive(answer, "ids")) {
		table_add(&t, id->valuestring);
	}
	table_print(&t);
	if (matched > (int64_t)t.n_cells)
		fprintf(stderr, "… and %lld more\n", (long long)(matched - (int64_t)t.n_cells));
	fprintf(stderr, "%s would be done to %lld; nothing was changed\n", r->action->name,
		(long long)matched);
	job_print_capped(answer);
}

static int run_bulk(struct remote *r)
{
	_cleanup_(buf_fini) struct buf body = {0};
	struct json_writer w = {&body, false};
	struct client_answer answer;
	int status = check_selection(r);
	char path[64];

	if (status != EXIT_SUCCESS)
		return status;
	if (!write_bulk(r, &w))
		return EXIT_USAGE;
	snprintf(path, sizeof path, "/dead-letters/%s", r->action->name);
	if (r->flags[FLAG_DRY_RUN])
		return remote_ask(r, path, &body, print_dry);
	if (remote_request(r, path, &body, &answer) == EXIT_SUCCESS)
		return job_end(r, &answer);
	client_answer_fini(&answer);
	return EXIT_FAILURE;
}

enum {
	BULK_FLAGS = TAKES(FLAG_REASON) | TAKES(FLAG_STAGE) | TAKES(FLAG_ERROR) | TAKES(FLAG_ALL) |
		     TAKES(FLAG_DRY_RUN) | TAKES(FLAG_RATE)
};

static const struct remote_action actions[] = {
	{"list", "", "Lists the orders on hold, newest first", .run = run_list,
		.takes = TAKES(FLAG_STAGE) | TAKES(FLAG_ERROR) | TAKES(FLAG_LIMIT) |
			 TAKES(FLAG_CURSOR)},
	{"causes", "", "Counts them by stage and error", .run = run_causes},
	{"show", "ID", "Shows an order with its stages and history", 1, 1,
		.takes = TAKES(FLAG_LONG), .run = run_show},
	{"retry", "[ID ...]", "Tries the stages that hold again", 0, ARGUMENTS_MANY, BULK_FLAGS,
		true, run_bulk},
	{"skip", "[ID ...]", "Goes on without the stages that hold", 0, ARGUMENTS_MANY, BULK_FLAGS,
		true, run_bulk},
	{"discard", "[ID ...]", "Gives the orders up; what was done is undone", 0, ARGUMENTS_MANY,
		BULK_FLAGS, true, run_bulk},
	{"edit", "ID", "Corrects an order, shows what is different, and tries it again", 1, 1,
		.takes = TAKES(FLAG_REASON) | TAKES(FLAG_FILE) | TAKES(FLAG_DRY_RUN),
		.needs_reason = true, .run = letter_edit},
	{"job", "N", "Follows a retry, skip or discard under way", 1, 1, .run = run_job},
	{0},
};

int dead_letters_main(int argc, char **argv)
{
	static const struct remote_command command = {
		"dead-letters", "Shows orders on hold, and repairs them", actions};

	return remote_main(&command, argc, argv);
}
