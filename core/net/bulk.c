/* Bulk jobs: commands go out at their rate, a bounded number at once, and are counted as they come back. */
#include "net/bulk.h"

#include "base/mem.h"
#include "net/ask.h"

enum { TICK_MS = 50, WAIT_FOR = 1000, REFUSALS_MAX = 100 };

struct refusal {
	struct id id;
	char why[128];
};

struct bulk {
	struct bulk *next;
	struct app *app;
	struct http_request *req; /* waits for the end; NULL: answered with 202 */
	int64_t number;
	const char *action, *generation;
	char *reason, *stage, *error;
	int64_t rate;
	struct id *ids;
	size_t n, at, n_out, n_done, n_refused;
	struct refusal refusals[REFUSALS_MAX];
	double tokens;
	int64_t refilled_ms;
	struct event *tick;
	bool is_closed, is_capped;
};

static bool is_finished(const struct bulk *b)
{
	return !b->n_out && (b->at == b->n || b->is_closed);
}

static void bulk_free(struct bulk *b)
{
	if (b->tick)
		event_free(b->tick);
	free(b->reason);
	free(b->stage);
	free(b->error);
	free(b->ids);
	free(b);
}

static void write_numbers(struct json_writer *w, const struct bulk *b)
{
	const struct {
		const char *name;
		size_t value;
	} numbers[] = {{"matched", b->n}, {"done", b->n_done}, {"refused", b->n_refused},
		{"left", b->n - b->at + b->n_out}};

	json_key(w, "job");
	json_int(w, b->number);
	json_key(w, "action");
	json_text(w, b->action);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		json_key(w, numbers[i].name);
		json_int(w, (int64_t)numbers[i].value);
	}
	json_key(w, "capped");
	json_bool(w, b->is_capped);
	json_key(w, "finished");
	json_bool(w, is_finished(b));
}

static void answer(struct http_request *req, const struct bulk *b, int status)
{
	struct buf body = {0};
	struct json_writer w = {&body, false};

	json_open(&w, '{');
	write_numbers(&w, b);
	json_key(&w, "refusals");
	json_open(&w, '[');
	for (size_t i = 0; i < b->n_refused && i < REFUSALS_MAX; i++) {
		json_open(&w, '{');
		json_key(&w, "id");
		json_id(&w, &b->refusals[i].id);
		json_key(&w, "detail");
		json_text(&w, b->refusals[i].why);
		json_close(&w, '}');
	}
	json_close(&w, ']');
	json_close(&w, '}');
	http_reply_json(req, status, &body);
}

static void refused(struct bulk *b, const struct id *id, const char *why)
{
	if (b->n_refused < REFUSALS_MAX) {
		b->refusals[b->n_refused].id = *id;
		snprintf(b->refusals[b->n_refused].why, sizeof b->refusals[0].why, "%s", why);
	}
	b->n_refused++;
}

static void bulk_go_on(struct bulk *b);

static void on_answer(struct command *c)
{
	struct bulk *b = c->context;

	b->n_out--;
	if (c->result < 0)
		refused(b, &c->id, err_text(&c->err));
	else
		b->n_done++;
	command_free(c);
	bulk_go_on(b);
}

/* False: no memory. */
static bool copy(const char *text, char **ret)
{
	if (text)
		*ret = str_dup(str_of(text));
	return !text || *ret;
}

static void send_one(struct bulk *b, const struct id *id)
{
	struct command *c = command_new(b->generation ? COMMAND_MIGRATE : COMMAND_RELEASE, b);

	if (!c || !copy(b->reason, &c->reason) || !copy(b->stage, &c->stage) ||
		!copy(b->error, &c->held_error)) {
		command_free(c);
		refused(b, id, "no memory");
		return;
	}
	c->id = *id;
	c->action = b->action;
	if (b->generation)
		snprintf(c->digest, sizeof c->digest, "%s", b->generation);
	c->on_answer = on_answer;
	b->n_out++;
	app_submit(b->app, c);
}

static size_t may_send(struct bulk *b)
{
	int64_t now_ms = clock_mono_ms();

	if (!b->rate)
		return BULK_OUT_MAX;
	b->tokens += (double)(now_ms - b->refilled_ms) * (double)b->rate / 1000;
	b->refilled_ms = now_ms;
	if (b->tokens > (double)b->rate)
		b->tokens = (double)b->rate;
	return (size_t)b->tokens;
}

static void bulk_go_on(struct bulk *b)
{
	static const struct timeval tick = {.tv_usec = TICK_MS * 1000};

	for (size_t may = may_send(b);
		may && !b->is_closed && b->at < b->n && b->n_out < BULK_OUT_MAX; may--) {
		if (b->rate)
			b->tokens--;
		send_one(b, &b->ids[b->at++]);
	}
	if (b->rate && b->at < b->n && !b->is_closed && !event_pending(b->tick, EV_TIMEOUT, NULL))
		event_add(b->tick, &tick);
	if (is_finished(b) && b->req)
		answer(steal_ptr(b->req), b, 200);
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
	(void)fd, (void)events;
	bulk_go_on(arg);
}

/* The newest jobs stay for who asks how they went. */
static void forget_old(struct app *app)
{
	struct bulk **slot = &app->bulks;
	size_t n = 0;

	while (*slot) {
		struct bulk *b = *slot;

		if (++n <= BULK_KEPT || !is_finished(b)) {
			slot = &b->next;
			continue;
		}
		*slot = b->next;
		bulk_free(b);
	}
}

void bulk_start(struct app *app, struct http_request *req, struct bulk_order *o)
{
	struct bulk *b = app->is_draining ? NULL : calloc(1, sizeof *b);

	if (b)
		b->tick = event_new(app->base, -1, 0, on_tick, b);
	if (!b || !b->tick) {
		free(b);
		free(steal_ptr(o->reason));
		free(steal_ptr(o->stage));
		free(steal_ptr(o->error));
		free(steal_ptr(o->ids));
		http_problem(req, 503, app->is_draining ? "Stageline is stopping" : "no memory");
		return;
	}
	b->app = app;
	b->req = req;
	b->number = ++app->n_bulks;
	b->action = o->action;
	b->generation = o->generation;
	b->reason = steal_ptr(o->reason);
	b->stage = steal_ptr(o->stage);
	b->error = steal_ptr(o->error);
	b->ids = steal_ptr(o->ids);
	b->n = o->n;
	b->is_capped = o->is_capped;
	b->rate = o->rate;
	b->tokens = o->rate ? 1 : 0;
	b->refilled_ms = clock_mono_ms();
	b->next = app->bulks;
	app->bulks = b;
	if (b->rate || b->n > WAIT_FOR)
		answer(steal_ptr(b->req), b, 202);
	bulk_go_on(b);
	forget_old(app);
}

void bulk_close(struct app *app)
{
	for (struct bulk *b = app->bulks; b; b = b->next) {
		b->is_closed = true;
		event_del(b->tick);
		if (b->req && is_finished(b))
			answer(steal_ptr(b->req), b, 200);
	}
}

void bulk_free_all(struct app *app)
{
	while (app->bulks) {
		struct bulk *next = app->bulks->next;

		if (app->bulks->req)
			http_problem(app->bulks->req, 503, "Stageline is stopping");
		bulk_free(app->bulks);
		app->bulks = next;
	}
}

void route_bulk_job(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct str number = http_param(req, "job");
	char text[24];

	for (struct bulk *b = app->bulks; b; b = b->next) {
		snprintf(text, sizeof text, "%lld", (long long)b->number);
		if (str_is(number, text)) {
			answer(req, b, 200);
			return;
		}
	}
	http_problem(req, 404, "there is no such job; the last %d are kept until Stageline stops",
		BULK_KEPT);
}
