/* GET /system: the daemon itself, for whoever looks after it: since when it runs, its memory, its journal and the head of
 * the chain, whether it takes orders. */
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "journal/line.h"
#include "net/app.h"
#include "version.h"

struct system_job {
	struct read_job job;
	struct app *app;
	struct http_request *req;
	struct chain_head head;
	int result;
	struct err err;
};

static void run_system(struct read_job *job, struct reader *r)
{
	struct system_job *j = CONTAINER_OF(job, struct system_job, job);

	j->result = reader_head(r, &j->head, &j->err);
}

static void write_int(struct json_writer *w, const char *name, int64_t value)
{
	json_key(w, name);
	json_int(w, value);
}

static void write_process(struct app *app, struct json_writer *w)
{
	struct rusage usage = {0};
	int64_t resident = process_resident_bytes(), peak;

	getrusage(RUSAGE_SELF, &usage);
	peak = (int64_t)usage.ru_maxrss * 1024; /* which the kernel raises a little later */
	json_key(w, "version");
	json_text(w, STAGELINE_VERSION);
	write_int(w, "pid", getpid());
	json_key(w, "started_at");
	json_time(w, app->started_us);
	json_key(w, "memory");
	json_open(w, '{');
	write_int(w, "resident_bytes", resident);
	write_int(w, "peak_bytes", peak > resident ? peak : resident);
	json_close(w, '}');
	write_int(w, "cpu_ms",
		(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
			(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
}

static void write_commits(struct json_writer *w, const struct histogram *took_us)
{
	struct histogram_counts c;

	histogram_read(took_us, &c);
	json_key(w, "commits");
	json_open(w, '{');
	write_int(w, "count", c.n);
	write_int(w, "mean_us", c.n ? c.sum / c.n : 0);
	write_int(w, "p50_us", (int64_t)histogram_quantile(&c, 0.5));
	write_int(w, "p99_us", (int64_t)histogram_quantile(&c, 0.99));
	json_close(w, '}');
}

static void write_journal(
	struct app *app, struct json_writer *w, const struct system_job *j, int64_t events)
{
	char head[CHAIN_HEAD_TEXT];

	chain_head_text(&j->head, head);
	json_key(w, "journal");
	json_open(w, '{');
	json_key(w, "path");
	json_text(w, app->journal_path);
	write_int(w, "bytes", app_journal_bytes(app, ""));
	write_int(w, "wal_bytes", app_journal_bytes(app, "-wal"));
	write_int(w, "last_seq", j->head.seq);
	json_key(w, "head");
	json_text(w, j->head.seq ? head : NULL);
	write_int(w, "events_since_start", events);
	write_commits(w, engine_commit_took_us(app->engine));
	json_close(w, '}');
}

static void write_service(struct app *app, struct json_writer *w)
{
	struct err why;
	bool is_accepting = !app->is_draining && engine_is_accepting(app->engine, &why);

	json_key(w, "accepting");
	json_bool(w, is_accepting);
	json_key(w, "trouble");
	json_text(w, is_accepting ? NULL : app->is_draining ? "stopping" : err_text(&why));
	json_key(w, "read_only");
	json_bool(w, app->is_read_only);
	write_int(w, "connections", (int64_t)http_connections(app->http));
	write_int(w, "watchers", app_watchers(app));
	write_int(w, "unanswered", app->n_unanswered);
}

static void done_system(struct read_job *job)
{
	struct system_job *j = CONTAINER_OF(job, struct system_job, job);
	struct engine_stats stats;
	struct buf body = {0};
	struct json_writer w = {&body, false};

	if (j->result < 0) {
		app_cannot_read(j->req, "the head of the chain cannot be read", &j->err);
		free(j);
		return;
	}
	engine_stats(j->app->engine, &stats);
	json_open(&w, '{');
	write_process(j->app, &w);
	write_journal(j->app, &w, j, stats.events);
	write_service(j->app, &w);
	json_close(&w, '}');
	http_reply_json(j->req, 200, &body);
	free(j);
}

void route_system(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct system_job *j = calloc(1, sizeof *j);

	if (!j) {
		http_problem(req, 503, "no memory");
		return;
	}
	j->job = (struct read_job){.run = run_system, .done = done_system};
	j->app = app;
	j->req = req;
	if (!app_read(app, app->reading, req, &j->job, &j->result))
		free(j);
}
