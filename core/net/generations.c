/* Generations of the pipeline: which orders are still on an earlier one and what they wait for there, and moving
 * them to the current one. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/migrate.h"
#include "net/ask.h"
#include "net/bulk.h"

enum {
	LISTED_MAX = 64,   /* generations */
	LOOKED_MAX = 2000, /* orders of each that are folded */
	HOLDING_MAX = 256, /* different (stage, word) of one generation */
	SAMPLE_MAX = 5,
	SEQS_AT_ONCE = 200,
	CHECKED_MAX = 10000, /* orders of a dry run */
	REFUSALS_SHOWN = 100,
};

/* Orders of one generation that a stage has in one way. */
struct holding {
	size_t stage;
	const char *word; /* static: order_stage_word() */
	int64_t n;
	char why[256]; /* of the first one */
	struct id sample[SAMPLE_MAX];
	size_t n_sample;
};

struct listed {
	struct engine_generation_stats stats;
	struct holding *holdings;
	size_t n_holdings, n_looked;
};

struct list_job {
	struct read_job job;
	struct app *app;
	struct http_request *req;
	struct listed list[LISTED_MAX];
	size_t n;
	int result;
	struct err err;
};

/* --- looking at orders --- */

/* Calls back with each unfinished order of the generation, up to `max`. Returns how many, or a negative errno. */
static int each_order(struct reader *r, const struct pipeline *p, size_t max,
	int (*on_order)(void *arg, const struct order *o), void *arg, struct err *e)
{
	int64_t seqs[SEQS_AT_ONCE], after = 0;
	size_t n = 0;
	int got;

	do {
		size_t room = max - n < SEQS_AT_ONCE ? max - n : SEQS_AT_ONCE;

		got = reader_of_generation(r, str_of(p->digest), after, seqs, room, e);
		for (int i = 0; i < got; i++) {
			_cleanup_(order_freep) struct order *o = NULL;
			int result = reader_order(r, seqs[i], INT64_MAX, &o, NULL, e);

			after = seqs[i];
			if (reader_is_damaged(result))
				continue;
			if (result == 0)
				result = on_order(arg, o);
			if (result < 0)
				return result;
			n++;
		}
	} while (got == SEQS_AT_ONCE && n < max);
	return got < 0 ? got : (int)n;
}

static struct holding *holding_of(struct listed *l, size_t stage, const char *word)
{
	for (size_t i = 0; i < l->n_holdings; i++)
		if (l->holdings[i].stage == stage && strcmp(l->holdings[i].word, word) == 0)
			return &l->holdings[i];
	if (l->n_holdings == HOLDING_MAX)
		return NULL;
	l->holdings[l->n_holdings] = (struct holding){.stage = stage, .word = word};
	return &l->holdings[l->n_holdings++];
}

static bool holds(const struct stage_state *s)
{
	return s->status == STAGE_QUEUED || s->status == STAGE_RETRYING ||
	       s->status == STAGE_WAITING || s->status == STAGE_HELD;
}

static int on_listed(void *arg, const struct order *o)
{
	struct listed *l = arg;

	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		const struct stage_state *s = &o->stages[i];
		struct holding *h = holds(s) ? holding_of(l, i, order_stage_word(o, i)) : NULL;

		if (!h)
			continue;
		if (!h->n++ && s->error) {
			snprintf(h->why, sizeof h->why, "%s", s->error);
			utf8_cut(h->why);
		}
		if (h->n_sample < SAMPLE_MAX)
			h->sample[h->n_sample++] = o->id;
	}
	return 0;
}

static void run_list(struct read_job *job, struct reader *r)
{
	struct list_job *j = CONTAINER_OF(job, struct list_job, job);
	int64_t last;

	j->result = reader_begin(r, &last, &j->err);
	for (size_t i = 0; i < j->n && j->result >= 0; i++) {
		struct listed *l = &j->list[i];

		if (l->stats.is_current)
			continue;
		l->holdings = calloc(HOLDING_MAX, sizeof *l->holdings);
		j->result = l->holdings ? each_order(r, l->stats.pipeline, LOOKED_MAX, on_listed, l,
						  &j->err)
					: -ENOMEM;
		l->n_looked = j->result > 0 ? (size_t)j->result : 0;
	}
	reader_end(r);
}

/* --- telling --- */

static const char *why_queued(const struct engine_stage_stats *s)
{
	if (s->trouble[0])
		return s->trouble;
	if (s->is_paused)
		return "the stage is paused";
	if (strcmp(s->breaker, "closed") != 0)
		return "the breaker of the stage is open";
	return "it is the stage's turn";
}

static const char *why_of(const struct holding *h, const struct engine_stage_stats *s)
{
	if (strcmp(h->word, "waiting") == 0)
		return "waits for an answer from outside";
	if (s->trouble[0] || !h->why[0])
		return why_queued(s);
	return h->why;
}

static void write_holding(
	struct app *app, const struct pipeline *p, const struct holding *h, struct json_writer *w)
{
	const struct stage_spec *spec = &p->stages[h->stage];
	struct engine_stage_stats stats;

	engine_stage_stats(app->engine, p, h->stage, &stats);
	json_open(w, '{');
	json_key(w, "stage");
	json_text(w, spec->name);
	json_key(w, "plugin");
	json_text(w, spec->plugin);
	json_key(w, "status");
	json_text(w, h->word);
	json_key(w, "orders");
	json_int(w, h->n);
	json_key(w, "why");
	json_text(w, why_of(h, &stats));
	json_key(w, "sample");
	json_open(w, '[');
	for (size_t i = 0; i < h->n_sample; i++)
		json_id(w, &h->sample[i]);
	json_close(w, ']');
	json_close(w, '}');
}

static void write_listed(struct app *app, const struct listed *l, struct json_writer *w)
{
	const struct pipeline *p = l->stats.pipeline;

	json_open(w, '{');
	json_key(w, "generation");
	json_text(w, p->digest);
	json_key(w, "current");
	json_bool(w, l->stats.is_current);
	json_key(w, "orders");
	json_int(w, l->stats.orders);
	json_key(w, "looked_at");
	json_int(w, (int64_t)l->n_looked);
	json_key(w, "holding");
	json_open(w, '[');
	for (size_t i = 0; i < l->n_holdings; i++)
		write_holding(app, p, &l->holdings[i], w);
	json_close(w, ']');
	json_close(w, '}');
}

static void done_list(struct read_job *job)
{
	struct list_job *j = CONTAINER_OF(job, struct list_job, job);
	struct buf body = {0};
	struct json_writer w = {&body, false};

	json_open(&w, '{');
	json_key(&w, "generations");
	json_open(&w, '[');
	for (size_t i = 0; i < j->n; i++) {
		write_listed(j->app, &j->list[i], &w);
		free(j->list[i].holdings);
	}
	json_close(&w, ']');
	json_close(&w, '}');
	if (j->result < 0) {
		buf_fini(&body);
		http_problem(j->req, 503, "the orders cannot be read: %s",
			j->err.code ? err_text(&j->err) : strerror(-j->result));
	} else {
		http_reply_json(j->req, 200, &body);
	}
	free(j);
}

void route_generations(void *arg, struct http_request *req)
{
	struct engine_generation_stats stats[LISTED_MAX];
	struct app *app = arg;
	struct list_job *j = calloc(1, sizeof *j);

	if (!j) {
		http_problem(req, 503, "no memory");
		return;
	}
	j->job = (struct read_job){.run = run_list, .done = done_list};
	j->app = app;
	j->req = req;
	j->n = engine_generations(app->engine, stats, LISTED_MAX);
	for (size_t i = 0; i < j->n; i++)
		j->list[i].stats = stats[i];
	if (!app_read(app, app->reading, req, &j->job, &j->result))
		free(j);
}

/* --- moving --- */

struct migrate_job {
	struct read_job job;
	struct app *app;
	struct http_request *req;
	const struct pipeline *from, *to;
	bool is_dry;
	struct bulk_order order;
	size_t cap, max, n_refused;
	struct buf refusals; /* of a dry run */
	struct json_writer w;
	int result;
	struct err err;
};

static void refuse(struct migrate_job *j, const struct order *o, const char *why)
{
	if (++j->n_refused > REFUSALS_SHOWN)
		return;
	json_open(&j->w, '{');
	json_key(&j->w, "id");
	json_id(&j->w, &o->id);
	json_key(&j->w, "detail");
	json_text(&j->w, why);
	json_close(&j->w, '}');
}

static int on_checked(void *arg, const struct order *o)
{
	struct migrate_job *j = arg;
	struct err why = {0};

	j->order.n++;
	if (migrate_check(o, j->to, &why) < 0)
		refuse(j, o, err_text(&why));
	return 0;
}

static int add_id(struct migrate_job *j, const struct id *id)
{
	if (j->order.n == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 64;
		struct id *ids = realloc(j->order.ids, cap * sizeof *ids);

		if (!ids)
			return -ENOMEM;
		j->order.ids = ids;
		j->cap = cap;
	}
	j->order.ids[j->order.n++] = *id;
	return 0;
}

static int collect_ids(struct migrate_job *j, struct reader *r)
{
	int64_t seqs[SEQS_AT_ONCE], after = 0;
	int got, result = 0;

	do {
		got = reader_of_generation(
			r, str_of(j->from->digest), after, seqs, SEQS_AT_ONCE, &j->err);
		for (int i = 0; i < got && result == 0 && j->order.n < j->max; i++) {
			struct id id;

			after = seqs[i];
			if (reader_order_id(r, seqs[i], &id) == 0)
				result = add_id(j, &id);
		}
	} while (got == SEQS_AT_ONCE && result == 0 && j->order.n < j->max);
	return got < 0 ? got : result;
}

static void run_migrate(struct read_job *job, struct reader *r)
{
	struct migrate_job *j = CONTAINER_OF(job, struct migrate_job, job);
	int64_t last;

	if (j->is_dry && j->max > CHECKED_MAX)
		j->max = CHECKED_MAX;
	j->w = (struct json_writer){&j->refusals, false};
	json_open(&j->w, '[');
	j->result = reader_begin(r, &last, &j->err);
	if (j->result == 0)
		j->result = j->is_dry ? each_order(r, j->from, j->max, on_checked, j, &j->err)
				      : collect_ids(j, r);
	reader_end(r);
	json_close(&j->w, ']');
	j->order.is_capped = j->order.n == j->max;
}

static void answer_dry(struct migrate_job *j)
{
	struct buf body = {0};
	struct json_writer w = {&body, false};

	json_open(&w, '{');
	json_key(&w, "dry_run");
	json_bool(&w, true);
	json_key(&w, "from");
	json_text(&w, j->from->digest);
	json_key(&w, "to");
	json_text(&w, j->to->digest);
	json_key(&w, "matched");
	json_int(&w, (int64_t)j->order.n);
	json_key(&w, "refused");
	json_int(&w, (int64_t)j->n_refused);
	json_key(&w, "capped");
	json_bool(&w, j->order.is_capped);
	json_key(&w, "refusals");
	json_raw(&w, buf_view(&j->refusals));
	json_close(&w, '}');
	http_reply_json(j->req, 200, &body);
}

static void done_migrate(struct read_job *job)
{
	struct migrate_job *j = CONTAINER_OF(job, struct migrate_job, job);

	if (j->result >= 0 && j->refusals.failed)
		j->result = -ENOMEM;
	if (j->result < 0)
		http_problem(j->req, 503, "the orders cannot be found: %s",
			j->err.code ? err_text(&j->err) : strerror(-j->result));
	else if (j->is_dry)
		answer_dry(j);
	else
		bulk_start(j->app, j->req, &j->order);
	free(j->order.ids);
	free(j->order.reason);
	buf_fini(&j->refusals);
	free(j);
}

/* False: answered. */
static bool take_from(struct http_request *req, const cJSON *body, struct migrate_job *j)
{
	struct engine_generation_stats stats[LISTED_MAX];
	size_t n = engine_generations(j->app->engine, stats, LISTED_MAX);
	struct str from = json_member(body, "from");

	j->to = engine_pipeline(j->app->engine);
	if (!from.n) {
		ask_refuse(req, "/from", "must be the generation that the orders are on");
		return false;
	}
	if (str_is(from, j->to->digest)) {
		ask_refuse(req, "/from", "is the current generation");
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (str_is(from, stats[i].pipeline->digest))
			j->from = stats[i].pipeline;
	if (!j->from)
		http_problem(req, 404, "no unfinished order is on such a generation");
	return j->from != NULL;
}

static bool take_rest(struct http_request *req, const cJSON *body, struct migrate_job *j)
{
	static const char *const known[] = {"from", "reason", "rate", "dry_run"};
	const cJSON *rate = cJSON_GetObjectItemCaseSensitive(body, "rate"), *m;
	const cJSON *dry_run = cJSON_GetObjectItemCaseSensitive(body, "dry_run");

	cJSON_ArrayForEach (m, body) {
		size_t i = 0;

		while (i < ARRAY_LEN(known) && strcmp(m->string, known[i]) != 0)
			i++;
		if (i < ARRAY_LEN(known))
			continue;
		ask_refuse(req, "", "may have `from`, `reason`, `rate` and `dry_run`");
		return false;
	}
	if (dry_run && !cJSON_IsBool(dry_run)) {
		ask_refuse(req, "/dry_run", "must be true or false");
		return false;
	}
	j->is_dry = cJSON_IsTrue(dry_run);
	if (rate && (!json_to_int(rate, &j->order.rate) || j->order.rate < 1 ||
			    j->order.rate > 100000)) {
		ask_refuse(req, "/rate", "must be a number of orders per second, 1 to 100000");
		return false;
	}
	return true;
}

void route_migrate(void *arg, struct http_request *req)
{
	struct app *app = arg;
	_cleanup_(json_freep) cJSON *body = ask_body(app, req);
	char *reason = body ? ask_reason(req, body) : NULL;
	struct migrate_job *j = reason ? calloc(1, sizeof *j) : NULL;

	if (!j) {
		if (reason)
			http_problem(req, 503, "no memory");
		free(reason);
		return;
	}
	j->job = (struct read_job){.run = run_migrate, .done = done_migrate};
	j->app = app;
	j->req = req;
	j->max = (size_t)app->limits.bulk;
	j->order.action = "migrate";
	j->order.reason = reason;
	if (take_from(req, body, j) && take_rest(req, body, j)) {
		j->order.generation = j->from->digest;
		if (app_read(app, app->reading, req, &j->job, NULL))
			return;
	}
	free(j->order.reason);
	free(j);
}
