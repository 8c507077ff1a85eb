/* `stageline dead-letters edit`: compares before it sends, since the daemon takes the corrected order as a whole. */
#include "cli/letter_edit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/order_compare.h"
#include "cli/order_file.h"

/* The order as it is, and what the correction changes of it. */
struct edit {
	struct remote *r;
	char id[ID_TEXT_SIZE];
	cJSON *order;	/* as it should be */
	cJSON *changes; /* order_compare() */
};

static bool is_held(const cJSON *order)
{
	const cJSON *stage;

	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(order, "stages")) {
		if (str_is(json_member(stage, "status"), "held"))
			return true;
	}
	return false;
}

static int refuse_edit(const struct edit *x, const char *why)
{
	fprintf(stderr, "stageline: error: order %s %s\n", x->id, why);
	return EXIT_FAILURE;
}

static int find_changes(struct edit *x)
{
	_cleanup_(client_answer_fini) struct client_answer answer;
	char path[64];
	cJSON *order;

	snprintf(path, sizeof path, "/orders/%s", x->id);
	if (remote_request(x->r, path, NULL, &answer) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	order = cJSON_GetObjectItemCaseSensitive(answer.json, "order");
	if (!is_held(order))
		return refuse_edit(x, "is not on hold");
	order_keep_said(order);
	x->changes = order_compare(order, x->order);
	if (!x->changes)
		return remote_no_memory();
	if (!x->changes->child)
		return refuse_edit(x, "would be the same: retry it instead");
	return EXIT_SUCCESS;
}

/* With the daemon's answer behind it, NULL: a dry run. */
static int print_edit_json(const struct edit *x, const char *answer)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	json_open(&w, '{');
	json_key(&w, "dry_run");
	json_bool(&w, !answer);
	json_key(&w, "changes");
	json_tree(&w, x->changes);
	if (answer)
		json_members(&w, str_of(answer));
	json_close(&w, '}');
	if (text.failed)
		return remote_no_memory();
	puts(text.data);
	return EXIT_SUCCESS;
}

static int send_edit(const struct edit *x)
{
	_cleanup_(client_answer_fini) struct client_answer answer;
	_cleanup_(buf_fini) struct buf body = {0};
	struct json_writer w = {&body, false};
	const char *status;
	char path[64];

	snprintf(path, sizeof path, "/dead-letters/%s/edit", x->id);
	remote_open_body(x->r, &w);
	json_key(&w, "order");
	json_tree(&w, x->order);
	json_close(&w, '}');
	if (remote_request(x->r, path, &body, &answer) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	if (x->r->flags[FLAG_JSON])
		return print_edit_json(x, answer.text);
	status = json_member(cJSON_GetObjectItemCaseSensitive(answer.json, "order"), "status").p;
	fprintf(stderr, "Order %s is corrected and tried again; it is now %s\n", x->id,
		status ? status : "on its way");
	return EXIT_SUCCESS;
}

/* What may yet be refused is shown to people who look on, and is no data for others. */
static int edit(struct edit *x)
{
	bool is_dry = x->r->flags[FLAG_DRY_RUN], is_json = x->r->flags[FLAG_JSON];
	int status = find_changes(x);

	if (status != EXIT_SUCCESS)
		return status;
	if (is_json && is_dry)
		status = print_edit_json(x, NULL);
	else if (!is_json && (is_dry || isatty(STDOUT_FILENO)))
		order_changes_print(x->changes, NULL);
	fflush(stdout);
	if (!is_dry)
		return send_edit(x);
	fprintf(stderr,
		"This is what would be sent for order %s; the daemon was not asked whether it "
		"takes it, "
		"and nothing was changed\n",
		x->id);
	return status;
}

int letter_edit(struct remote *r)
{
	struct edit x = {.r = r};
	int status;

	if (!remote_id(r, r->arguments[0], x.id))
		return EXIT_USAGE;
	if (!r->flags[FLAG_FILE])
		return remote_refuse(r, "edit needs --file FILE, the order as it should be");
	x.order = order_file_read(r->flags[FLAG_FILE]);
	if (x.order && !cJSON_IsObject(x.order))
		status = refuse_edit(&x, "cannot become what is no JSON object");
	else
		status = x.order ? edit(&x) : EXIT_FAILURE;
	cJSON_Delete(x.order);
	cJSON_Delete(x.changes);
	return status;
}
