/* Looking back from now: what went wrong at a stage last, and what changed a value of the state. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/app.h"

enum { SHOWN_DEFAULT = 20, SHOWN_MAX = 100, NAME_SIZE = 257 };

struct lookback_job {
	struct read_job job;
	struct app *app;
	struct http_request *req;
	char name[NAME_SIZE]; /* of the stage, or the key */
	int64_t before, next;
	size_t limit;
	struct arena arena;
	struct event_list events;
	struct buf value; /* of the key; empty: it has none */
	bool is_past;
	int result;
	struct err err;
};

/* NULL: answered. */
static struct lookback_job *job_of(struct app *app, struct http_request *req, struct str name)
{
	struct lookback_job *j;
	int64_t limit, before;

	if (!app_query_int(req, "limit", 1, SHOWN_MAX, SHOWN_DEFAULT, &limit) ||
		!app_query_int(req, "cursor", 1, INT64_MAX, INT64_MAX, &before))
		return NULL;
	j = calloc(1, sizeof *j);
	if (!j) {
		http_problem(req, 503, "no memory");
		return NULL;
	}
	j->app = app;
	j->req = req;
	j->limit = (size_t)limit;
	j->before = before;
	snprintf(j->name, sizeof j->name, "%.*s", (int)name.n, name.p);
	event_list_init(&j->events, &j->arena);
	return j;
}

static void job_free(struct lookback_job *j)
{
	j->app->n_past -= j->is_past;
	arena_fini(&j->arena);
	buf_fini(&j->value);
	free(j);
}

/* False: answered. */
static bool succeeded(struct lookback_job *j)
{
	if (j->result >= 0)
		return true;
	app_cannot_read(j->req, "the journal cannot be read", &j->err);
	return false;
}

/* --- what went wrong at a stage --- */

static void run_errors(struct read_job *job, struct reader *r)
{
	struct lookback_job *j = CONTAINER_OF(job, struct lookback_job, job);
	int64_t last;

	j->result = reader_begin(r, &last, &j->err);
	if (j->result < 0)
		return;
	j->result = reader_stage_trouble(r, str_of(j->name), last, j->limit, &j->events, &j->err);
	reader_end(r);
}

static void done_errors(struct read_job *job)
{
	struct lookback_job *j = CONTAINER_OF(job, struct lookback_job, job);
	struct buf body = {0};
	struct json_writer w = {&body, false};

	if (succeeded(j)) {
		json_open(&w, '{');
		json_key(&w, "errors");
		json_open(&w, '[');
		for (const struct event *ev = j->events.first; ev; ev = ev->next)
			event_json(ev, &w);
		json_close(&w, ']');
		json_close(&w, '}');
		http_reply_json(j->req, 200, &body);
	}
	job_free(j);
}

void route_stage_errors(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct str name = http_param(req, "name");
	struct lookback_job *j;

	if (pipeline_find(engine_pipeline(app->engine), name) < 0) {
		http_problem(req, 404, "the pipeline has no such stage");
		return;
	}
	j = job_of(app, req, name);
	if (!j)
		return;
	j->job = (struct read_job){.run = run_errors, .done = done_errors};
	if (!app_read(app, app->reading, req, &j->job, &j->result))
		job_free(j);
}

/* --- what changed a value --- */

static int on_value(void *arg, struct str key, struct str json)
{
	struct lookback_job *j = arg;

	if (str_is(key, j->name))
		buf_str(&j->value, json);
	return 1;
}

static void run_changes(struct read_job *job, struct reader *r)
{
	struct lookback_job *j = CONTAINER_OF(job, struct lookback_job, job);
	struct str key = str_of(j->name);
	int64_t last;

	j->result = reader_begin(r, &last, &j->err);
	if (j->result < 0)
		return;
	j->result = reader_state(
		r, &(struct state_page){.prefix = key, .limit = 1}, on_value, j, &j->err);
	if (j->result >= 0)
		j->result = reader_key_changes(r, key, j->before > last ? last + 1 : j->before,
			j->limit, &j->events, &j->next, &j->err);
	reader_end(r);
}

/* An event with what one of its effects did to the value. */
static void write_change(struct json_writer *w, const struct event *ev, const struct effect *f)
{
	json_open(w, '{');
	json_key(w, "event");
	event_json(ev, w);
	if (f->kind == EFFECT_ADD) {
		json_key(w, "delta");
		json_int(w, f->delta);
	} else {
		json_key(w, "value");
		if (f->kind == EFFECT_PUT)
			json_raw(w, f->json);
		else
			json_null(w);
	}
	json_close(w, '}');
}

/* Newest first, also among the effects of one event. */
static void write_changes(struct json_writer *w, const struct lookback_job *j)
{
	for (const struct event *ev = j->events.first; ev; ev = ev->next)
		for (size_t i = ev->n_effects; i-- > 0;)
			if (str_is(ev->effects[i].key, j->name))
				write_change(w, ev, &ev->effects[i]);
}

static void done_changes(struct read_job *job)
{
	struct lookback_job *j = CONTAINER_OF(job, struct lookback_job, job);
	struct buf body = {0};
	struct json_writer w = {&body, false};

	if (succeeded(j)) {
		json_open(&w, '{');
		json_key(&w, "key");
		json_text(&w, j->name);
		json_key(&w, "value");
		json_raw(&w, j->value.len ? buf_view(&j->value) : STR("null"));
		json_key(&w, "changes");
		json_open(&w, '[');
		write_changes(&w, j);
		json_close(&w, ']');
		json_key(&w, "next");
		if (j->next)
			json_int(&w, j->next);
		else
			json_null(&w);
		json_close(&w, '}');
		http_reply_json(j->req, 200, &body);
	}
	job_free(j);
}

void route_state_history(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct str key = http_query(req, "key");
	struct reading *past;
	struct lookback_job *j;

	if (!key.n || key.n >= NAME_SIZE || !utf8_valid(key)) {
		http_problem(req, 400, "'key' must be UTF-8 of 1 to 256 bytes");
		return;
	}
	past = state_past(app, req);
	j = past ? job_of(app, req, key) : NULL;
	if (!j)
		return;
	j->job = (struct read_job){.run = run_changes, .done = done_changes};
	j->is_past = true;
	app->n_past++;
	if (!app_read(app, past, req, &j->job, &j->result))
		job_free(j);
}
