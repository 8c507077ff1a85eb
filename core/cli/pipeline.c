/* `stageline pipeline`: what the stages are doing; pausing and resuming one. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/remote.h"
#include "cli/table.h"

static void add_stage(struct table *t, const cJSON *stage)
{
	static const char *const counts[] = {
		"waiting", "out", "oldest_ms", "done", "failed", "retried", "held"};
	const cJSON *live = cJSON_GetObjectItemCaseSensitive(stage, "live");
	bool is_paused = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(live, "paused"));
	bool is_unhealthy = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(live, "processes"), "healthy"));

	table_add_member(t, stage, "name");
	table_add(t, is_paused ? "paused" : is_unhealthy ? "unhealthy" : "runs");
	table_add_member(t, live, "breaker");
	table_add_member(t, stage, "workers");
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		table_add_member(t, live, counts[i]);
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
	const cJSON *stage;

	(void)r;
	cJSON_ArrayForEach (stage, cJSON_GetObjectItemCaseSensitive(answer, "stages")) {
		add_stage(&t, stage);
	}
	table_print(&t);
}

static int run_show(struct remote *r)
{
	return remote_ask(r, "/pipeline", NULL, print_pipeline);
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

static const struct remote_action actions[] = {
	{"show", "", "Shows the stages with their live counts", .run = run_show},
	{"pause", "STAGE", "Starts no more attempts of a stage; its orders wait", 1, 1,
		.takes = TAKES(FLAG_REASON), .needs_reason = true, .run = run_change},
	{"resume", "STAGE", "Lets a paused stage go on", 1, 1, .takes = TAKES(FLAG_REASON),
		.needs_reason = true, .run = run_change},
	{0},
};

int pipeline_main(int argc, char **argv)
{
	static const struct remote_command command = {
		"pipeline", "Shows the stages, pauses and resumes them", actions};

	return remote_main(&command, argc, argv);
}
