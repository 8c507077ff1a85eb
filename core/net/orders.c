/* Orders over HTTP: placing one, looking at one, listing and searching. */
#include "base/log.h"
#include "base/mem.h"
#include "net/app.h"
#include "net/ask.h"
#include "net/moment.h"
#include "net/shape.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 200 };

/* --- placing --- */

/* What waits for its commit may be another order each. */
static bool is_full(struct app *app)
{
	struct engine_stats s;

	engine_stats(app->engine, &s);
	return s.in_flight - s.on_hold + app->n_unanswered >= app->limits.open_orders;
}

/* Overload and trouble are said before anything is promised (P12). */
static bool is_refused(struct app *app, struct http_request *req)
{
	struct err why;

	if (!engine_is_accepting(app->engine, &why)) {
		http_add_header(req, "Retry-After", "5");
		http_problem(req, 503, "no order can be accepted now: %s", err_text(&why));
		return true;
	}
	if (app->n_unanswered >= app->limits.unanswered) {
		http_problem(req, 503,
			"too many orders wait for the disk (%lld); the order was not accepted",
			(long long)app->n_unanswered);
		return true;
	}
	if (is_full(app)) {
		http_problem(req, 503,
			"%lld orders are open, as many as may be; the order was not accepted",
			(long long)app->limits.open_orders);
		return true;
	}
	return false;
}

static bool is_badly_asked(struct http_request *req)
{
	struct str key;

	if (http_is_json(req))
		return !ask_key(req, &key);
	http_problem(req, 415, "the order must be sent as application/json");
	return true;
}

/* Checks the body and fills the command, or answers with what is wrong. */
static bool take_body(struct app *app, struct http_request *req, struct command *c)
{
	_cleanup_(buf_fini) struct buf canonical = {0}, errors = {0};
	struct err e = {0};
	int r = shape_order(http_body(req), (unsigned)app->limits.json_depth, &canonical, &c->facts,
		&errors, &e);

	if (r == -EINVAL) {
		http_problem(req, 400, "the body is not a JSON order: %s", err_text(&e));
		return false;
	}
	if (r == -EDOM) {
		http_problem_errors(
			req, 422, "the order does not have the right shape", buf_view(&errors));
		return false;
	}
	c->body = r == 0 ? buf_steal(&canonical, NULL) : NULL;
	if (c->body && http_header(req, "Idempotency-Key").p)
		c->key = str_dup(http_header(req, "Idempotency-Key"));
	if (!c->body || (http_header(req, "Idempotency-Key").p && !c->key)) {
		http_problem(req, 503, "no memory for the order; it was not accepted");
		return false;
	}
	return true;
}

static void answer_placed(struct http_request *req, const struct command *c)
{
	struct buf body = {0};
	struct json_writer w = {&body, false};
	char id[ID_TEXT_SIZE], location[ID_TEXT_SIZE + 16];

	id_text(&c->id, id);
	snprintf(location, sizeof location, "/orders/%s", id);
	http_add_header(req, "Location", location);
	order_created_json(&c->id, c->created_us, str_of(c->body), &w);
	http_reply_json(req, 200, &body);
	buf_fini(&body);
}

static void answer(struct command *c)
{
	struct http_request *req = c->context;

	if (c->result == 0) {
		answer_placed(req, c);
	} else if (c->result == -EEXIST) {
		http_problem(req, 422, "%s", err_text(&c->err));
	} else {
		http_add_header(req, "Retry-After", "5");
		http_problem(req, 503, "the order was not accepted: %s", err_text(&c->err));
	}
	command_free(c);
}

void route_place_order(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct command *c;

	if (is_badly_asked(req) || is_refused(app, req))
		return;
	c = command_new(COMMAND_PLACE, req);
	if (!c) {
		http_problem(req, 503, "no memory for the order; it was not accepted");
		return;
	}
	if (!take_body(app, req, c)) {
		command_free(c);
		return;
	}
	c->on_answer = answer;
	app_submit(app, c);
}

/* --- looking at one --- */

struct get_job {
	struct read_job job;
	struct http_request *req;
	struct id id;
	struct moment at;
	bool is_too_early; /* it was placed after that moment */
	int result;
	struct err err;
	struct buf body;
};

static int write_order(struct get_job *g, struct reader *r, int64_t seq)
{
	_cleanup_(order_freep) struct order *o = NULL;
	_cleanup_(arena_fini) struct arena arena = {0};
	struct json_writer w = {&g->body, false};
	struct event_list events;
	int64_t at_seq = g->at.value;
	int result = 0;

	event_list_init(&events, &arena);
	if (g->at.is_time)
		result = reader_order_seq_at(r, seq, g->at.value, &at_seq, &g->err);
	g->is_too_early = result == 0 && at_seq < seq;
	if (g->is_too_early)
		return -ENOENT;
	if (result == 0)
		result = reader_order(r, seq, at_seq, &o, &events, &g->err);
	if (result < 0)
		return result;
	json_open(&w, '{');
	json_key(&w, "order");
	order_json(o, &w);
	json_key(&w, "events");
	json_open(&w, '[');
	for (const struct event *ev = events.first; ev; ev = ev->next)
		event_json(ev, &w);
	json_close(&w, ']');
	json_close(&w, '}');
	return 0;
}

static void run_get(struct read_job *job, struct reader *r)
{
	struct get_job *g = CONTAINER_OF(job, struct get_job, job);
	int64_t seq, last;

	g->result = reader_begin(r, &last, &g->err);
	if (g->result < 0)
		return;
	g->result = reader_find_order(r, &g->id, &seq);
	if (g->result == 0)
		g->result = write_order(g, r, seq);
	reader_end(r);
}

static void done_get(struct read_job *job)
{
	struct get_job *g = CONTAINER_OF(job, struct get_job, job);

	if (g->result == 0) {
		http_reply_json(g->req, 200, &g->body);
	} else if (g->result == -ENOENT) {
		http_problem(g->req, 404,
			g->is_too_early ? "the order was placed later than that"
					: "there is no such order");
	} else {
		app_cannot_read(g->req, "the order cannot be read", &g->err);
	}
	buf_fini(&g->body);
	free(g);
}

/* NULL: no memory, and answered. */
static struct get_job *get_new(struct http_request *req, const struct id *id, struct moment at)
{
	struct get_job *g = calloc(1, sizeof *g);

	if (!g) {
		http_problem(req, 503, "no memory");
		return NULL;
	}
	g->job = (struct read_job){.run = run_get, .done = done_get};
	g->req = req;
	g->id = *id;
	g->at = at;
	return g;
}

/* What was asked for is committed: no limit refuses the answer. */
void orders_answer_read(struct app *app, struct http_request *req, const struct id *id)
{
	struct get_job *g = get_new(req, id, (struct moment){.value = INT64_MAX});

	if (g)
		reading_submit(app->reading, &g->job);
}

void route_get_order(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct get_job *g;
	struct moment at;
	struct id id;

	if (id_parse(http_param(req, "id"), &id) < 0) {
		http_problem(req, 404,
			"there is no such order: an id looks like "
			"01890a5d-ac96-774b-bcce-b302099a8057");
		return;
	}
	g = moment_take(req, &at) ? get_new(req, &id, at) : NULL;
	if (g && !app_read(app, app->reading, req, &g->job, &g->result))
		free(g);
}

/* --- lists --- */

struct list_job {
	struct read_job job;
	struct http_request *req;
	struct app *app;
	struct order_filter filter;
	char status[64], query[320], generation[PIPELINE_DIGEST_SIZE];
	int64_t next; /* cursor of the next page; 0: none */
	int result;
	struct err err;
	struct buf body;
	struct json_writer w;
};

static int on_row(void *arg, const struct order_row *row)
{
	struct list_job *l = arg;

	json_open(&l->w, '{');
	json_key(&l->w, "id");
	json_id(&l->w, &row->id);
	json_key(&l->w, "status");
	json_str(&l->w, row->status);
	json_members(&l->w, row->body);
	if (row->removed.p) {
		json_key_str(&l->w, row->removed);
		json_bool(&l->w, true);
	}
	json_key(&l->w, "created_at");
	json_time(&l->w, row->created_us);
	json_key(&l->w, "updated_at");
	json_time(&l->w, row->updated_us);
	if (row->completed_us) {
		json_key(&l->w, "completed_at");
		json_time(&l->w, row->completed_us);
	}
	if (row->error.p) {
		json_key(&l->w, "error");
		json_str(&l->w, row->error);
	}
	json_close(&l->w, '}');
	return 0;
}

static void run_list(struct read_job *job, struct reader *r)
{
	struct list_job *l = CONTAINER_OF(job, struct list_job, job);
	int64_t last;

	l->w = (struct json_writer){&l->body, false};
	l->result = reader_begin(r, &last, &l->err);
	if (l->result < 0)
		return;
	json_open(&l->w, '{');
	json_key(&l->w, "seq");
	json_int(&l->w, last);
	json_key(&l->w, "orders");
	json_open(&l->w, '[');
	l->result = reader_orders(r, &l->filter, on_row, l, &l->next, &l->err);
	reader_end(r);
	json_close(&l->w, ']');
}

static void write_counts(struct list_job *l)
{
	struct engine_stats s;

	engine_stats(l->app->engine, &s);
	json_key(&l->w, "counts");
	json_open(&l->w, '{');
	json_key(&l->w, "all");
	json_int(&l->w, s.accepted);
	json_key(&l->w, "open");
	json_int(&l->w, s.in_flight);
	json_key(&l->w, "on_hold");
	json_int(&l->w, s.on_hold);
	json_key(&l->w, "completed");
	json_int(&l->w, s.completed);
	json_key(&l->w, "failed");
	json_int(&l->w, s.failed);
	json_key(&l->w, "cancelled");
	json_int(&l->w, s.cancelled);
	json_close(&l->w, '}');
}

/* RFC 8288. */
static void add_link(struct list_job *l)
{
	_cleanup_(buf_fini) struct buf link = {0};
	const char *const parts[] = {"status", "q", "generation", "limit"};

	buf_fmt(&link, "</orders?cursor=%lld", (long long)l->next);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		struct str value = http_query(l->req, parts[i]);

		if (value.p)
			buf_fmt(&link, "&%s=", parts[i]);
		for (size_t k = 0; k < value.n; k++)
			buf_fmt(&link, "%%%02X", (unsigned char)value.p[k]);
	}
	buf_text(&link, ">; rel=\"next\"");
	if (!link.failed)
		http_add_header(l->req, "Link", link.data);
}

static void done_list(struct read_job *job)
{
	struct list_job *l = CONTAINER_OF(job, struct list_job, job);

	if (l->result < 0) {
		app_cannot_read(l->req, "orders cannot be listed", &l->err);
	} else {
		json_key(&l->w, "next");
		if (l->next)
			json_int(&l->w, l->next);
		else
			json_null(&l->w);
		write_counts(l);
		json_close(&l->w, '}');
		if (l->next)
			add_link(l);
		http_reply_json(l->req, 200, &l->body);
	}
	buf_fini(&l->body);
	free(l);
}

static bool keep_text(
	struct http_request *req, const char *name, char *out, size_t size, struct str *ret)
{
	struct str text = http_query(req, name);

	*ret = (struct str){0};
	if (!text.p || !text.n)
		return true;
	if (text.n >= size || !utf8_valid(text)) {
		http_problem(req, 400, "'%s' is too long or not UTF-8", name);
		return false;
	}
	memcpy(out, text.p, text.n);
	*ret = (struct str){out, text.n};
	return true;
}

/* Those that are finished are on no generation any more. */
static bool take_generation(struct http_request *req, struct list_job *l)
{
	struct order_filter *f = &l->filter;

	if (!keep_text(req, "generation", l->generation, sizeof l->generation, &f->generation))
		return false;
	if (!f->generation.p)
		return true;
	if (!f->status.p)
		f->status = STR("open");
	if (!str_is(f->status, "completed") && !str_is(f->status, "failed") &&
		!str_is(f->status, "cancelled"))
		return true;
	http_problem(req, 400, "'generation' finds orders that are not finished");
	return false;
}

void route_list_orders(void *arg, struct http_request *req)
{
	struct list_job *l = calloc(1, sizeof *l);
	struct app *app = arg;
	int64_t limit;

	if (!l) {
		http_problem(req, 503, "no memory");
		return;
	}
	*l = (struct list_job){.job = {.run = run_list, .done = done_list}, .req = req, .app = app};
	if (!keep_text(req, "status", l->status, sizeof l->status, &l->filter.status) ||
		!keep_text(req, "q", l->query, sizeof l->query, &l->filter.query) ||
		!take_generation(req, l) ||
		!app_query_int(req, "limit", 1, LIST_MAX, LIST_DEFAULT, &limit) ||
		!app_query_int(req, "cursor", 1, INT64_MAX, 0, &l->filter.before)) {
		free(l);
		return;
	}
	l->filter.limit = (size_t)limit;
	if (!app_read(app, app->reading, req, &l->job, &l->result))
		free(l);
}
