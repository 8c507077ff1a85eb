/* The state over HTTP: stock and ledgers, as they are or as they were. */
#include "base/log.h"
#include "base/mem.h"
#include "net/app.h"
#include "net/moment.h"

enum { STATE_DEFAULT = 200, STATE_MAX = 1000, PAST_WAITING_MAX = 8 };

struct state_job {
	struct read_job job;
	struct http_request *req;
	struct app *app;
	char prefix[257], after[257];
	struct state_page page;
	struct moment at;
	bool is_past;
	int result;
	struct err err;
	struct buf body, last_key;
	struct json_writer w;
};

static int on_entry(void *arg, struct str key, struct str json)
{
	struct state_job *s = arg;

	json_key_str(&s->w, key);
	json_raw(&s->w, json);
	buf_clear(&s->last_key);
	buf_str(&s->last_key, key);
	return 0;
}

/* The event after which the state is shown. */
static int find_seq(struct state_job *s, struct reader *r, int64_t last, int64_t *ret)
{
	*ret = s->at.value < last ? s->at.value : last;
	if (s->at.is_time)
		return reader_seq_at(r, s->at.value, last, ret, &s->err);
	if (s->is_past && s->at.value > last)
		return err_set(&s->err, -ENOENT, "the journal has no event %lld: its last is %lld",
			(long long)s->at.value, (long long)last);
	return 0;
}

static int read_state(struct state_job *s, struct reader *r, int64_t last)
{
	int64_t seq;
	int n = find_seq(s, r, last, &seq);

	if (n < 0)
		return n;
	json_key(&s->w, "seq");
	json_int(&s->w, seq);
	json_key(&s->w, "state");
	json_open(&s->w, '{');
	n = seq == last ? reader_state(r, &s->page, on_entry, s, &s->err)
			: reader_state_at(r, seq, &s->page, on_entry, s, &s->err);
	json_close(&s->w, '}');
	return n;
}

static void run_state(struct read_job *job, struct reader *r)
{
	struct state_job *s = CONTAINER_OF(job, struct state_job, job);
	int64_t last;

	s->w = (struct json_writer){&s->body, false};
	json_open(&s->w, '{');
	s->result = reader_begin(r, &last, &s->err);
	if (s->result < 0)
		return;
	s->result = read_state(s, r, last);
	reader_end(r);
}

static void done_state(struct read_job *job)
{
	struct state_job *s = CONTAINER_OF(job, struct state_job, job);

	s->app->n_past -= s->is_past;
	if (s->result == -ENOENT) {
		http_problem(s->req, 404, "%s", err_text(&s->err));
	} else if (s->result < 0) {
		app_cannot_read(s->req, "the state cannot be read", &s->err);
	} else {
		json_key(&s->w, "next");
		json_str(&s->w, (size_t)s->result == s->page.limit ? buf_view(&s->last_key)
								   : (struct str){0});
		json_close(&s->w, '}');
		http_reply_json(s->req, 200, &s->body);
	}
	buf_fini(&s->body);
	buf_fini(&s->last_key);
	free(s);
}

static bool take_key(struct http_request *req, const char *name, char out[257], struct str *ret)
{
	struct str text = http_query(req, name);

	*ret = (struct str){0};
	if (!text.p)
		return true;
	if (text.n > 256 || !utf8_valid(text)) {
		http_problem(req, 400, "'%s' must be UTF-8 of at most 256 bytes", name);
		return false;
	}
	memcpy(out, text.p, text.n);
	*ret = (struct str){out, text.n};
	return true;
}

/* Folding what was long ago takes its time and must keep nobody. */
struct reading *state_past(struct app *app, struct http_request *req)
{
	struct err e = {0};

	if (app->is_draining || app->n_past >= PAST_WAITING_MAX) {
		http_add_header(req, "Retry-After", "5");
		http_problem(req, 503, "%s",
			app->is_draining ? "Stageline is stopping"
					 : "others are looking into the past just now");
		return NULL;
	}
	if (!app->past && app_read_past(app, &e) < 0) {
		http_problem(req, 503, "the past cannot be read now: %s", err_text(&e));
		return NULL;
	}
	return app->past;
}

void route_state(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct state_job *s = calloc(1, sizeof *s);
	struct reading *reading;
	int64_t limit;

	if (!s) {
		http_problem(req, 503, "no memory");
		return;
	}
	s->job = (struct read_job){.run = run_state, .done = done_state};
	s->req = req;
	s->app = app;
	if (!take_key(req, "prefix", s->prefix, &s->page.prefix) ||
		!take_key(req, "after", s->after, &s->page.after) || !moment_take(req, &s->at) ||
		!app_query_int(req, "limit", 1, STATE_MAX, STATE_DEFAULT, &limit)) {
		free(s);
		return;
	}
	s->page.limit = (size_t)limit;
	s->is_past = s->at.is_time || s->at.value != INT64_MAX;
	reading = s->is_past ? state_past(app, req) : app->reading;
	if (!reading) {
		free(s);
		return;
	}
	if (app_read(app, reading, req, &s->job, &s->result))
		app->n_past += s->is_past;
	else
		free(s);
}
