/* The stages second by second: live (`pipeline watch`) and as they were (`pipeline history`), from the daemon's samples; and
 * the last errors of one. */
#include "cli/pipeline_live.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/stream.h"
#include "cli/table.h"
#include "cli/terminal.h"

bool pipeline_is_deserted(const cJSON *live)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(live, "served_by");

	return cJSON_IsNumber(n) && n->valueint == 0;
}

const char *pipeline_trouble(const cJSON *live)
{
	const char *own = json_member(live, "trouble").p;

	return own ? own
		   : json_member(cJSON_GetObjectItemCaseSensitive(live, "processes"), "trouble").p;
}

const char *pipeline_stage_word(const cJSON *live, bool is_unhealthy)
{
	return pipeline_is_deserted(live)					? "no worker"
	       : cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(live, "paused")) ? "paused"
	       : is_unhealthy							? "unhealthy"
										: "runs";
}

/* --- watch --- */

struct watch {
	struct stream stream;
	struct client_answer pipeline; /* GET /pipeline: the stages in the order of the file */
	cJSON *sample;		       /* the newest; NULL: none yet */
	bool is_screen, has_news, has_reloaded;
};

/* A count of the sample, per second. */
static void add_rate(struct table *t, const cJSON *sample, const cJSON *part, const char *name)
{
	int64_t span_ms = json_int_member(sample, "span_ms"), n = json_int_member(part, name);
	char text[32];

	snprintf(text, sizeof text, "%.*f", n * 1000 % (span_ms ? span_ms : 1000) ? 1 : 0,
		(double)n * 1000 / (double)(span_ms ? span_ms : 1000));
	table_add(t, text);
}

static void print_orders(const cJSON *sample)
{
	static const struct table_column columns[] = {{"TIME"}, {"ACCEPTED/S", .is_number = true},
		{"COMPLETED/S", .is_number = true}, {"FAILED/S", .is_number = true},
		{"CANCELLED/S", .is_number = true, .is_extra = true},
		{"IN FLIGHT", .is_number = true}, {"ON HOLD", .is_number = true}};
	static const char *const counts[] = {"accepted", "completed", "failed", "cancelled"};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *orders = cJSON_GetObjectItemCaseSensitive(sample, "orders");

	table_add_member(&t, sample, "at");
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		add_rate(&t, sample, orders, counts[i]);
	table_add_member(&t, orders, "in_flight");
	table_add_member(&t, orders, "on_hold");
	table_print(&t);
}

static void add_stage(struct table *t, const cJSON *sample, const char *name)
{
	static const char *const counts[] = {"in", "out", "errors", "failed"};
	static const char *const gauges[] = {"waiting", "running", "oldest_ms", "p50_us", "p99_us"};
	const cJSON *stage = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(sample, "stages"), name);

	table_add(t, name);
	table_add(t, pipeline_stage_word(stage,
			     cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(stage, "unhealthy"))));
	table_add_member(t, stage, "breaker");
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		add_rate(t, sample, stage, counts[i]);
	for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
		table_add_member(t, stage, gauges[i]);
}

/* Stages of the file as they stand there, then those of earlier generations. At most `room`. Returns how many. */
static size_t add_stages(struct table *t, const struct watch *w, size_t room)
{
	const cJSON *file = cJSON_GetObjectItemCaseSensitive(w->pipeline.json, "stages"),
		    *now = cJSON_GetObjectItemCaseSensitive(w->sample, "stages"), *stage;
	_cleanup_(json_freep) cJSON *others = cJSON_Duplicate(now, true);
	size_t n = 0;

	cJSON_ArrayForEach (stage, file) {
		const char *name = json_member(stage, "name").p;

		if (!name || !cJSON_GetObjectItemCaseSensitive(now, name) || n == room)
			continue;
		add_stage(t, w->sample, name);
		cJSON_DeleteItemFromObjectCaseSensitive(others, name);
		n++;
	}
	cJSON_ArrayForEach (stage, others) {
		if (n < room) {
			add_stage(t, w->sample, stage->string);
			n++;
		}
	}
	return n;
}

static void draw(struct watch *w)
{
	static const struct table_column columns[] = {{"STAGE", .is_cut = true},
		{"STATE", .is_status = true}, {"BREAKER", .is_status = true, .is_extra = true},
		{"IN/S", .is_number = true}, {"OUT/S", .is_number = true},
		{"ERRORS/S", .is_number = true}, {"FAILED/S", .is_number = true, .is_extra = true},
		{"WAITING", .is_number = true}, {"RUNNING", .is_number = true, .is_extra = true},
		{"OLDEST MS", .is_number = true, .is_extra = true},
		{"P50 US", .is_number = true, .is_extra = true},
		{"P99 US", .is_number = true, .is_extra = true}};
	enum { LINES_ABOVE = 4 }; /* both heads, the orders, and an empty line */
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	size_t height = terminal_height(), n;

	if (!w->has_news)
		return;
	n = add_stages(&t, w, height > LINES_ABOVE + 2 ? height - LINES_ABOVE - 1 : 1);
	stream_redraw(&w->stream, LINES_ABOVE + n);
	print_orders(w->sample);
	putchar('\n');
	table_print(&t);
	fflush(stdout);
	w->has_news = false;
}

static void print_line(const cJSON *sample)
{
	_cleanup_(buf_fini) struct buf line = {0};

	json_tree(&(struct json_writer){&line, false}, sample);
	if (!line.failed)
		puts(line.data);
	fflush(stdout);
}

static void on_sample(void *arg, cJSON *sample, bool is_reset)
{
	struct watch *w = arg;
	const char *now = json_member(sample, "generation").p,
		   *known = json_member(w->pipeline.json, "generation").p;

	(void)is_reset; /* samples have no such thing */
	if (!w->is_screen)
		print_line(sample);
	w->has_reloaded = now && known && strcmp(now, known) != 0;
	cJSON_Delete(w->sample);
	w->sample = sample;
	w->has_news = true;
}

static void on_tick(void *arg)
{
	struct watch *w = arg;

	if (w->is_screen)
		draw(w);
}

/* A new generation has other stages, which are asked for between two connections. */
static bool must_look_again(const void *arg)
{
	return ((const struct watch *)arg)->has_reloaded;
}

static void where(void *arg, struct buf *path)
{
	(void)arg;
	buf_text(path, "/pipeline/samples");
}

/* Whoever has answered once is waited for. */
static int look_at_pipeline(struct watch *w)
{
	struct err e = {0};

	if (!w->stream.was_there)
		return remote_request(w->stream.remote, "/pipeline", NULL, &w->pipeline);
	while (client_get(w->stream.remote->client, "/pipeline", &w->pipeline, &e) < 0 ||
		w->pipeline.status == HTTP_BUSY) {
		client_answer_fini(&w->pipeline);
		stream_pause(&w->stream);
	}
	return remote_judge(w->stream.remote, &w->pipeline);
}

static int follow(struct watch *w)
{
	int r = 0;

	while (r == 0 && !ferror(stdout)) {
		client_answer_fini(&w->pipeline);
		if (look_at_pipeline(w) != EXIT_SUCCESS)
			return EXIT_FAILURE;
		w->stream.was_there = true;
		w->has_reloaded = false;
		r = stream_follow(&w->stream);
	}
	return r == -EINTR ? EXIT_SUCCESS : EXIT_FAILURE;
}

int pipeline_watch(struct remote *r)
{
	struct watch w = {.is_screen = !r->flags[FLAG_JSON] && isatty(STDOUT_FILENO)};
	int status;

	w.stream = (struct stream){r, where, on_sample, on_tick, must_look_again, &w};
	status = follow(&w);
	if (w.is_screen)
		draw(&w);
	cJSON_Delete(w.sample);
	client_answer_fini(&w.pipeline);
	stream_fini(&w.stream);
	return status;
}

/* --- history --- */

/* A column per list of the answer: of which part, and which figure. */
struct series {
	const char *part, *figure;
};

enum { SERIES_MAX = 13 };

static const struct table_column host_columns[] = {{"TIME"}, {"ACCEPTED", .is_number = true},
	{"COMPLETED", .is_number = true}, {"FAILED", .is_number = true},
	{"CANCELLED", .is_number = true, .is_extra = true}, {"ON HOLD", .is_number = true},
	{"IN FLIGHT", .is_number = true}, {"EVENTS", .is_number = true, .is_extra = true},
	{"COMMITS", .is_number = true, .is_extra = true},
	{"COMMIT P50 US", .is_number = true, .is_extra = true},
	{"COMMIT P99 US", .is_number = true, .is_extra = true},
	{"JOURNAL KIB", .is_number = true, .is_extra = true},
	{"WAL KIB", .is_number = true, .is_extra = true},
	{"MEMORY KIB", .is_number = true, .is_extra = true}};
static const struct series host_series[] = {{"orders", "accepted"}, {"orders", "completed"},
	{"orders", "failed"}, {"orders", "cancelled"}, {"orders", "on_hold"},
	{"orders", "in_flight"}, {"journal", "events"}, {"journal", "commits"},
	{"journal", "commit_p50_us"}, {"journal", "commit_p99_us"}, {"journal", "journal_kib"},
	{"journal", "wal_kib"}, {"memory", "rss_kib"}};

static const struct table_column stage_columns[] = {{"TIME"}, {"IN", .is_number = true},
	{"OUT", .is_number = true}, {"ERRORS", .is_number = true}, {"FAILED", .is_number = true},
	{"WAITING", .is_number = true}, {"RUNNING", .is_number = true, .is_extra = true},
	{"OLDEST MS", .is_number = true, .is_extra = true},
	{"P50 US", .is_number = true, .is_extra = true},
	{"P99 US", .is_number = true, .is_extra = true}};
static const struct series stage_series[] = {{NULL, "in"}, {NULL, "out"}, {NULL, "errors"},
	{NULL, "failed"}, {NULL, "waiting"}, {NULL, "running"}, {NULL, "oldest_ms"},
	{NULL, "p50_us"}, {NULL, "p99_us"}};

static void add_time(struct table *t, const cJSON *at_ms)
{
	char text[CLOCK_TEXT_SIZE], shorter[CLOCK_TEXT_SIZE];
	int64_t ms = 0;

	json_to_int(at_ms, &ms);
	clock_text(ms * 1000, text);
	snprintf(shorter, sizeof shorter, "%.19sZ", text);
	table_add(t, shorter);
}

static void add_figure(struct table *t, const cJSON *figure)
{
	int64_t value;

	if (json_to_int(figure, &value))
		table_add_int(t, value);
	else
		table_add(t, NULL); /* of a second in which there was none */
}

/* The lists go on in step: item by item, as one walks a list of cJSON. */
static void print_seconds(const cJSON *answer, const cJSON *stage, int64_t n_wanted)
{
	_cleanup_(table_fini) struct table t = {stage ? stage_columns : host_columns,
		stage ? ARRAY_LEN(stage_columns) : ARRAY_LEN(host_columns)};
	const struct series *series = stage ? stage_series : host_series;
	size_t n_series = t.n_columns - 1;
	const cJSON *at[SERIES_MAX], *second;
	int64_t left = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(answer, "at_ms"));

	for (size_t i = 0; i < n_series; i++) {
		const cJSON *part =
			stage ? stage : cJSON_GetObjectItemCaseSensitive(answer, series[i].part);
		const cJSON *list = cJSON_GetObjectItemCaseSensitive(part, series[i].figure);

		at[i] = list ? list->child : NULL;
	}
	cJSON_ArrayForEach (second, cJSON_GetObjectItemCaseSensitive(answer, "at_ms")) {
		bool is_wanted = left-- <= n_wanted;

		if (is_wanted)
			add_time(&t, second);
		for (size_t i = 0; i < n_series; i++) {
			if (is_wanted)
				add_figure(&t, at[i]);
			at[i] = at[i] ? at[i]->next : NULL;
		}
	}
	table_print(&t);
}

int pipeline_history(struct remote *r)
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};
	int64_t n_wanted = INT64_MAX;
	const cJSON *stage = NULL;

	if (r->flags[FLAG_LIMIT] && !remote_int(r, FLAG_LIMIT, &n_wanted))
		return EXIT_USAGE;
	if (remote_request(r, "/pipeline/history", NULL, &answer) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	if (r->flags[FLAG_JSON]) {
		remote_print_json(&answer);
		return EXIT_SUCCESS;
	}
	if (r->n_arguments) {
		stage = cJSON_GetObjectItemCaseSensitive(
			cJSON_GetObjectItemCaseSensitive(answer.json, "stages"), r->arguments[0]);
		if (!stage) {
			fputs("stageline: error: the last five minutes know no stage ", stderr);
			terminal_put(stderr, r->arguments[0], SIZE_MAX);
			fputc('\n', stderr);
			return EXIT_FAILURE;
		}
	}
	print_seconds(answer.json, stage, n_wanted);
	return EXIT_SUCCESS;
}

/* --- errors --- */

static void print_errors(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"TIME"}, {"ORDER"},
		{"EVENT", .is_cut = true, .is_extra = true}, {"ATTEMPT", .is_number = true},
		{"MESSAGE", .is_cut = true}};
	static const char *const members[] = {
		"timestamp", "order_id", "event_type", "attempt", "message"};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *event;

	(void)r;
	cJSON_ArrayForEach (event, cJSON_GetObjectItemCaseSensitive(answer, "errors")) {
		for (size_t i = 0; i < ARRAY_LEN(members); i++)
			table_add_member(&t, event, members[i]);
	}
	table_print(&t);
}

int pipeline_errors(struct remote *r)
{
	static const enum remote_flag query[] = {FLAG_LIMIT};
	_cleanup_(buf_fini) struct buf path = {0};

	buf_text(&path, "/pipeline/stages");
	remote_path(&path, r->arguments[0]);
	buf_text(&path, "/errors");
	remote_query(r, &path, query, ARRAY_LEN(query));
	return remote_ask(r, path.failed ? NULL : path.data, NULL, print_errors);
}
