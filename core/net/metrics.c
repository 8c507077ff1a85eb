/* GET /metrics: what Prometheus scrapes. No order is named in it, so the number of series is bounded by stages and
 * routes. The journal is asked on the reading thread; all else is counted in memory. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/gate.h"
#include "net/app.h"
#include "net/exposition.h"
#include "version.h"

enum {
	STAGES_HELD_MAX = 1024,
	SHORTEST_US = 100, /* times below are one bucket */
};

#define US 1e6 /* in a second */

/* --- stages --- */

struct stage_row {
	const struct tally *tally;
	struct engine_stage_gauges now;
};

struct stage_rows {
	struct stage_row *rows;
	size_t n, cap;
	bool failed;
};

static void on_stage(void *arg, const struct tally *t, const struct engine_stage_gauges *g)
{
	struct stage_rows *s = arg;

	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct stage_row *rows = realloc(s->rows, cap * sizeof *rows);

		if (!rows) {
			s->failed = true;
			return;
		}
		s->rows = rows;
		s->cap = cap;
	}
	s->rows[s->n++] = (struct stage_row){t, *g};
}

/* One family with a number per stage. */
struct stage_family {
	const char *name, *type, *help;
	int64_t (*get)(const struct stage_row *row); /* negative: not known now, and left out */
	bool is_of_current; /* means nothing for a stage that only earlier generations have */
};

static int64_t waiting(const struct stage_row *row)
{
	return row->now.waiting;
}

static int64_t out(const struct stage_row *row)
{
	return row->now.out;
}

static int64_t served_by(const struct stage_row *row)
{
	return row->now.served_by;
}

static int64_t running(const struct stage_row *row)
{
	return row->now.running;
}

static int64_t crashes(const struct stage_row *row)
{
	return row->now.crashes;
}

static int64_t restarts(const struct stage_row *row)
{
	return row->now.restarts;
}

static int64_t paused(const struct stage_row *row)
{
	return row->now.is_paused;
}

static int64_t trouble(const struct stage_row *row)
{
	return row->now.has_trouble;
}

static int64_t held(const struct stage_row *row)
{
	return atomic_load_explicit(&row->tally->n_held, memory_order_relaxed);
}

static const struct stage_family stage_families[] = {
	{"stageline_stage_waiting", "gauge", "Tasks that wait to go out to the stage's workers.",
		waiting, false},
	{"stageline_stage_out", "gauge", "Tasks that are out with workers.", out, false},
	{"stageline_stage_workers", "gauge",
		"Workers (processes) that take the stage's tasks, in the generation that has the "
		"fewest; absent while the bus is cut off.",
		served_by, false},
	{"stageline_stage_running", "gauge", "Calls of the stage's code under way in this process.",
		running, false},
	{"stageline_stage_crashes_total", "counter",
		"Ends of the stage's processes that nobody asked for.", crashes, false},
	{"stageline_stage_restarts_total", "counter", "Processes started in place of others.",
		restarts, false},
	{"stageline_stage_held_total", "counter", "Orders that the stage put on hold.", held,
		false},
	{"stageline_stage_paused", "gauge", "1 while an operator has paused the stage.", paused,
		true},
	{"stageline_stage_unhealthy", "gauge", "1 while the stage cannot run.", trouble, false},
};

static void write_stage_numbers(struct exposition *x, const struct stage_rows *s)
{
	for (const struct stage_family *f = stage_families;
		f < stage_families + ARRAY_LEN(stage_families); f++) {
		exposition_begin(x, f->name, f->type, f->help);
		for (size_t i = 0; i < s->n; i++)
			if ((!f->is_of_current || s->rows[i].now.is_current) &&
				f->get(&s->rows[i]) >= 0)
				exposition_int(x,
					(struct label[]){{"stage", s->rows[i].tally->name}, {0}},
					f->get(&s->rows[i]));
	}
}

static void write_attempts(struct exposition *x, const struct stage_rows *s)
{
	static const char *const directions[] = {"run", "undo"};

	exposition_begin(x, "stageline_stage_attempts_total", "counter",
		"Attempts that came back, by what became of them.");
	for (size_t i = 0; i < s->n; i++)
		for (size_t undo = 0; undo < 2; undo++)
			for (enum verdict v = 0; v < VERDICT_KINDS; v++)
				if (v != VERDICT_LATER)
					exposition_int(x,
						(struct label[]){{"stage", s->rows[i].tally->name},
							{"direction", directions[undo]},
							{"verdict", verdict_word(v)}, {0}},
						atomic_load_explicit(
							&s->rows[i].tally->verdicts[undo][v],
							memory_order_relaxed));
}

static void write_breakers(struct exposition *x, const struct stage_rows *s)
{
	exposition_begin(x, "stageline_stage_breaker", "gauge",
		"1 for the state that the stage's breaker is in.");
	for (size_t i = 0; i < s->n; i++)
		for (int state = BREAKER_CLOSED; state <= BREAKER_HALF_OPEN; state++)
			if (s->rows[i].now.is_current)
				exposition_int(x,
					(struct label[]){{"stage", s->rows[i].tally->name},
						{"state", breaker_word((enum breaker_state)state)},
						{0}},
					s->rows[i].now.breaker == state);
}

static void write_stage_times(struct exposition *x, const struct stage_rows *s)
{
	exposition_begin(x, "stageline_stage_oldest_waiting_seconds", "gauge",
		"How long the stage's oldest waiting task has waited.");
	for (size_t i = 0; i < s->n; i++)
		exposition_double(x, (struct label[]){{"stage", s->rows[i].tally->name}, {0}},
			(double)s->rows[i].now.oldest_ms / 1e3);
	exposition_begin(x, "stageline_stage_run_seconds", "histogram",
		"From the first call of an attempt to its verdict.");
	for (size_t i = 0; i < s->n; i++)
		exposition_histogram(x, (struct label[]){{"stage", s->rows[i].tally->name}, {0}},
			&s->rows[i].tally->run_us, SHORTEST_US, US);
	exposition_begin(x, "stageline_stage_wait_seconds", "histogram",
		"From the moment a task may run to its going out.");
	for (size_t i = 0; i < s->n; i++)
		exposition_histogram(x, (struct label[]){{"stage", s->rows[i].tally->name}, {0}},
			&s->rows[i].tally->wait_us, SHORTEST_US, US);
}

static void write_stages(struct exposition *x, struct engine *en)
{
	struct stage_rows s = {0};

	engine_each_stage(en, on_stage, &s);
	x->out->failed |= s.failed;
	write_stage_numbers(x, &s);
	write_attempts(x, &s);
	write_breakers(x, &s);
	write_stage_times(x, &s);
	free(s.rows);
}

/* --- orders and the journal --- */

static void write_one(
	struct exposition *x, const char *name, const char *type, const char *help, int64_t value)
{
	exposition_begin(x, name, type, help);
	exposition_int(x, NULL, value);
}

static void write_orders(struct exposition *x, const struct engine_stats *s)
{
	const struct {
		const char *status;
		int64_t n;
	} ends[] = {
		{"completed", s->completed}, {"failed", s->failed}, {"cancelled", s->cancelled}};

	write_one(x, "stageline_orders_accepted_total", "counter",
		"Orders accepted since the journal began.", s->accepted);
	exposition_begin(x, "stageline_orders_finished_total", "counter",
		"Orders that have ended since the journal began.");
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		exposition_int(x, (struct label[]){{"status", ends[i].status}, {0}}, ends[i].n);
	write_one(x, "stageline_orders_in_flight", "gauge",
		"Orders that have not ended, those on hold included.", s->in_flight);
	write_one(x, "stageline_orders_on_hold", "gauge", "Orders that wait for an operator.",
		s->on_hold);
	write_one(x, "stageline_orders_set_aside", "gauge",
		"Orders that nobody works on until the next start, since what the journal says of "
		"them cannot be used.",
		s->set_aside);
}

static void write_journal(struct exposition *x, struct app *app, const struct engine_stats *s)
{
	struct err why;

	write_one(x, "stageline_accepting", "gauge", "1 while orders are accepted.",
		!app->is_draining && engine_is_accepting(app->engine, &why));
	write_one(x, "stageline_journal_last_seq", "gauge", "Number of the newest event.",
		s->last_seq);
	write_one(x, "stageline_journal_events_total", "counter", "Events appended.", s->events);
	exposition_begin(x, "stageline_journal_bytes", "gauge", "Size of the journal's files.");
	exposition_int(x, (struct label[]){{"file", "main"}, {0}}, app_journal_bytes(app, ""));
	exposition_int(x, (struct label[]){{"file", "wal"}, {0}}, app_journal_bytes(app, "-wal"));
	exposition_begin(x, "stageline_journal_commit_seconds", "histogram",
		"Writing the last rows of a batch and committing it to disk.");
	exposition_histogram(x, NULL, engine_commit_took_us(app->engine), SHORTEST_US, US);
	exposition_begin(x, "stageline_journal_batch_events", "histogram", "Events per commit.");
	exposition_histogram(x, NULL, engine_batch_events(app->engine), 0, 1);
}

/* --- the HTTP side --- */

static void write_requests(struct exposition *x, const struct access *a)
{
	exposition_begin(x, "stageline_http_requests_total", "counter",
		"Requests answered, by route and status. 499: the client had gone.");
	for (size_t row = 0; row <= a->n_routes; row++)
		for (size_t i = 0; i < ACCESS_STATUSES; i++) {
			bool is_known = row < a->n_routes;
			char code[16];

			if (!a->counts[row][i])
				continue;
			snprintf(code, sizeof code, "%d", access_statuses[i]);
			exposition_int(x,
				(struct label[]){{"method", is_known ? a->routes[row].method : ""},
					{"route", is_known ? a->routes[row].path : ""},
					{"code", access_statuses[i] ? code : "other"}, {0}},
				a->counts[row][i]);
		}
	exposition_begin(x, "stageline_http_request_seconds", "histogram",
		"From a request's first byte to its answer, or to the begin of a stream.");
	exposition_histogram(x, NULL, &a->took_us, SHORTEST_US, US);
}

static void write_net(struct exposition *x, struct app *app)
{
	struct bus_state bus;

	write_requests(x, &app->access);
	write_one(x, "stageline_http_connections", "gauge", "Open connections.",
		(int64_t)http_connections(app->http));
	write_one(x, "stageline_watchers", "gauge",
		"Clients that follow orders, the journal or the pipeline by WebSocket or "
		"server-sent events.",
		app_watchers(app));
	write_one(x, "stageline_commands_unanswered", "gauge", "Requests whose commit is awaited.",
		app->n_unanswered);
	engine_bus_state(app->engine, &bus);
	exposition_begin(x, "stageline_bus_connected", "gauge",
		"1 while the bus carries tasks and verdicts.");
	exposition_int(x, (struct label[]){{"bus", bus.kind}, {0}}, bus.is_connected);
	exposition_begin(x, "stageline_build_info", "gauge", "Always 1.");
	exposition_int(x,
		(struct label[]){{"version", STAGELINE_VERSION},
			{"pipeline", engine_pipeline(app->engine)->name},
			{"generation", engine_pipeline(app->engine)->digest}, {0}},
		1);
}

/* --- dead letters: only the journal knows since when --- */

struct held_stage {
	char *name;
	int64_t n, first_us;
};

struct metrics_job {
	struct read_job job;
	struct app *app;
	struct http_request *req;
	struct held_stage held[STAGES_HELD_MAX];
	size_t n_held;
	int result;
	struct err err;
};

static int on_held(void *arg, const struct held_cause *cause)
{
	struct metrics_job *j = arg;
	char *name = str_dup(cause->stage.p ? cause->stage : STR(""));

	if (!name)
		return 1;
	j->held[j->n_held++] = (struct held_stage){name, cause->n, cause->first_us};
	return 0;
}

static void run_metrics(struct read_job *job, struct reader *r)
{
	struct metrics_job *j = CONTAINER_OF(job, struct metrics_job, job);

	j->result = reader_held_stages(r, STAGES_HELD_MAX, on_held, j, &j->err);
}

static void write_dead_letters(struct exposition *x, const struct metrics_job *j)
{
	int64_t now_us = clock_wall_us();

	exposition_begin(x, "stageline_dead_letters", "gauge",
		"Orders on hold, by the stage that holds them.");
	for (size_t i = 0; i < j->n_held; i++)
		exposition_int(x, (struct label[]){{"stage", j->held[i].name}, {0}}, j->held[i].n);
	exposition_begin(x, "stageline_dead_letters_oldest_seconds", "gauge",
		"How long the oldest of them has been on hold.");
	for (size_t i = 0; i < j->n_held; i++)
		exposition_double(x, (struct label[]){{"stage", j->held[i].name}, {0}},
			now_us > j->held[i].first_us ? (double)(now_us - j->held[i].first_us) / US
						     : 0);
}

static void done_metrics(struct read_job *job)
{
	struct metrics_job *j = CONTAINER_OF(job, struct metrics_job, job);
	struct buf body = {0};
	struct exposition x = {.out = &body};
	struct engine_stats stats;

	/* A journal that cannot be read is told by the families that are missing; the others matter then. */
	if (j->result < 0 && j->result != -ECANCELED)
		log_error("metrics: dead letters cannot be counted: %s", err_text(&j->err));
	else
		write_dead_letters(&x, j);
	engine_stats(j->app->engine, &stats);
	write_orders(&x, &stats);
	write_stages(&x, j->app->engine);
	write_journal(&x, j->app, &stats);
	write_net(&x, j->app);
	http_reply(j->req, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
	for (size_t i = 0; i < j->n_held; i++)
		free(j->held[i].name);
	free(j);
}

void route_metrics(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct metrics_job *j = calloc(1, sizeof *j);

	if (!j) {
		http_problem(req, 503, "no memory");
		return;
	}
	j->job = (struct read_job){.run = run_metrics, .done = done_metrics};
	j->app = app;
	j->req = req;
	if (!app_read(app, app->reading, req, &j->job, &j->result))
		free(j);
}
