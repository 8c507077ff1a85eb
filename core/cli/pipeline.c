/* `stageline pipeline`: what the stages are doing, pausing and resuming one; which orders are on earlier
 * generations, and moving them. What moves by the second is in pipeline_live.c. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/job.h"
#include "cli/pipeline_live.h"
#include "cli/reload.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/terminal.h"

static void add_stage(struct table *t, const cJSON *stage)
{
	static const char *const counts[] = {
		"waiting", "out", "oldest_ms", "done", "failed", "retried", "held"};
	const cJSON *live = cJSON_GetObjectItemCaseSensitive(stage, "live");

	table_add_member(t, stage, "name");
	table_add(t, pipeline_stage_word(live, pipeline_trouble(live) != NULL));
	table_add_member(t, live, "breaker");
	table_add_member(t, stage, "workers");
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		table_add_member(t, live, counts[i]);
}

/* What runs is not what the file says. */
static void print_refused_reload(const cJSON *answer)
{
	const cJSON *last = cJSON_GetObjectItemCaseSensitive(answer, "last_reload");
	const cJSON *faults = cJSON_GetObjectItemCaseSensitive(last, "errors"), *fault;

	if (!cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(last, "ok")))
		return;
	fprintf(stderr, "The last reload was refused, %d fault%s:\n", cJSON_GetArraySize(faults),
		cJSON_GetArraySize(faults) == 1 ? "" : "s");
	cJSON_ArrayForEach (fault, faults) {
		reload_print_fault(fault);
	}
}

/* --- workers --- */

static void add_who(struct table *t, const cJSON *worker)
{
	static const char *const members[] = {"name", "host", "pid", "version"};

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		table_add_member(t, worker, members[i]);
}

static const char *worker_status(const cJSON *stage)
{
	static const char *const troubles[] = {"clogged", "stalled"};

	for (size_t i = 0; i < ARRAY_LEN(troubles); i++)
		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(stage, troubles[i])))
			return troubles[i];
	return "runs";
}

static void add_worker(struct table *t, const cJSON *worker)
{
	const cJSON *stages = cJSON_GetObjectItemCaseSensitive(worker, "stages"), *s;
	bool is_first = true;

	cJSON_ArrayForEach (s, stages) {
		add_who(t, is_first ? worker : NULL);
		table_add_member(t, s, "name");
		table_add_member(t, s, "generation");
		table_add(t, worker_status(s));
		table_add_member(t, s, "running");
		is_first = false;
	}
	if (!is_first)
		return;
	add_who(t, worker);
	for (int i = 0; i < 4; i++)
		table_add(t, i == 2 ? "no stage" : "");
}

static void print_cannot(const cJSON *worker)
{
	const cJSON *c;

	cJSON_ArrayForEach (c, cJSON_GetObjectItemCaseSensitive(worker, "cannot")) {
		const char *name = json_member(worker, "name").p;
		const char *generation = json_member(c, "generation").p;
		const char *why = json_member(c, "why").p;

		fputs("Worker ", stderr);
		terminal_put(stderr, name ? name : "?", SIZE_MAX);
		fputs(" cannot, in generation ", stderr);
		terminal_put(stderr, generation ? generation : "?", SIZE_MAX);
		fputs(": ", stderr);
		terminal_put(stderr, why ? why : "it does not say why", SIZE_MAX);
		fputc('\n', stderr);
	}
}

static void print_stage_alarms(const cJSON *stage)
{
	const char *name = json_member(stage, "name").p;
	const cJSON *live = cJSON_GetObjectItemCaseSensitive(stage, "live");
	const char *trouble = pipeline_trouble(live);

	if (!name)
		return;
	if (trouble) {
		fputs("Stage ", stderr);
		terminal_put(stderr, name, SIZE_MAX);
		fputs(" cannot run: ", stderr);
		terminal_put(stderr, trouble, SIZE_MAX);
		fputc('\n', stderr);
	}
	if (pipeline_is_deserted(live)) {
		fputs("No worker takes tasks of stage ", stderr);
		terminal_put(stderr, name, SIZE_MAX);
		fputs(": its orders wait until one is started\n", stderr);
	}
}

static void print_alarms(const cJSON *answer, const cJSON *bus)
{
	const cJSON *stage, *worker;
	const char *trouble = json_member(bus, "trouble").p;

	if (trouble) {
		fputs("The bus: ", stderr);
		terminal_put(stderr, trouble, SIZE_MAX);
		fputc('\n', stderr);
	}
	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(answer, "stages")) {
		print_stage_alarms(stage);
	}
	cJSON_ArrayForEach (worker, cJSON_GetObjectItemCaseSensitive(bus, "workers")) {
		print_cannot(worker);
	}
}

/* Where there are any beside the daemon. */
static void print_workers(const cJSON *bus)
{
	static const struct table_column columns[] = {{"WORKER", .is_cut = true},
		{"HOST", .is_cut = true, .is_extra = true}, {"PID", .is_number = true},
		{"VERSION", .is_extra = true}, {"STAGE", .is_cut = true},
		{"GENERATION", .is_extra = true}, {"STATE", .is_status = true},
		{"RUNNING", .is_number = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *worker;

	cJSON_ArrayForEach (worker, cJSON_GetObjectItemCaseSensitive(bus, "workers")) {
		add_worker(&t, worker);
	}
	if (!t.n_cells)
		return;
	putchar('\n');
	table_print(&t);
}

static void print_name(const cJSON *answer)
{
	const char *name = json_member(answer, "name").p,
		   *generation = json_member(answer, "generation").p;

	fputs("Pipeline ", stderr);
	terminal_put(stderr, name ? name : "?", SIZE_MAX);
	fputs(", generation ", stderr);
	terminal_put(stderr, generation ? generation : "?", SIZE_MAX);
	fputc('\n', stderr);
}

static void print_pipeline(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"STAGE", .is_cut = true},
		{"STATE", .is_status = true}, {"BREAKER", .is_status = true},
		{"WORKERS", .is_number = true, .is_extra = true}, {"WAITING", .is_number = true},
		{"OUT", .is_number = true}, {"OLDEST MS", .is_number = true, .is_extra = true},
		{"DONE", .is_number = true}, {"FAILED", .is_number = true},
		{"RETRIED", .is_number = true}, {"HELD", .is_number = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *bus = cJSON_GetObjectItemCaseSensitive(answer, "bus"), *stage;

	(void)r;
	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(answer, "stages")) {
		add_stage(&t, stage);
	}
	table_print(&t);
	print_workers(bus);
	print_name(answer);
	print_alarms(answer, bus);
	print_refused_reload(answer);
}

/* One stage: all that its file says and how it is. */
static void print_stage(const struct remote *r, const cJSON *stage)
{
	const struct table_column columns[] = {{"STAGE"}, {r->arguments[0], .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};

	table_add_tree(&t, "", stage);
	table_print(&t);
	print_stage_alarms(stage);
}

static int print_stage_json(const cJSON *stage)
{
	_cleanup_(buf_fini) struct buf text = {0};

	json_tree(&(struct json_writer){&text, false}, stage);
	if (text.failed)
		return remote_no_memory();
	puts(text.data);
	return EXIT_SUCCESS;
}

static int show_stage(const struct remote *r, const cJSON *answer)
{
	const cJSON *stage;

	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(answer, "stages")) {
		if (!str_is(json_member(stage, "name"), r->arguments[0]))
			continue;
		if (r->flags[FLAG_JSON])
			return print_stage_json(stage);
		print_stage(r, stage);
		return EXIT_SUCCESS;
	}
	fputs("stageline: error: the pipeline has no stage ", stderr);
	terminal_put(stderr, r->arguments[0], SIZE_MAX);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

static int run_show(struct remote *r)
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};

	if (!r->n_arguments)
		return remote_ask(r, "/pipeline", NULL, print_pipeline);
	if (remote_request(r, "/pipeline", NULL, &answer) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	return show_stage(r, answer.json);
}

/* pause and resume: the action's name is the end of the path. */
static int run_change(struct remote *r)
{
	_cleanup_(buf_fini) struct buf path = {0}, body = {0};
	struct json_writer w = {&body, false};

	buf_text(&path, "/pipeline/stages");
	remote_path(&path, r->arguments[0]);
	remote_path(&path, r->action->name);
	remote_open_body(r, &w);
	json_close(&w, '}');
	return remote_ask(r, path.failed ? NULL : path.data, &body, print_pipeline);
}

/* --- generations --- */

static void add_generation(struct table *t, const cJSON *generation)
{
	const cJSON *holding = cJSON_GetObjectItemCaseSensitive(generation, "holding"), *h;
	bool is_current = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(generation, "current"));

	table_add_member(t, generation, "generation");
	table_add(t, is_current ? "current" : "earlier");
	table_add_member(t, generation, "orders");
	for (int i = 0; i < 4; i++)
		table_add(t, "");
	cJSON_ArrayForEach (h, holding) {
		const cJSON *sample = cJSON_GetObjectItemCaseSensitive(h, "sample");

		table_add(t, "");
		table_add_member(t, h, "status");
		table_add_member(t, h, "orders");
		table_add_member(t, h, "stage");
		table_add_member(t, h, "plugin");
		table_add_member(t, h, "why");
		table_add(t, cJSON_GetStringValue(cJSON_GetArrayItem(sample, 0)));
	}
}

static void print_generations(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"GENERATION"}, {"STATUS", .is_status = true},
		{"ORDERS", .is_number = true}, {"STAGE", .is_cut = true},
		{"PLUGIN", .is_cut = true, .is_extra = true}, {"WHY", .is_cut = true},
		{"ONE OF THEM", .is_extra = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *generation;

	(void)r;
	cJSON_ArrayForEach (generation, cJSON_GetObjectItemCaseSensitive(answer, "generations")) {
		add_generation(&t, generation);
	}
	table_print(&t);
}

static int run_generations(struct remote *r)
{
	return remote_ask(r, "/pipeline/generations", NULL, print_generations);
}

static void print_dry_migration(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"ID"}, {"REFUSED BECAUSE", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	int64_t matched = json_int_member(answer, "matched"),
		refused = json_int_member(answer, "refused");
	const cJSON *refusal;

	(void)r;
	cJSON_ArrayForEach (refusal, cJSON_GetObjectItemCaseSensitive(answer, "refusals")) {
		table_add_member(&t, refusal, "id");
		table_add_member(&t, refusal, "detail");
	}
	if (refused)
		table_print(&t);
	fprintf(stderr, "migrate: %lld of %lld could be moved; nothing was changed\n",
		(long long)(matched - refused), (long long)matched);
	job_print_capped(answer);
}

static int run_migrate(struct remote *r)
{
	_cleanup_(buf_fini) struct buf body = {0};
	struct json_writer w = {&body, false};
	struct client_answer answer;
	int64_t rate;

	remote_open_body(r, &w);
	json_key(&w, "from");
	json_text(&w, r->arguments[0]);
	if (r->flags[FLAG_RATE]) {
		if (!remote_int(r, FLAG_RATE, &rate))
			return EXIT_USAGE;
		json_key(&w, "rate");
		json_int(&w, rate);
	}
	json_key(&w, "dry_run");
	json_bool(&w, r->flags[FLAG_DRY_RUN] != NULL);
	json_close(&w, '}');
	if (r->flags[FLAG_DRY_RUN])
		return remote_ask(r, "/pipeline/migrate", &body, print_dry_migration);
	if (remote_request(r, "/pipeline/migrate", &body, &answer) == EXIT_SUCCESS)
		return job_end(r, &answer);
	client_answer_fini(&answer);
	return EXIT_FAILURE;
}

static const struct remote_action actions[] = {
	{"show", "[STAGE]", "Shows the stages with their live counts, or all of one", 0, 1,
		.run = run_show},
	{"watch", "", "Follows the stages live, second by second", .run = pipeline_watch},
	{"history", "[STAGE]", "Shows the last five minutes, of all or of a stage", 0, 1,
		.takes = TAKES(FLAG_LIMIT), .run = pipeline_history},
	{"errors", "STAGE", "Shows what went wrong at a stage last", 1, 1,
		.takes = TAKES(FLAG_LIMIT), .run = pipeline_errors},
	{"pause", "STAGE", "Starts no more attempts of a stage; its orders wait", 1, 1,
		.takes = TAKES(FLAG_REASON), .needs_reason = true, .run = run_change},
	{"resume", "STAGE", "Lets a paused stage go on", 1, 1, .takes = TAKES(FLAG_REASON),
		.needs_reason = true, .run = run_change},
	{"generations", "", "Shows which orders are on which generation, and why",
		.run = run_generations},
	{"migrate", "GENERATION", "Moves its orders to the current generation", 1, 1,
		.takes = TAKES(FLAG_REASON) | TAKES(FLAG_DRY_RUN) | TAKES(FLAG_RATE),
		.needs_reason = true, .run = run_migrate},
	{0},
};

int pipeline_main(int argc, char **argv)
{
	static const struct remote_command command = {"pipeline",
		"Shows and follows the stages and generations, pauses, resumes and migrates",
		actions};

	return remote_main(&command, argc, argv);
}
