/* One order decided once more: what it meets, and how far it goes. */
#include "kit/retrial_order.h"

#include <stdio.h>

#include "base/mem.h"
#include "model/apply.h"

enum {
	CALLS_MAX = 10
}; /* of one stage for one order; then its last answer stands for all that follow */

void retrial_order_free(struct retrial_order *x)
{
	if (!x)
		return;
	order_free(x->order);
	arena_fini(&x->arena);
	free(x->missing);
	free(x);
}

/* --- decisions --- */

/* The state as it was, had this order done from its beginning what it does now. */
static int state_number(void *retried, struct str key, int64_t *ret)
{
	struct retrial_order *x = retried;
	int r = history_number(x->all->history, key, ret);

	for (const struct retrial_sum *s = x->sums; s && r == 0; s = s->next)
		if (str_eq(s->key, key))
			*ret += s->now - s->then;
	return r;
}

static struct decide_env env_of(struct retrial_order *x)
{
	return (struct decide_env){.now_us = x->now_us, .state_number = state_number, .arg = x};
}

/* Whoever is queued is out, as it is on a machine with workers to spare. */
static void send_out(struct retrial_order *x)
{
	struct order *o = x->order;

	o->out = 0;
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_QUEUED && !x->stages[i].is_missing)
			o->out |= (uint64_t)1 << i;
}

static int note_fate(struct retrial_order *x, const struct event *ev, struct retrial_fate *fate)
{
	struct str stage, error;

	if ((ev->kind != EVENT_STAGE_FAILED && ev->kind != EVENT_STAGE_HELD) || ev->undo)
		return 0;
	if (!arena_copy(&x->arena, ev->stage, &stage) ||
		!arena_copy(&x->arena, ev->message, &error))
		return -ENOMEM;
	fate->stage = stage.p;
	fate->error = error.p;
	return 0;
}

static int take(struct retrial_order *x, struct event *ev)
{
	int r = retrial_order_add_up(x, ev, false);

	ev->seq = ++x->last_seq;
	if (r == 0)
		r = note_fate(x, ev, &x->would);
	return r == 0 ? apply(x->order, ev) : r;
}

/* Applies what was decided, and whatever follows from it. */
static int advance(struct retrial_order *x, struct event_list *list)
{
	struct decide_env env = env_of(x);
	int r = 0;

	do {
		for (struct event *ev = list->first; ev && r >= 0; ev = ev->next)
			r = take(x, ev);
		if (r < 0)
			return r;
		event_list_init(list, list->arena);
		send_out(x);
		r = decide_settle(&env, x->order, list);
	} while (r > 0);
	return r;
}

static int settle(struct retrial_order *x)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event_list list;

	event_list_init(&list, &arena);
	return advance(x, &list);
}

static int give_verdict(struct retrial_order *x, const struct task *t)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct decide_env env = env_of(x);
	struct event_list list;
	int r;

	event_list_init(&list, &arena);
	send_out(x);
	r = x->order->stages[t->stage].status == STAGE_WAITING
		    ? decide_expired(&env, x->order, t->stage, &list)
		    : decide_verdict(&env, x->order, t, &list);
	return r == 0 ? advance(x, &list) : r;
}

/* --- answers of then --- */

static struct task task_of(const struct retrial_order *x, size_t stage)
{
	const struct stage_state *s = &x->order->stages[stage];

	return (struct task){.pipeline = x->all->pipeline,
		.stage = stage,
		.order_id = x->order->id,
		.order_seq = x->seq,
		.attempt = s->attempt,
		.undo = s->undo,
		.delay_ms = -1,
		.duration_us = -1};
}

static int give_verdict_of(struct retrial_order *x, size_t stage, const struct retrial_answer *a)
{
	struct task t = task_of(x, stage);

	t.verdict = a->verdict;
	t.message = a->message.p;
	t.result = a->result.p;
	t.delay_ms = a->delay_ms;
	t.effects = a->effects;
	t.n_effects = a->n_effects;
	return give_verdict(x, &t);
}

static int give(struct retrial_order *x, size_t stage, const struct retrial_answer *a)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	const struct stage_state *s = &x->order->stages[stage];
	struct decide_env env = env_of(x);
	struct event_list list;
	int r;

	if (a->kind == ANSWER_VERDICT)
		return give_verdict_of(x, stage, a);
	event_list_init(&list, &arena);
	send_out(x);
	r = a->kind == ANSWER_LOST ? decide_lost(&env, x->order, stage, s->attempt, false, &list)
				   : decide_signal(&env, x->order, stage, a->result, a->key, &list);
	if (r == -EALREADY) /* a signal that nobody waits for now */
		return 0;
	return r == 0 ? advance(x, &list) : r;
}

/* --- stages that run again --- */

static struct task *new_task(struct retrial_order *x, size_t stage)
{
	_cleanup_(buf_fini) struct buf order = {0}, results = {0};
	struct task as = task_of(x, stage), *t;

	order_task_json(x->order, &order, &results);
	if (order.failed || results.failed)
		return NULL;
	t = task_new(buf_view(&order), buf_view(&results), str_of(x->order->stages[stage].signal));
	if (!t)
		return NULL;
	t->pipeline = as.pipeline;
	t->stage = as.stage;
	t->order_id = as.order_id;
	t->order_seq = as.order_seq;
	t->attempt = as.attempt;
	t->undo = as.undo;
	t->as_of_us = x->now_us;
	return t;
}

static bool is_ended_process(const struct task *t)
{
	return t->verdict == VERDICT_CRASH || t->verdict == VERDICT_TIMEOUT;
}

/* What ends its process would do so again: the attempts that follow have the same answer. */
static int give_as_often(struct retrial_order *x, struct task *t)
{
	const struct stage_state *s = &x->order->stages[t->stage];
	bool is_enough = is_ended_process(t) || ++x->stages[t->stage].n_calls >= CALLS_MAX;
	int r;

	do {
		t->attempt = s->attempt;
		r = give_verdict(x, t);
	} while (r == 0 && is_enough && s->undo == t->undo &&
		 (s->status == STAGE_QUEUED || s->status == STAGE_RETRYING));
	return r;
}

static int say_missing(struct retrial_order *x, const char *text)
{
	free(x->missing);
	x->missing = strdup(text);
	return x->missing ? 0 : -ENOMEM;
}

static int run_again(struct retrial_order *x, size_t stage, struct err *e)
{
	struct task *t = new_task(x, stage);
	struct err why = {0};
	int r;

	if (!t)
		return -ENOMEM;
	r = retrial_stage_run(x->all->stages[stage], t, &t, &why);
	if (r == -ECHILD)
		return say_missing(x, err_text(&why));
	if (r < 0)
		return err_set(e, r, "%s", err_text(&why));
	r = give_as_often(x, t);
	task_free(t);
	return r < 0 ? r : 1;
}

/* --- one step --- */

/* Nothing is known of what the stage would answer. 1: it goes on without. */
static int go_without(struct retrial_order *x, size_t stage)
{
	const struct stage_state *s = &x->order->stages[stage];
	const struct retrial_answer done = {.verdict = VERDICT_DONE, .delay_ms = -1};
	char text[256];
	int r;

	if (s->undo) {
		r = give(x, stage, &done);
		return r < 0 ? r : 1;
	}
	if (x->order->phase == ORDER_COMPENSATING) {
		x->stages[stage].is_missing = true;
		r = settle(x);
		return r < 0 ? r : 1;
	}
	snprintf(text, sizeof text, "the journal has no %sanswer of stage '%s'",
		s->attempt > 1 ? "further " : "", x->all->pipeline->stages[stage].name);
	return say_missing(x, text);
}

static int step_waiting(struct retrial_order *x, size_t stage, bool undo, bool is_over)
{
	const struct retrial_answer *a = retrial_order_recall(x, stage, undo);
	char text[256];
	int r;

	if (a) {
		r = give(x, stage, a);
		return r < 0 ? r : 1;
	}
	if (!is_over)
		return 0;
	snprintf(text, sizeof text,
		"stage '%s' waits for an answer from outside that did not come then",
		x->all->pipeline->stages[stage].name);
	return say_missing(x, text);
}

/* Whether the stage got on: 1. */
static int step(struct retrial_order *x, size_t stage, bool is_over, struct err *e)
{
	const struct stage_state *s = &x->order->stages[stage];
	const struct retrial_memory *m = &x->stages[stage];
	const struct retrial_answer *a;
	int r;

	if (s->status == STAGE_WAITING)
		return step_waiting(x, stage, s->undo, is_over);
	if (s->status != STAGE_QUEUED && s->status != STAGE_RETRYING)
		return 0;
	if (x->all->stages[stage])
		return is_over || !m->was_there || m->is_due[s->undo] ? run_again(x, stage, e) : 0;
	while ((a = retrial_order_recall(x, stage, s->undo)))
		if (a->kind != ANSWER_SIGNAL) {
			r = give(x, stage, a);
			return r < 0 ? r : 1;
		}
	return is_over ? go_without(x, stage) : 0;
}

/* As far as it can go now. */
static int go(struct retrial_order *x, bool is_over, struct err *e)
{
	int r = 1;

	while (r > 0) {
		r = 0;
		for (size_t i = 0; i < x->all->pipeline->n_stages && r == 0; i++)
			if (!order_is_terminal(x->order) && !x->missing)
				r = step(x, i, is_over, e);
	}
	return r;
}

/* --- people --- */

static int cancel(struct retrial_order *x, const struct event *ev, struct event_list *list)
{
	struct decide_env env = env_of(x);
	int r = decide_cancel(&env, x->order, ev->reason, list);

	return r == -EINVAL || r == -EALREADY ? 0 : r;
}

static int release(struct retrial_order *x, const struct event *ev, struct event_list *list)
{
	struct decide_env env = env_of(x);
	int i = pipeline_find(x->all->pipeline, ev->stage), r;

	if (i < 0 || x->order->stages[i].undo != ev->undo)
		return 0;
	r = decide_release(&env, x->order, (size_t)i, ev->action, ev->body, ev->reason, list);
	return r == -EINVAL ? 0 : r;
}

static int meet_person(struct retrial_order *x, const struct event *ev)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event_list list;
	int r;

	event_list_init(&list, &arena);
	send_out(x);
	r = (ev->kind == EVENT_CANCEL_REQUESTED ? cancel : release)(x, ev, &list);
	return r == 0 && list.n ? advance(x, &list) : r;
}

static int meet_stage(struct retrial_order *x, const struct event *ev)
{
	int i = pipeline_find(x->all->pipeline, ev->stage);
	int r = note_fate(x, ev, &x->was);

	return r == 0 && i >= 0 ? retrial_order_remember(x, (size_t)i, ev) : r;
}

/* What does not fit this one order is no reason to end. */
static int on_failure(struct retrial_order *x, int r)
{
	char text[128];

	if (r == 0 || r == -ENOMEM || r == -EIO)
		return r;
	snprintf(text, sizeof text, "it cannot be decided again: %s", strerror(-r));
	return say_missing(x, text);
}

int retrial_order_meet(struct retrial_order *x, const struct event *ev, struct err *e)
{
	bool is_over = event_kind_info(ev->kind)->is_terminal;
	int r = 0;

	x->now_us = ev->time_us;
	if (ev->kind == EVENT_CANCEL_REQUESTED || ev->kind == EVENT_STAGE_RELEASED)
		r = meet_person(x, ev);
	else if (ev->stage.p)
		r = meet_stage(x, ev);
	if (r == 0)
		r = go(x, is_over, e);
	if (r == 0)
		r = retrial_order_add_up(x, ev, true);
	r = on_failure(x, r);
	if (is_over)
		x->was.status = ev->kind == EVENT_ORDER_COMPLETED ? "completed"
				: ev->kind == EVENT_ORDER_FAILED  ? "failed"
								  : "cancelled";
	return r;
}

/* --- its beginning --- */

static int create(struct retrial_order *x, const struct event *ev)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct decide_env env = env_of(x);
	struct event_list list;
	int r;

	event_list_init(&list, &arena);
	r = decide_create(&env, &ev->order_id, x->all->pipeline, ev->body, ev->key, &list);
	if (r < 0)
		return r;
	x->last_seq = ev->seq - 1;
	return advance(x, &list);
}

int retrial_order_create(
	struct retrial *all, const struct event *ev, struct retrial_order **ret, struct err *e)
{
	const struct pipeline *then = history_generation(all->history, ev->generation);
	size_t n = all->pipeline->n_stages;
	struct retrial_order *x = calloc(1, sizeof *x + n * sizeof x->stages[0]);
	int r;

	if (!x || !(x->order = order_new(all->pipeline))) {
		retrial_order_free(x);
		return err_set(e, -ENOMEM, "out of memory");
	}
	x->all = all;
	x->seq = ev->seq;
	x->now_us = ev->time_us;
	for (size_t i = 0; i < n; i++)
		x->stages[i].was_there =
			then && pipeline_find(then, str_of(all->pipeline->stages[i].name)) >= 0;
	r = create(x, ev);
	if (r == 0)
		r = go(x, false, e);
	r = on_failure(x, r);
	if (r < 0) {
		retrial_order_free(x);
		return r;
	}
	*ret = x;
	return 0;
}
