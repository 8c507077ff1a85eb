/* Dead letters over HTTP: orders on hold as a list or grouped by cause, and what can be done with them. */
#include "base/log.h"
#include "base/mem.h"
#include "net/ask.h"
#include "net/bulk.h"
#include "net/shape.h"

enum { LIST_DEFAULT = 50, LIST_MAX = 200, CAUSES_MAX = 200, SHOWN_MAX = 100, TEXT_SIZE = 1100 };

/* --- the list and the causes --- */

struct list_job {
	struct read_job job;
	struct app *app;
	struct http_request *req;
	struct held_filter filter;
	char stage[65], error[TEXT_SIZE];
	bool is_grouped;
	struct reader *r; /* while it runs */
	int64_t last_seq;
	int result;
	struct err err;
	struct buf body;
	struct json_writer w;
};

static void write_held_stage(struct json_writer *w, const struct order *o, size_t i)
{
	const struct stage_state *s = &o->stages[i];

	json_open(w, '{');
	json_key(w, "name");
	json_text(w, o->pipeline->stages[i].name);
	json_key(w, "undo");
	json_bool(w, s->undo);
	json_key(w, "attempts");
	json_int(w, s->n_used);
	json_key(w, "error");
	json_text(w, s->error);
	json_close(w, '}');
}

static int on_held(void *arg, int64_t seq, const struct id *id)
{
	_cleanup_(order_freep) struct order *o = NULL;
	struct list_job *l = arg;

	(void)id;
	l->last_seq = seq;
	l->result = reader_order(l->r, seq, INT64_MAX, &o, NULL, &l->err);
	if (reader_is_damaged(l->result))
		return l->result = 0;
	if (l->result < 0)
		return l->result;
	json_open(&l->w, '{');
	json_key(&l->w, "order");
	order_json(o, &l->w);
	json_key(&l->w, "held");
	json_open(&l->w, '[');
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_HELD)
			write_held_stage(&l->w, o, i);
	json_close(&l->w, ']');
	json_close(&l->w, '}');
	return 0;
}

static int on_cause(void *arg, const struct held_cause *c)
{
	struct list_job *l = arg;

	json_open(&l->w, '{');
	json_key(&l->w, "stage");
	json_str(&l->w, c->stage);
	json_key(&l->w, "error");
	json_str(&l->w, c->error);
	json_key(&l->w, "count");
	json_int(&l->w, c->n);
	json_key(&l->w, "first_seen");
	json_time(&l->w, c->first_us);
	json_key(&l->w, "last_seen");
	json_time(&l->w, c->last_us);
	json_close(&l->w, '}');
	return 0;
}

static int write_list(struct list_job *l)
{
	int n;

	json_key(&l->w, l->is_grouped ? "causes" : "dead_letters");
	json_open(&l->w, '[');
	l->result = 0;
	if (l->is_grouped)
		n = reader_causes(l->r, CAUSES_MAX, on_cause, l, &l->err);
	else
		n = reader_held(l->r, &l->filter, on_held, l, &l->err);
	json_close(&l->w, ']');
	return l->result < 0 ? l->result : n;
}

static void run_list(struct read_job *job, struct reader *r)
{
	struct list_job *l = CONTAINER_OF(job, struct list_job, job);
	int64_t last;

	l->w = (struct json_writer){&l->body, false};
	l->r = r;
	l->result = reader_begin(r, &last, &l->err);
	if (l->result < 0)
		return;
	json_open(&l->w, '{');
	json_key(&l->w, "seq");
	json_int(&l->w, last);
	l->result = write_list(l);
	reader_end(r);
}

static void done_list(struct read_job *job)
{
	struct list_job *l = CONTAINER_OF(job, struct list_job, job);
	struct engine_stats stats;

	if (l->result < 0) {
		app_cannot_read(l->req, "dead letters cannot be listed", &l->err);
	} else {
		engine_stats(l->app->engine, &stats);
		json_key(&l->w, "next");
		if (!l->is_grouped && (size_t)l->result == l->filter.limit)
			json_int(&l->w, l->last_seq);
		else
			json_null(&l->w);
		json_key(&l->w, "total");
		json_int(&l->w, stats.on_hold);
		json_close(&l->w, '}');
		http_reply_json(l->req, 200, &l->body);
	}
	buf_fini(&l->body);
	free(l);
}

/* Copies a text to be looked for. False: too long to be anywhere, and nothing is to be taken for it. */
static bool keep(struct str text, char *out, size_t size, struct str *ret)
{
	*ret = (struct str){0};
	if (text.n >= size)
		return false;
	if (text.p) {
		memcpy(out, text.p, text.n);
		*ret = (struct str){out, text.n};
	}
	return true;
}

void route_dead_letters(void *arg, struct http_request *req)
{
	struct list_job *l;
	int64_t limit, before;

	if (!app_query_int(req, "limit", 1, LIST_MAX, LIST_DEFAULT, &limit) ||
		!app_query_int(req, "cursor", 1, INT64_MAX, 0, &before))
		return;
	l = calloc(1, sizeof *l);
	if (!l) {
		http_problem(req, 503, "no memory");
		return;
	}
	l->job = (struct read_job){.run = run_list, .done = done_list};
	l->app = arg;
	l->req = req;
	l->is_grouped = str_is(http_query(req, "group"), "cause");
	l->filter.limit = (size_t)limit;
	l->filter.before = before;
	if (!keep(http_query(req, "stage"), l->stage, sizeof l->stage, &l->filter.stage) ||
		!keep(http_query(req, "error"), l->error, sizeof l->error, &l->filter.error)) {
		http_problem(req, 400, "'stage' or 'error' is too long");
		free(l);
		return;
	}
	if (!app_read(l->app, l->app->reading, req, &l->job, &l->result))
		free(l);
}

/* --- retry, skip, discard: by ids or by filter --- */

struct bulk_job {
	struct read_job job;
	struct app *app;
	struct http_request *req;
	struct bulk_order order;
	struct held_filter filter;
	char stage[65], error[TEXT_SIZE];
	bool is_dry;
	size_t cap;
	int result;
	struct err err;
};

static int on_match(void *arg, int64_t seq, const struct id *id)
{
	struct bulk_job *b = arg;

	(void)seq;
	if (b->order.n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 64;
		struct id *ids = realloc(b->order.ids, cap * sizeof *ids);

		if (!ids) {
			b->result = err_set(&b->err, -ENOMEM, "no memory");
			return -ENOMEM;
		}
		b->order.ids = ids;
		b->cap = cap;
	}
	b->order.ids[b->order.n++] = *id;
	return 0;
}

static void run_match(struct read_job *job, struct reader *r)
{
	struct bulk_job *b = CONTAINER_OF(job, struct bulk_job, job);
	int n = reader_held(r, &b->filter, on_match, b, &b->err);

	if (n < 0)
		b->result = n;
	/* One more than may be taken was asked for, to know whether there are more. */
	b->order.is_capped = b->order.n == b->filter.limit;
	b->order.n -= b->order.is_capped;
}

static void answer_dry(struct bulk_job *b)
{
	struct buf body = {0};
	struct json_writer w = {&body, false};

	json_open(&w, '{');
	json_key(&w, "dry_run");
	json_bool(&w, true);
	json_key(&w, "action");
	json_text(&w, b->order.action);
	json_key(&w, "matched");
	json_int(&w, (int64_t)b->order.n);
	json_key(&w, "capped");
	json_bool(&w, b->order.is_capped);
	json_key(&w, "ids");
	json_open(&w, '[');
	for (size_t i = 0; i < b->order.n && i < SHOWN_MAX; i++)
		json_id(&w, &b->order.ids[i]);
	json_close(&w, ']');
	json_close(&w, '}');
	http_reply_json(b->req, 200, &body);
}

static void bulk_job_free(struct bulk_job *b)
{
	free(b->order.reason);
	free(b->order.stage);
	free(b->order.error);
	free(b->order.ids);
	free(b);
}

static void go(struct bulk_job *b)
{
	if (b->result < 0)
		http_problem(b->req, 503, "dead letters cannot be found: %s", err_text(&b->err));
	else if (b->is_dry)
		answer_dry(b);
	else
		bulk_start(b->app, b->req, &b->order);
	bulk_job_free(b);
}

static void done_match(struct read_job *job)
{
	go(CONTAINER_OF(job, struct bulk_job, job));
}

static bool take_ids(struct http_request *req, const cJSON *list, struct bulk_job *b)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, list) {
		struct id id;

		if (!cJSON_IsString(item) || id_parse(str_of(item->valuestring), &id) < 0) {
			ask_refuse(req, "/ids", "must be a list of order ids");
			return false;
		}
		if (on_match(b, 0, &id) < 0) {
			http_problem(req, 503, "no memory");
			return false;
		}
	}
	return true;
}

/* What matches is acted on, and not what else holds the same order. */
static bool keep_filter(struct http_request *req, struct bulk_job *b)
{
	struct bulk_order *o = &b->order;
	bool has_memory = true;

	if (b->filter.stage.p)
		has_memory = (o->stage = str_dup(b->filter.stage));
	if (b->filter.error.p)
		has_memory = (o->error = str_dup(b->filter.error)) && has_memory;
	if (!has_memory)
		http_problem(req, 503, "no memory");
	return has_memory;
}

static bool take_filter(struct http_request *req, const cJSON *filter, struct bulk_job *b)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, filter) {
		bool is_known = strcmp(m->string, "stage") == 0 || strcmp(m->string, "error") == 0;

		if (!is_known || !cJSON_IsString(m)) {
			ask_refuse(req, "/filter",
				"may have `stage` and `error`, both texts; {} is all");
			return false;
		}
	}
	b->filter.limit = (size_t)b->app->limits.bulk + 1;
	if (keep(json_member(filter, "stage"), b->stage, sizeof b->stage, &b->filter.stage) &&
		keep(json_member(filter, "error"), b->error, sizeof b->error, &b->filter.error))
		return keep_filter(req, b);
	ask_refuse(req, "/filter", "`stage` or `error` is too long");
	return false;
}

/* A name that is spelt wrong must not widen what is done. */
static bool has_only_known(struct http_request *req, const cJSON *body)
{
	static const char *const known[] = {"reason", "ids", "filter", "rate", "dry_run"};
	const cJSON *m;

	cJSON_ArrayForEach (m, body) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && strcmp(m->string, known[i]) != 0)
			i++;
		if (i < ARRAY_LEN(known))
			continue;
		ask_refuse(req, "", "may have `reason`, `ids`, `filter`, `rate` and `dry_run`");
		return false;
	}
	return true;
}

static bool take_which(struct http_request *req, const cJSON *body, struct bulk_job *b)
{
	const cJSON *ids = cJSON_GetObjectItemCaseSensitive(body, "ids");
	const cJSON *filter = cJSON_GetObjectItemCaseSensitive(body, "filter");
	const cJSON *rate = cJSON_GetObjectItemCaseSensitive(body, "rate");
	const cJSON *dry_run = cJSON_GetObjectItemCaseSensitive(body, "dry_run");

	if (!has_only_known(req, body))
		return false;
	if (dry_run && !cJSON_IsBool(dry_run)) {
		ask_refuse(req, "/dry_run", "must be true or false");
		return false;
	}
	b->is_dry = cJSON_IsTrue(dry_run);
	if (rate && (!json_to_int(rate, &b->order.rate) || b->order.rate < 1 ||
			    b->order.rate > 100000)) {
		ask_refuse(req, "/rate", "must be a number of orders per second, 1 to 100000");
		return false;
	}
	if (!ids == !filter || (ids && !cJSON_IsArray(ids)) ||
		(filter && !cJSON_IsObject(filter))) {
		ask_refuse(req, "/ids", "give either `ids`, a list, or `filter`, an object");
		return false;
	}
	return ids ? take_ids(req, ids, b) : take_filter(req, filter, b);
}

static void act(struct app *app, struct http_request *req, const char *action)
{
	_cleanup_(json_freep) cJSON *body = ask_body(app, req);
	char *reason = body ? ask_reason(req, body) : NULL;
	struct bulk_job *b = reason ? calloc(1, sizeof *b) : NULL;

	if (!b) {
		if (reason)
			http_problem(req, 503, "no memory");
		free(reason);
		return;
	}
	b->job = (struct read_job){.run = run_match, .done = done_match};
	b->app = app;
	b->req = req;
	b->order.action = action;
	b->order.reason = reason;
	if (!take_which(req, body, b))
		bulk_job_free(b);
	else if (!b->filter.limit)
		go(b);
	else if (!app_read(app, app->reading, req, &b->job, NULL))
		bulk_job_free(b);
}

void route_retry_dead_letters(void *app, struct http_request *req)
{
	act(app, req, "retry");
}

void route_skip_dead_letters(void *app, struct http_request *req)
{
	act(app, req, "skip");
}

void route_discard_dead_letters(void *app, struct http_request *req)
{
	act(app, req, "discard");
}

/* --- edit and retry --- */

static void answer_edited(struct command *c)
{
	struct http_request *req = c->context;

	if (c->result < 0)
		ask_answer_refused(req, c);
	else
		orders_answer_read(c->owner, req, &c->id);
	command_free(c);
}

/* The edited order has to have the shape of a placed one. Owned, or NULL and answered. */
static char *edited_body(struct app *app, struct http_request *req, const cJSON *body)
{
	const cJSON *order = cJSON_GetObjectItemCaseSensitive(body, "order");
	_cleanup_(buf_fini) struct buf text = {0}, canonical = {0}, errors = {0};
	struct json_writer w = {&text, false};
	struct err e = {0};
	int r;

	if (!cJSON_IsObject(order)) {
		ask_refuse(req, "/order", "must be the whole order as it should be");
		return NULL;
	}
	json_tree(&w, order);
	r = shape_order(
		buf_view(&text), (unsigned)app->limits.json_depth, &canonical, NULL, &errors, &e);
	if (r == 0)
		return buf_steal(&canonical, NULL);
	if (r == -EDOM)
		http_problem_errors(req, 422, "the edited order does not have the right shape",
			buf_view(&errors));
	else
		http_problem(req, r == -EINVAL ? 400 : 503, "the edited order cannot be taken: %s",
			e.code ? err_text(&e) : strerror(-r));
	return NULL;
}

void route_edit_dead_letter(void *arg, struct http_request *req)
{
	struct app *app = arg;
	_cleanup_(json_freep) cJSON *body = NULL;
	_cleanup_(freep) char *edited = NULL;
	struct command *c;
	char *reason;
	struct id id;

	if (!ask_id(req, &id) || !(body = ask_body(app, req)) ||
		!(edited = edited_body(app, req, body)) || !(reason = ask_reason(req, body)) ||
		!(c = ask_command(req, COMMAND_RELEASE, reason)))
		return;
	c->id = id;
	c->action = "retry";
	c->body = steal_ptr(edited);
	c->on_answer = answer_edited;
	app_submit(app, c);
}
