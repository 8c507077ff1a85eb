/* `stageline system`: the daemon itself, its counts, its health. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/remote.h"
#include "cli/table.h"

/* --- show: a line per figure --- */

static void print_system(const struct remote *r, const cJSON *answer)
{
	static const struct table_column columns[] = {{"SYSTEM"}, {""}}; /* to be copied whole */
	static const struct {
		const char *label, *part, *member; /* `part` NULL: of the answer itself */
	} lines[] = {{"version", NULL, "version"}, {"process", NULL, "pid"},
		{"started", NULL, "started_at"}, {"accepting", NULL, "accepting"},
		{"trouble", NULL, "trouble"}, {"read only", NULL, "read_only"},
		{"connections", NULL, "connections"}, {"watchers", NULL, "watchers"},
		{"wait for a commit", NULL, "unanswered"}, {"cpu ms", NULL, "cpu_ms"},
		{"memory bytes", "memory", "resident_bytes"},
		{"at most bytes", "memory", "peak_bytes"}, {"journal", "journal", "path"},
		{"journal bytes", "journal", "bytes"},
		{"write-ahead log bytes", "journal", "wal_bytes"},
		{"last event", "journal", "last_seq"}, {"head of the chain", "journal", "head"},
		{"commits", "commits", "count"}, {"commit p50 us", "commits", "p50_us"},
		{"commit p99 us", "commits", "p99_us"}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *journal = cJSON_GetObjectItemCaseSensitive(answer, "journal");

	(void)r;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const cJSON *part = answer;

		if (lines[i].part)
			part = cJSON_GetObjectItemCaseSensitive(answer, lines[i].part);
		if (!part)
			part = cJSON_GetObjectItemCaseSensitive(journal, lines[i].part);
		table_add(&t, lines[i].label);
		table_add_member(&t, part, lines[i].member);
	}
	table_print(&t);
}

static int run_show(struct remote *r)
{
	return remote_ask(r, "/system", NULL, print_system);
}

/* --- stats and health: flat objects --- */

static void print_members(const cJSON *answer, const char *name, bool has_numbers)
{
	const struct table_column columns[] = {{name}, {"", .is_number = has_numbers}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};
	const cJSON *member;

	cJSON_ArrayForEach (member, answer) {
		table_add(&t, member->string);
		table_add_member(&t, answer, member->string);
	}
	table_print(&t);
}

static void print_stats(const struct remote *r, const cJSON *answer)
{
	(void)r;
	print_members(answer, "COUNT", true);
}

static int run_stats(struct remote *r)
{
	return remote_ask(r, "/stats", NULL, print_stats);
}

/* An unhealthy daemon answers 503 and says the same as a healthy one. */
static int run_health(struct remote *r)
{
	_cleanup_(client_answer_fini) struct client_answer answer = {0};

	if (remote_send(r, "/health", NULL, &answer) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	if (!json_member(answer.json, "status").p || !json_member(answer.json, "event_bus").p) {
		fprintf(stderr,
			"stageline: error: the answer was %d and tells no health; is it "
			"Stageline that answers?\n",
			answer.status);
		return EXIT_FAILURE;
	}
	if (r->flags[FLAG_JSON])
		remote_print_json(&answer);
	else
		print_members(answer.json, "HEALTH", false);
	return answer.status == 200 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const struct remote_action actions[] = {
	{"show", "", "Shows process, memory, journal and the head of the chain", .run = run_show},
	{"stats", "", "Shows the counts of orders, events and watchers", .run = run_stats},
	{"health", "", "Shows whether it is well; else it exits with 1", .run = run_health},
	{0},
};

int system_main(int argc, char **argv)
{
	static const struct remote_command command = {
		"system", "Shows the daemon itself: its journal, counts and health", actions};

	return remote_main(&command, argc, argv);
}
