/* `stageline orders`: placing an order, finding orders, looking at one, cancelling it. What follows and what compares has
 * files of its own. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/order_cancel.h"
#include "cli/order_diff.h"
#include "cli/order_file.h"
#include "cli/order_text.h"
#include "cli/order_timeline.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/watch.h"

/* Of all orders, whichever were asked for. */
static void print_counts(const cJSON *counts)
{
	if (counts)
		fprintf(stderr,
			"%lld in all: %lld open (%lld on hold), %lld completed, %lld failed, "
			"%lld cancelled\n",
			(long long)json_int_member(counts, "all"),
			(long long)json_int_member(counts, "open"),
			(long long)json_int_member(counts, "on_hold"),
			(long long)json_int_member(counts, "completed"),
			(long long)json_int_member(counts, "failed"),
			(long long)json_int_member(counts, "cancelled"));
}

static void print_list(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"ID"}, {"STATUS", .is_status = true},
		{"TOTAL", .is_number = true}, {"CUSTOMER", .is_cut = true},
		{"CREATED", .is_extra = true}, {"ERROR", .is_cut = true}};
	static const char *const members[] = {
		"id", "status", "total_amount", "customer_email", "created_at", "error"};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *next = cJSON_GetObjectItemCaseSensitive(answer, "next"), *order;

	(void)r;
	cJSON_ArrayForEach (order, cJSON_GetObjectItemCaseSensitive(answer, "orders")) {
		for (size_t i = 0; i < ARRAY_LEN(members); i++)
			table_add_member(&t, order, members[i]);
	}
	table_print(&t);
	print_counts(cJSON_GetObjectItemCaseSensitive(answer, "counts"));
	if (cJSON_IsNumber(next))
		fprintf(stderr, "There may be more: --cursor %.0f\n", next->valuedouble);
}

static int run_list(struct remote *r)
{
	static const enum remote_flag query[] = {
		FLAG_STATUS, FLAG_QUERY, FLAG_GENERATION, FLAG_LIMIT, FLAG_CURSOR};
	_cleanup_(buf_fini) struct buf path = {0};

	buf_text(&path, "/orders");
	remote_query(r, &path, query, ARRAY_LEN(query));
	return remote_ask(r, path.failed ? NULL : path.data, NULL, print_list);
}

/* Of the order that is named, now or at a moment. */
static bool order_path(struct remote *r, struct buf *path)
{
	static const enum remote_flag query[] = {FLAG_AT};
	char id[ID_TEXT_SIZE];

	if (!remote_id(r, r->arguments[0], id))
		return false;
	buf_fmt(path, "/orders/%s", id);
	remote_query(r, path, query, ARRAY_LEN(query));
	return true;
}

static int run_show(struct remote *r)
{
	_cleanup_(buf_fini) struct buf path = {0};

	if (!order_path(r, &path))
		return EXIT_USAGE;
	return remote_ask(r, path.failed ? NULL : path.data, NULL, order_print);
}

/* Tells of the order what is not simply the daemon's answer. */
static int tell(struct remote *r, int (*told)(const struct remote *r, const cJSON *answer))
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};
	_cleanup_(buf_fini) struct buf path = {0};

	if (!order_path(r, &path))
		return EXIT_USAGE;
	if (remote_request(r, path.failed ? NULL : path.data, NULL, &answer) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	return told(r, answer.json);
}

static int run_timeline(struct remote *r)
{
	return tell(r, order_timeline);
}

static void print_cancelled(const struct remote *r, const cJSON *answer)
{
	const cJSON *order = cJSON_GetObjectItemCaseSensitive(answer, "order");
	const char *status = json_member(order, "status").p;

	fprintf(stderr, "Order %s is cancelled; it is now %s\n", r->arguments[0],
		status ? status : "on its way");
}

/* What needs nothing but a reason. */
static int act(struct remote *r, const char *verb,
	void (*print)(const struct remote *r, const cJSON *answer))
{
	_cleanup_(buf_fini) struct buf body = {0};
	struct json_writer w = {&body, false};
	char id[ID_TEXT_SIZE], path[64];

	if (!remote_id(r, r->arguments[0], id))
		return EXIT_USAGE;
	snprintf(path, sizeof path, "/orders/%s/%s", id, verb);
	remote_open_body(r, &w);
	json_close(&w, '}');
	return remote_ask(r, path, &body, print);
}

static int run_cancel(struct remote *r)
{
	return r->flags[FLAG_DRY_RUN] ? tell(r, order_cancel_preview)
				      : act(r, "cancel", print_cancelled);
}

static void print_erased(const struct remote *r, const cJSON *answer)
{
	(void)answer;
	fprintf(stderr, "Order %s is erased; its status, times and amount stay\n", r->arguments[0]);
}

static int run_erase(struct remote *r)
{
	return act(r, "erase", print_erased);
}

/* --- what there is, placing, and answering a stage --- */

static void print_products(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {
		{"PRODUCT"}, {"NAME", .is_cut = true}, {"PRICE", .is_number = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *product;

	(void)r;
	cJSON_ArrayForEach (product, cJSON_GetObjectItemCaseSensitive(answer, "products")) {
		table_add_member(&t, product, "id");
		table_add_member(&t, product, "name");
		table_add_member(&t, product, "price");
	}
	table_print(&t);
}

static int run_products(struct remote *r)
{
	return remote_ask(r, "/products", NULL, print_products);
}

/* POST of what is in --file. */
static int send_file(struct remote *r, const char *path, cJSON *(*read)(const char *name),
	void (*print)(const struct remote *r, const cJSON *answer))
{
	_cleanup_(json_freep) cJSON *json = NULL;
	_cleanup_(buf_fini) struct buf body = {0};
	struct json_writer w = {&body, false};

	if (!r->flags[FLAG_FILE])
		return remote_refuse(r, "%s needs --file FILE", r->action->name);
	json = read(r->flags[FLAG_FILE]);
	if (!json)
		return EXIT_FAILURE;
	json_tree(&w, json);
	return remote_ask(r, path, &body, print);
}

/* The id to stdout, for what comes next. */
static void print_placed(const struct remote *r, const cJSON *answer)
{
	const char *id = json_member(answer, "id").p;

	(void)r;
	puts(id ? id : "");
	fputs("The order is accepted\n", stderr);
}

/* What HTTP can carry. */
static bool is_visible(const char *text)
{
	while (*text > ' ' && *text < 127)
		text++;
	return *text == '\0';
}

static int run_place(struct remote *r)
{
	const char *key = r->flags[FLAG_IDEMPOTENCY_KEY];

	if (key && !is_visible(key))
		return remote_refuse(r, "--idempotency-key must be visible ASCII characters");
	client_set_idempotency_key(r->client, key);
	return send_file(r, "/orders", order_file_read, print_placed);
}

static void print_signalled(const struct remote *r, const cJSON *answer)
{
	(void)answer;
	terminal_put(stderr, r->arguments[1], SIZE_MAX);
	fprintf(stderr, " of order %s has its answer\n", r->arguments[0]);
}

static int run_signal(struct remote *r)
{
	_cleanup_(buf_fini) struct buf path = {0};
	char id[ID_TEXT_SIZE];

	if (!remote_id(r, r->arguments[0], id))
		return EXIT_USAGE;
	buf_fmt(&path, "/orders/%s/signals", id);
	remote_path(&path, r->arguments[1]);
	return send_file(r, path.failed ? NULL : path.data, json_file_read, print_signalled);
}

static const struct remote_action actions[] = {
	{"list", "", "Lists orders, newest first", .run = run_list,
		.takes = TAKES(FLAG_STATUS) | TAKES(FLAG_QUERY) | TAKES(FLAG_GENERATION) |
			 TAKES(FLAG_LIMIT) | TAKES(FLAG_CURSOR)},
	{"show", "ID", "Shows an order with its stages and history", 1, 1,
		.takes = TAKES(FLAG_AT) | TAKES(FLAG_LONG), .run = run_show},
	{"diff", "ID", "Shows what is different between two moments of an order", 1, 1,
		.takes = TAKES(FLAG_FROM) | TAKES(FLAG_TO), .run = order_diff},
	{"timeline", "ID", "Shows what took how long, stage by stage", 1, 1,
		.takes = TAKES(FLAG_AT), .run = run_timeline},
	{"watch", "[ID ...]", "Follows orders, all or these, until they have ended", 0, WATCH_MAX,
		.run = watch_run},
	{"products", "", "Lists what can be ordered", .run = run_products},
	{"place", "", "Places the order of --file, and prints its id",
		.takes = TAKES(FLAG_FILE) | TAKES(FLAG_IDEMPOTENCY_KEY), .run = run_place},
	{"signal", "ID STAGE", "Gives a stage that waits the answer in --file", 2, 2,
		.takes = TAKES(FLAG_FILE), .run = run_signal},
	{"cancel", "ID", "Cancels an order; what was done is undone", 1, 1,
		.takes = TAKES(FLAG_REASON) | TAKES(FLAG_DRY_RUN), .needs_reason = true,
		.run = run_cancel},
	{"erase", "ID", "Erases what an order that has ended says of people", 1, 1,
		.takes = TAKES(FLAG_REASON), .needs_reason = true, .run = run_erase},
	{0},
};

/* An archive is a file; everything else is the daemon's. */
static bool names_archive(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--archive") == 0 ||
			str_starts(str_of(argv[i]), STR("--archive=")))
			return true;
	return false;
}

int erase_main(int argc, char **argv)
{
	_cleanup_(freep) char **longer = calloc((size_t)argc + 2, sizeof *longer);

	if (names_archive(argc, argv))
		return archive_erase_main(argc, argv);
	if (!longer) {
		fputs("stageline: error: no memory\n", stderr);
		return EXIT_FAILURE;
	}
	longer[0] = (char *)"orders";
	memcpy(longer + 1, argv, (size_t)argc * sizeof *argv); /* "erase", … */
	return orders_main(argc + 1, longer);
}

int orders_main(int argc, char **argv)
{
	static const struct remote_command command = {
		"orders", "Places, finds, follows, cancels and erases orders", actions};

	return remote_main(&command, argc, argv);
}
