/* For operators and monitors: the pipeline with its live counts, statistics, health. */
#include "base/log.h"
#include "base/mem.h"
#include "net/app.h"

struct number {
	const char *name;
	int64_t value;
};

static void write_numbers(struct json_writer *w, const struct number *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		json_key(w, numbers[i].name);
		json_int(w, numbers[i].value);
	}
}

void route_products(void *arg, struct http_request *req)
{
	const struct pipeline *p = engine_pipeline(((struct app *)arg)->engine);
	struct buf body = {0};
	struct json_writer w = {&body, false};

	json_open(&w, '{');
	json_key(&w, "products");
	json_raw(&w, p->catalog);
	json_close(&w, '}');
	http_reply_json(req, 200, &body);
}

void route_stats(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct engine_stats s;
	struct buf body = {0};
	struct json_writer w = {&body, false};

	engine_stats(app->engine, &s);
	json_open(&w, '{');
	write_numbers(&w,
		(struct number[]){{"accepted", s.accepted}, {"completed", s.completed},
			{"failed", s.failed}, {"cancelled", s.cancelled}, {"on_hold", s.on_hold},
			{"in_flight", s.in_flight}, {"set_aside", s.set_aside},
			{"unanswered", app->n_unanswered}, {"last_seq", s.last_seq},
			{"events_since_start", s.events}, {"commits_since_start", s.commits},
			{"last_commit_us", s.commit_us},
			{"connections", (int64_t)http_connections(app->http)},
			{"watchers", app_watchers(app)}},
		14);
	json_close(&w, '}');
	http_reply_json(req, 200, &body);
}

/* --- health --- */

static const char *trouble_of(struct app *app, struct err *why)
{
	if (app->is_draining)
		return "stopping";
	return engine_is_accepting(app->engine, why) ? NULL : err_text(why);
}

void route_health(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct engine_stats s;
	struct bus_state bus;
	struct err why;
	const char *trouble = trouble_of(app, &why);
	struct buf body = {0};
	struct json_writer w = {&body, false};

	engine_stats(app->engine, &s);
	engine_bus_state(app->engine, &bus);
	json_open(&w, '{');
	json_key(&w, "status");
	/* Without its bus it still accepts orders: their tasks wait. */
	json_text(&w, trouble ? "unhealthy" : bus.is_connected ? "healthy" : "degraded");
	json_key(&w, "event_bus");
	json_text(&w, bus.is_connected ? "connected" : "disconnected");
	if (bus.trouble[0]) {
		json_key(&w, "event_bus_trouble");
		json_text(&w, bus.trouble);
	}
	json_key(&w, "active_orders");
	json_int(&w, s.in_flight);
	json_key(&w, "set_aside");
	json_int(&w, s.set_aside);
	if (app->is_read_only) {
		json_key(&w, "read_only");
		json_bool(&w, true);
		json_key(&w, "last_seq");
		json_int(&w, s.last_seq);
	}
	if (trouble) {
		json_key(&w, "detail");
		json_text(&w, trouble);
	}
	json_close(&w, '}');
	http_reply_json(req, trouble ? 503 : 200, &body);
}

void route_livez(void *arg, struct http_request *req)
{
	struct buf body = {0};

	(void)arg;
	buf_text(&body, "ok\n");
	http_reply(req, 200, "text/plain; charset=utf-8", &body);
}

void route_readyz(void *arg, struct http_request *req)
{
	struct err why;
	const char *trouble = trouble_of(arg, &why);

	if (trouble)
		http_problem(req, 503, "no order can be accepted now: %s", trouble);
	else
		route_livez(arg, req);
}

/* --- the pipeline --- */

static void write_breaker(struct json_writer *w, const struct stage_spec *s)
{
	if (s->breaker.failures) {
		json_key(w, "breaker");
		json_open(w, '{');
		write_numbers(w,
			(struct number[]){{"failures", s->breaker.failures},
				{"window_ms", s->breaker.window_ms},
				{"open_for_ms", s->breaker.open_for_ms},
				{"probes", s->breaker.probes}},
			4);
		json_close(w, '}');
	}
	if (s->rate.n) {
		json_key(w, "rate");
		json_open(w, '{');
		write_numbers(w,
			(struct number[]){{"attempts", s->rate.n}, {"per_ms", s->rate.per_ms}}, 2);
		json_close(w, '}');
	}
	json_key(w, "on_exhausted");
	json_text(w, s->on_exhausted == EXHAUSTED_FAIL ? "fail" : "hold");
}

static void write_policy(struct json_writer *w, const struct stage_spec *s)
{
	write_numbers(w,
		(struct number[]){{"workers", s->workers}, {"in_flight", s->in_flight},
			{"timeout_ms", s->timeout_ms}},
		3);
	json_key(w, "retry");
	json_open(w, '{');
	write_numbers(w,
		(struct number[]){{"attempts", s->retry.attempts},
			{"backoff_ms", s->retry.backoff_ms}, {"max_ms", s->retry.max_ms}},
		3);
	json_key(w, "factor");
	json_double(w, s->retry.factor);
	json_key(w, "jitter");
	json_double(w, s->retry.jitter);
	json_close(w, '}');
	write_breaker(w, s);
	json_key(w, "irreversible");
	json_bool(w, s->irreversible);
}

static void write_list(struct json_writer *w, const char *name, const struct sl_list *list)
{
	json_key(w, name);
	json_open(w, '[');
	for (size_t i = 0; i < list->n; i++)
		json_text(w, list->items[i]);
	json_close(w, ']');
}

static void write_isolation(struct json_writer *w, const struct stage_spec *s)
{
	const struct sandbox_policy *sandbox = &s->sandbox;
	bool is_process = s->isolation == ISOLATION_PROCESS;

	json_key(w, "isolation");
	json_text(w, is_process ? "process" : "thread");
	if (!is_process)
		return;
	json_key(w, "sandbox");
	if (sandbox->is_off) {
		json_text(w, "off");
		return;
	}
	json_open(w, '{');
	json_key(w, "network");
	json_bool(w, sandbox->network);
	json_key(w, "programs");
	json_bool(w, sandbox->programs);
	write_list(w, "read", &sandbox->read);
	write_list(w, "write", &sandbox->write);
	write_numbers(w,
		(struct number[]){{"memory_bytes", sandbox->memory}, {"cpu_ms", sandbox->cpu_ms},
			{"files", sandbox->files}},
		3);
	json_close(w, '}');
}

/* The stage's processes. Unhealthy: none can be started, its orders wait. */
static void write_health(struct json_writer *w, const struct pool_health *h)
{
	json_key(w, "processes");
	json_open(w, '{');
	json_key(w, "healthy");
	json_bool(w, !h->trouble[0]);
	json_key(w, "trouble");
	json_text(w, h->trouble[0] ? h->trouble : NULL);
	write_numbers(w,
		(struct number[]){{"ready", (int64_t)h->children},
			{"starting", (int64_t)h->starting}, {"crashes", (int64_t)h->crashes},
			{"restarts", (int64_t)h->restarts}},
		4);
	json_key(w, "last_crash");
	json_text(w, h->last_crash[0] ? h->last_crash : NULL);
	json_key(w, "last_crash_at");
	if (h->last_crash_us)
		json_time(w, h->last_crash_us);
	else
		json_null(w);
	json_close(w, '}');
}

static void write_live(struct json_writer *w, const struct engine_stage_stats *s)
{
	json_key(w, "live");
	json_open(w, '{');
	json_key(w, "paused");
	json_bool(w, s->is_paused);
	json_key(w, "breaker");
	json_text(w, s->breaker);
	json_key(w, "trouble");
	json_text(w, s->trouble[0] ? s->trouble : NULL);
	json_key(w, "served_by");
	if (s->served_by >= 0)
		json_int(w, s->served_by);
	else
		json_null(w);
	write_numbers(w,
		(struct number[]){{"waiting", s->waiting}, {"out", s->out},
			{"oldest_ms", s->oldest_ms}, {"done", s->done}, {"failed", s->failed},
			{"retried", s->retried}, {"held", s->held}, {"undone", s->undone},
			{"threads", (int64_t)s->pool.threads},
			{"running", (int64_t)s->pool.running}, {"queued", (int64_t)s->pool.waiting},
			{"later", (int64_t)s->pool.later}},
		12);
	if (s->is_isolated)
		write_health(w, &s->health);
	json_close(w, '}');
}

static void write_stage(struct app *app, struct json_writer *w, const struct pipeline *p, size_t i)
{
	const struct stage_spec *s = &p->stages[i];
	struct engine_stage_stats stats;
	const struct {
		const char *name, *value;
	} texts[] = {{"name", s->name}, {"plugin", s->plugin}, {"build", s->build},
		{"status", s->status}, {"event", s->event}, {"undo_event", s->undo_event}};

	engine_stage_stats(app->engine, p, i, &stats);
	json_open(w, '{');
	for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
		json_key(w, texts[k].name);
		json_text(w, texts[k].value);
	}
	json_key(w, "after");
	json_open(w, '[');
	for (size_t k = 0; k < p->n_stages; k++)
		if (s->after & (uint64_t)1 << k)
			json_text(w, p->stages[k].name);
	json_close(w, ']');
	write_policy(w, s);
	write_isolation(w, s);
	write_live(w, &stats);
	json_close(w, '}');
}

static void write_bus(struct app *app, struct json_writer *w)
{
	struct bus_state bus;
	struct buf workers = {0};

	engine_bus_state(app->engine, &bus);
	engine_describe_workers(app->engine, &workers);
	json_key(w, "bus");
	json_open(w, '{');
	json_key(w, "kind");
	json_text(w, bus.kind);
	json_key(w, "connected");
	json_bool(w, bus.is_connected);
	json_key(w, "trouble");
	json_text(w, bus.trouble[0] ? bus.trouble : NULL);
	json_key(w, "workers");
	json_open(w, '[');
	if (workers.len)
		json_raw(w, buf_view(&workers));
	json_close(w, ']');
	json_close(w, '}');
	buf_fini(&workers);
}

void route_pipeline(void *arg, struct http_request *req)
{
	struct app *app = arg;
	const struct pipeline *p = engine_pipeline(app->engine);
	struct buf body = {0};
	struct json_writer w = {&body, false};

	json_open(&w, '{');
	json_key(&w, "name");
	json_text(&w, p->name);
	json_key(&w, "generation");
	json_text(&w, p->digest);
	json_key(&w, "last_reload");
	reload_write_report(app, &w);
	write_bus(app, &w);
	json_key(&w, "stages");
	json_open(&w, '[');
	for (size_t i = 0; i < p->n_stages; i++)
		write_stage(app, &w, p, i);
	json_close(&w, ']');
	json_close(&w, '}');
	http_reply_json(req, 200, &body);
}
