/* `stageline replay --against`: which orders would end differently with another pipeline. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/replay.h"
#include "cli/terminal.h"
#include "engine/load.h"
#include "journal/history.h"
#include "kit/retrial.h"

enum { LISTED_MAX = 50 }; /* orders, for people */

struct against {
	struct offline *o;
	struct pipeline *pipeline;
	struct retrial_request request;
	struct retrial_report report;
	int64_t n_listed;
};

/* --- what is asked for --- */

static int load(struct against *a)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	const char *path = offline_text(a->o, OFFLINE_AGAINST);
	struct err e = {0};

	a->request.folders = host_config_folders(a->o->config);
	if (pipeline_load(path, &a->request.folders, false, &a->pipeline, &faults, &e) == 0) {
		a->request.pipeline = a->pipeline;
		return EXIT_SUCCESS;
	}
	if (faults.n)
		yaml_faults_print(&faults, path, stderr);
	else
		offline_fail(a->o, &e);
	return EXIT_BAD_CONFIG;
}

static int take_stages(struct against *a)
{
	for (size_t k = 0; k < a->o->flags[OFFLINE_RUN].n; k++) {
		const char *name = a->o->flags[OFFLINE_RUN].values[k];
		int i = pipeline_find(a->pipeline, str_of(name));

		if (i < 0)
			return offline_refuse(
				a->o, "the pipeline has no stage '%.80s' to --run", name);
		a->request.asked |= (uint64_t)1 << i;
	}
	return EXIT_SUCCESS;
}

/* Orders placed from then on, of those the newest, and what happened up to then. */
static int take_range(struct against *a)
{
	struct offline *o = a->o;
	struct err e = {0};
	int64_t limit, newest = 0;
	int status = EXIT_SUCCESS;

	if (!offline_number(o, OFFLINE_LIMIT, 0, &limit))
		return EXIT_USAGE;
	if (offline_has(o, OFFLINE_SINCE))
		status = replay_find_moment(o, OFFLINE_SINCE, &a->request.since);
	if (status == EXIT_SUCCESS && offline_has(o, OFFLINE_UNTIL))
		status = replay_find_moment(o, OFFLINE_UNTIL, &a->request.until);
	if (status != EXIT_SUCCESS)
		return status;
	if (limit && journal_newest_ended(o->journal, limit, a->request.until, &newest, &e) < 0)
		return offline_fail(o, &e);
	if (newest > a->request.since)
		a->request.since = newest;
	return EXIT_SUCCESS;
}

/* --- one order --- */

static const char *const end_words[RETRIAL_ENDS] = {
	[RETRIAL_SAME] = "same",
	[RETRIAL_CHANGED] = "changed",
	[RETRIAL_DIFFERENT] = "different",
	[RETRIAL_UNKNOWN] = "unknown",
};

static void write_fate(struct json_writer *w, const char *name, const struct retrial_fate *f)
{
	json_key(w, name);
	json_open(w, '{');
	json_key(w, "status");
	json_text(w, f->status);
	json_key(w, "stage");
	json_text(w, f->stage);
	json_key(w, "error");
	json_text(w, f->error);
	json_close(w, '}');
}

static void print_json_result(const struct retrial_result *result)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};

	json_open(&w, '{');
	json_key(&w, "order");
	json_id(&w, &result->order_id);
	json_key(&w, "end");
	json_text(&w, end_words[result->end]);
	write_fate(&w, "was", &result->was);
	write_fate(&w, "would", &result->would);
	json_key(&w, "detail");
	json_text(&w, result->detail);
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

static void put_reason(struct buf *out, const char *before, const struct retrial_fate *f)
{
	if (f->error)
		buf_fmt(out, "%s%s%s%s", before, f->stage ? f->stage : "", f->stage ? ": " : "",
			f->error);
}

static void print_result(const struct retrial_result *result)
{
	_cleanup_(buf_fini) struct buf text = {0};
	char id[ID_TEXT_SIZE];

	id_text(&result->order_id, id);
	buf_fmt(&text, "%s  %s", id, result->was.status);
	if (result->end == RETRIAL_CHANGED)
		buf_fmt(&text, " all the same, but: %s", result->detail);
	else if (result->end == RETRIAL_UNKNOWN)
		buf_fmt(&text, " → not known: %s", result->detail);
	else
		buf_fmt(&text, " → %s", result->would.status);
	if (result->end != RETRIAL_UNKNOWN)
		put_reason(&text, "  ", &result->would);
	put_reason(&text, "  was ", &result->was);
	terminal_put(stdout, buf_view(&text).p, SIZE_MAX);
	putchar('\n');
}

static void on_result(void *against, const struct retrial_result *result)
{
	struct against *a = against;

	if (result->end == RETRIAL_SAME)
		return;
	if (a->o->is_json) {
		print_json_result(result);
	} else if (a->n_listed < LISTED_MAX) {
		progress_hide(&a->o->progress);
		print_result(result);
		a->n_listed++;
	}
}

/* --- all of them --- */

static int64_t total(const struct retrial_report *r)
{
	int64_t n = 0;

	for (size_t i = 0; i < RETRIAL_ENDS; i++)
		n += r->n[i];
	return n;
}

static void write_stages(const struct against *a, struct json_writer *w, bool again)
{
	json_key(w, again ? "again" : "recorded");
	json_open(w, '[');
	for (size_t i = 0; i < a->pipeline->n_stages; i++)
		if ((a->report.again >> i & 1) == again)
			json_text(w, a->pipeline->stages[i].name);
	json_close(w, ']');
}

static void print_json_sum(const struct against *a)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};
	const struct retrial_report *r = &a->report;
	const struct {
		const char *name;
		int64_t n;
	} counts[] = {{"orders", total(r)}, {"same", r->n[RETRIAL_SAME]},
		{"changed", r->n[RETRIAL_CHANGED]}, {"different", r->n[RETRIAL_DIFFERENT]},
		{"unknown", r->n[RETRIAL_UNKNOWN]}, {"removed", r->n_removed}, {"open", r->n_open},
		{"broken", r->n_broken}};

	json_open(&w, '{');
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		json_key(&w, counts[i].name);
		json_int(&w, counts[i].n);
	}
	write_stages(a, &w, true);
	write_stages(a, &w, false);
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

static void print_count(FILE *out, int64_t n)
{
	char digits[24];
	int length = snprintf(digits, sizeof digits, "%" PRId64, n);

	for (int i = 0; i < length; i++)
		fprintf(out, "%s%c", i && (length - i) % 3 == 0 ? "," : "", digits[i]);
}

static void print_stages(const struct against *a, bool again)
{
	const char *before = again ? "Run again: " : "Answers from the journal: ";

	for (size_t i = 0; i < a->pipeline->n_stages; i++) {
		if ((a->report.again >> i & 1) != again)
			continue;
		fprintf(stderr, "%s%s", before, a->pipeline->stages[i].name);
		before = ", ";
	}
	if (strcmp(before, ", ") == 0)
		fputc('\n', stderr);
}

static void print_line(FILE *out, int64_t n, const char *words)
{
	if (!n)
		return;
	print_count(out, n);
	fprintf(out, " %s\n", words);
}

static void print_sum(const struct against *a)
{
	const struct retrial_report *r = &a->report;

	if (total(r) - r->n[RETRIAL_SAME] > a->n_listed) {
		fputs("… and ", stdout);
		print_line(stdout, total(r) - r->n[RETRIAL_SAME] - a->n_listed,
			"more; --json lists all of them");
	}
	print_count(stdout, r->n[RETRIAL_DIFFERENT]);
	fputs(" of ", stdout);
	print_count(stdout, total(r));
	puts(" orders would end differently");
	print_line(stdout, r->n[RETRIAL_CHANGED],
		"would end the same, but for another reason or with other results");
	print_line(stdout, r->n[RETRIAL_UNKNOWN],
		"cannot be told: the journal does not have what a stage would have answered");
	print_line(stderr, r->n_open, "passed over: they had not ended");
	print_line(stderr, r->n_removed, "passed over: erased or archived");
	print_line(stderr, r->n_broken, "passed over: they lost events in a known gap");
	print_stages(a, true);
	print_stages(a, false);
}

static void on_log(enum log_level level, const char *text)
{
	(void)level, (void)text; /* how a process ended is said of its order */
}

static int play(struct against *a)
{
	struct err e = {0};
	int r;

	offline_begin(a->o, "decide again");
	a->request.journal = a->o->journal;
	a->request.watch = &a->o->watch;
	a->request.on_result = on_result;
	a->request.arg = a;
	log_set_sink(on_log);
	r = retrial_run(&a->request, &a->report, &e);
	log_set_sink(NULL);
	progress_end(&a->o->progress);
	if (r < 0)
		return offline_fail(a->o, &e);
	if (a->o->is_json)
		print_json_sum(a);
	else
		print_sum(a);
	return a->report.n[RETRIAL_DIFFERENT] || a->report.n[RETRIAL_UNKNOWN] ? EXIT_FAILURE
									      : EXIT_SUCCESS;
}

int replay_against(struct offline *o)
{
	struct against a = {.o = o};
	int status = load(&a);

	if (status == EXIT_SUCCESS)
		status = take_stages(&a);
	if (status == EXIT_SUCCESS)
		status = take_range(&a);
	if (status == EXIT_SUCCESS)
		status = play(&a);
	pipeline_free(a.pipeline);
	return status;
}
