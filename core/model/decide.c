/* Decisions: which event follows from a command, and what follows by itself after it. */
#include "model/decide.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/condition.h"
#include "model/ready.h"

static struct event *add(const struct decide_env *env, const struct order *o,
	struct event_list *out, enum event_kind kind)
{
	struct event *ev = event_list_add(out, kind);

	if (!ev)
		return NULL;
	ev->time_us = env->now_us;
	ev->order_seq = o->seq;
	ev->order_id = o->id;
	return ev;
}

static struct event *add_stage(const struct decide_env *env, const struct order *o, size_t stage,
	struct event_list *out, enum event_kind kind)
{
	struct event *ev = add(env, o, out, kind);

	if (!ev)
		return NULL;
	ev->stage = str_of(o->pipeline->stages[stage].name);
	ev->attempt = o->stages[stage].attempt;
	ev->undo = o->stages[stage].undo;
	return ev;
}

static int set_message(struct event_list *out, struct event *ev, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int set_message(struct event_list *out, struct event *ev, const char *fmt, ...)
{
	char text[TASK_MESSAGE_MAX + 1];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	utf8_cut(text);
	return arena_copy(out->arena, str_of(text), &ev->message) ? 0 : -ENOMEM;
}

int decide_create(const struct decide_env *env, const struct id *id, const struct pipeline *p,
	struct str body, struct str key, struct event_list *out)
{
	struct event *ev = event_list_add(out, EVENT_ORDER_CREATED);

	if (!ev)
		return -ENOMEM;
	ev->time_us = env->now_us;
	ev->order_id = *id;
	ev->message = STR("Order received");
	ev->generation = str_of(p->digest);
	if (!arena_copy(out->arena, body, &ev->body) || !arena_copy(out->arena, key, &ev->key))
		return -ENOMEM;
	return 0;
}

/* --- verdicts --- */

static bool may_be_out(const struct stage_state *s)
{
	return s->status == STAGE_QUEUED || s->status == STAGE_RETRYING;
}

static uint64_t others_unknown(const struct order *o, size_t stage)
{
	return order_unknown(o) & ~((uint64_t)1 << stage);
}

/* Copies what the worker said: the task is freed before the event is. */
/* Of the attempt; -1: unknown. */
static int64_t duration_ms(const struct task *t)
{
	return t->duration_us < 0 ? -1 : t->duration_us / 1000;
}

static int take_answer(const struct task *t, struct event_list *out, struct event *ev)
{
	struct effect *effects = NULL;

	ev->duration_ms = duration_ms(t);
	if (!arena_copy(out->arena, str_of(t->message), &ev->message) ||
		!arena_copy(out->arena, str_of(t->result), &ev->metadata))
		return -ENOMEM;
	if (t->n_effects && !(effects = arena_alloc(out->arena, t->n_effects * sizeof *effects)))
		return -ENOMEM;
	for (size_t i = 0; i < t->n_effects; i++) {
		effects[i] = t->effects[i];
		if (!arena_copy(out->arena, t->effects[i].key, &effects[i].key) ||
			!arena_copy(out->arena, t->effects[i].json, &effects[i].json))
			return -ENOMEM;
	}
	ev->effects = effects;
	ev->n_effects = t->n_effects;
	return 0;
}

/* What the number at the key of effect `i` would be after the effects up to it. */
static int number_after(const struct decide_env *env, const struct task *t, size_t i, int64_t *ret)
{
	struct str key = t->effects[i].key;
	int64_t value = 0;
	int r = env->state_number(env->arg, key, &value);

	for (size_t k = 0; k <= i && r == 0; k++) {
		const struct effect *f = &t->effects[k];

		if (!str_eq(f->key, key))
			continue;
		if (f->kind == EFFECT_DELETE)
			value = 0;
		else if (f->kind == EFFECT_PUT)
			r = -EINVAL;
		else if (__builtin_add_overflow(value, f->delta, &value))
			r = -EINVAL;
	}
	*ret = value;
	return r;
}

/* 0: all effects can be applied; else the first that cannot: -ERANGE below its floor, -EINVAL no number. */
static int check_effects(const struct decide_env *env, const struct task *t, struct str *ret_key)
{
	for (size_t i = 0; i < t->n_effects; i++) {
		int64_t value;
		int r;

		if (t->effects[i].kind != EFFECT_ADD)
			continue;
		r = number_after(env, t, i, &value);
		if (r == 0 && value < t->effects[i].floor)
			r = -ERANGE;
		if (r < 0) {
			*ret_key = t->effects[i].key;
			return r;
		}
	}
	return 0;
}

/* What never finished had no effect on the state, so its undo has none to take back. */
static bool has_effects(const struct order *o, const struct task *t)
{
	return !t->undo || o->stages[t->stage].done_seq;
}

static int decide_done(const struct decide_env *env, const struct order *o, const struct task *t,
	struct event_list *out)
{
	const struct stage_spec *spec = &o->pipeline->stages[t->stage];
	struct event *ev =
		add_stage(env, o, t->stage, out, t->undo ? EVENT_STAGE_UNDONE : EVENT_STAGE_DONE);
	int r;

	if (!ev)
		return -ENOMEM;
	ev->type = str_of(t->undo ? spec->undo_event : spec->event);
	r = take_answer(t, out, ev);
	if (!has_effects(o, t))
		ev->n_effects = 0;
	return r;
}

static int decide_hold(const struct decide_env *env, const struct order *o, const struct task *t,
	struct event_list *out, const char *why)
{
	struct event *ev = add_stage(env, o, t->stage, out, EVENT_STAGE_HELD);

	if (!ev)
		return -ENOMEM;
	ev->duration_ms = duration_ms(t);
	return set_message(out, ev, "%s", why);
}

static int decide_fail(const struct decide_env *env, const struct order *o, const struct task *t,
	struct event_list *out, const char *why)
{
	struct event *ev;

	if (t->undo)
		return decide_hold(env, o, t, out, why);
	ev = add_stage(env, o, t->stage, out, EVENT_STAGE_FAILED);
	if (!ev)
		return -ENOMEM;
	ev->duration_ms = duration_ms(t);
	ev->awaited = others_unknown(o, t->stage);
	if (!arena_copy(out->arena, str_of(t->result), &ev->metadata))
		return -ENOMEM;
	return set_message(out, ev, "%s", why);
}

static int decide_finished(const struct decide_env *env, const struct order *o,
	const struct task *t, struct event_list *out)
{
	char why[TASK_MESSAGE_MAX];
	struct str key = {0};
	int r = has_effects(o, t) ? check_effects(env, t, &key) : 0;

	if (r == 0)
		return decide_done(env, o, t, out);
	if (r == -ERANGE) {
		snprintf(why, sizeof why, "insufficient %.*s", (int)key.n, key.p);
		return decide_fail(env, o, t, out, t->shortage ? t->shortage : why);
	}
	if (r != -EINVAL)
		return r;
	snprintf(why, sizeof why, "the state at '%.*s' is not a number that can be added to",
		(int)key.n, key.p);
	return decide_hold(env, o, t, out, why);
}

/* The attempts are used up, and whether one of them took effect is not known. */
static int decide_exhausted(const struct decide_env *env, const struct order *o,
	const struct task *t, struct event_list *out, const char *why)
{
	struct event *ev;

	if (t->undo || o->pipeline->stages[t->stage].on_exhausted == EXHAUSTED_HOLD)
		return decide_hold(env, o, t, out, why);
	ev = add_stage(env, o, t->stage, out, EVENT_STAGE_FAILED);
	if (!ev)
		return -ENOMEM;
	ev->unsure = true;
	ev->duration_ms = duration_ms(t);
	ev->awaited = others_unknown(o, t->stage);
	return set_message(out, ev, "%s", why);
}

static int64_t backoff_ms(
	const struct decide_env *env, const struct retry_policy *p, uint32_t n_used)
{
	double unit = (double)(env->random >> 11) / 9007199254740992.0; /* [0, 1) with 53 bits */
	double wait = (double)p->backoff_ms * pow(p->factor, n_used);

	if (wait > (double)p->max_ms)
		wait = (double)p->max_ms;
	return (int64_t)(wait * (1 + p->jitter * (2 * unit - 1)));
}

static int decide_lost_of(const struct decide_env *env, const struct order *o, size_t stage,
	struct event_list *out, const char *why)
{
	struct event *ev = add_stage(env, o, stage, out, EVENT_ATTEMPT_LOST);

	return ev ? set_message(out, ev, "%s", why) : -ENOMEM;
}

static int decide_again(const struct decide_env *env, const struct order *o, const struct task *t,
	struct event_list *out)
{
	const struct retry_policy *p = &o->pipeline->stages[t->stage].retry;
	const struct stage_state *s = &o->stages[t->stage];
	const char *why = t->message ? t->message : verdict_word(t->verdict);
	struct event *ev;

	if (o->phase == ORDER_COMPENSATING && !t->undo)
		return decide_lost_of(env, o, t->stage, out, why);
	if (s->n_used + 1 >= p->attempts)
		return decide_exhausted(env, o, t, out, why);
	ev = add_stage(env, o, t->stage, out, EVENT_STAGE_RETRYING);
	if (!ev)
		return -ENOMEM;
	ev->duration_ms = duration_ms(t);
	ev->due_us = env->now_us +
		     (t->delay_ms >= 0 ? t->delay_ms : backoff_ms(env, p, s->n_used)) * 1000;
	return set_message(out, ev, "%s", why);
}

static int decide_wait(const struct decide_env *env, const struct order *o, const struct task *t,
	struct event_list *out)
{
	struct event *ev;

	if (o->phase == ORDER_COMPENSATING && !t->undo)
		return decide_lost_of(env, o, t->stage, out, "was about to wait for an answer");
	ev = add_stage(env, o, t->stage, out, EVENT_STAGE_WAITING);
	if (!ev)
		return -ENOMEM;
	ev->duration_ms = duration_ms(t);
	ev->due_us = env->now_us + (t->delay_ms >= 0 ? t->delay_ms : 0) * 1000;
	return set_message(
		out, ev, "%s", t->message ? t->message : "waiting for an answer from outside");
}

int decide_verdict(const struct decide_env *env, const struct order *o, const struct task *t,
	struct event_list *out)
{
	const struct stage_state *s = &o->stages[t->stage];

	if (order_is_terminal(o) || !may_be_out(s) || s->undo != t->undo ||
		s->attempt != t->attempt)
		return -EALREADY;
	switch (t->verdict) {
	case VERDICT_DONE:
		return decide_finished(env, o, t, out);
	case VERDICT_FAIL:
		return decide_fail(env, o, t, out, t->message ? t->message : "failed");
	case VERDICT_WAIT:
		return decide_wait(env, o, t, out);
	case VERDICT_RETRY:
	case VERDICT_TIMEOUT:
	case VERDICT_CRASH:
		return decide_again(env, o, t, out);
	case VERDICT_LATER:
	case VERDICT_KINDS:
		break;
	}
	return -EINVAL;
}

int decide_lost(const struct decide_env *env, const struct order *o, size_t stage, uint32_t attempt,
	bool suspect, struct event_list *out)
{
	const struct stage_state *s = &o->stages[stage];
	int r;

	if (order_is_terminal(o) || !may_be_out(s) || s->attempt != attempt)
		return -EALREADY;
	r = decide_lost_of(env, o, stage, out, "the worker died during the attempt");
	if (r == 0)
		out->first->suspect = suspect;
	return r;
}

/* --- people --- */

int decide_cancel(const struct decide_env *env, const struct order *o, struct str reason,
	struct event_list *out)
{
	struct event *ev;

	if (order_is_terminal(o))
		return -EINVAL;
	if (o->phase == ORDER_COMPENSATING)
		return -EALREADY;
	ev = add(env, o, out, EVENT_CANCEL_REQUESTED);
	if (!ev)
		return -ENOMEM;
	ev->message = STR("Cancellation requested");
	ev->awaited = order_unknown(o);
	return arena_copy(out->arena, reason, &ev->reason) ? 0 : -ENOMEM;
}

int decide_release(const struct decide_env *env, const struct order *o, size_t stage,
	struct str action, struct str body, struct str reason, struct event_list *out)
{
	const struct stage_state *s = &o->stages[stage];
	bool is_discard = str_is(action, "discard");
	struct event *ev;

	if (order_is_terminal(o) || s->status != STAGE_HELD)
		return -EINVAL;
	if (!is_discard && !str_is(action, "retry") && !str_is(action, "skip"))
		return -EINVAL;
	if (is_discard && s->undo)
		return -EINVAL; /* it is being undone already: retry the undo, or skip it */
	ev = add_stage(env, o, stage, out, EVENT_STAGE_RELEASED);
	if (!ev)
		return -ENOMEM;
	ev->awaited = is_discard ? others_unknown(o, stage) : 0;
	if (!arena_copy(out->arena, action, &ev->action) ||
		!arena_copy(out->arena, reason, &ev->reason) ||
		!arena_copy(out->arena, body, &ev->body))
		return -ENOMEM;
	return set_message(out, ev, is_discard ? "Given up by an operator: %.*s" : "%.*s",
		(int)reason.n, reason.p);
}

int decide_signal(const struct decide_env *env, const struct order *o, size_t stage,
	struct str body, struct str key, struct event_list *out)
{
	struct event *ev;

	if (order_is_terminal(o) || o->stages[stage].status != STAGE_WAITING)
		return -EALREADY;
	ev = add_stage(env, o, stage, out, EVENT_STAGE_SIGNALLED);
	if (!ev)
		return -ENOMEM;
	ev->message = STR("The answer from outside came");
	ev->unsure = true; /* what it did before it waited */
	if (!arena_copy(out->arena, body, &ev->metadata) || !arena_copy(out->arena, key, &ev->key))
		return -ENOMEM;
	return 0;
}

int decide_expired(
	const struct decide_env *env, const struct order *o, size_t stage, struct event_list *out)
{
	const struct stage_state *s = &o->stages[stage];
	struct task t = {.stage = stage,
		.undo = s->undo,
		.delay_ms = -1,
		.duration_us = -1,
		.verdict = VERDICT_TIMEOUT,
		.message = (char *)"no answer came from outside in time"};

	if (order_is_terminal(o) || s->status != STAGE_WAITING)
		return -EALREADY;
	return decide_again(env, o, &t, out);
}

/* --- what follows by itself --- */

/* While an order turns round nothing is started; what nobody has any more ended without an answer. */
static bool is_stranded(const struct decide_env *env, const struct order *o, size_t i)
{
	const struct stage_state *s = &o->stages[i];
	uint64_t awaited = env->is_outlived ? order_unknown(o) : o->out;

	return o->phase == ORDER_COMPENSATING && !s->undo && may_be_out(s) &&
	       !(awaited & (uint64_t)1 << i);
}

static bool is_used_up(const struct order *o, size_t i)
{
	return o->stages[i].status == STAGE_QUEUED &&
	       o->stages[i].n_used >= o->pipeline->stages[i].retry.attempts;
}

static int decide_used_up(
	const struct decide_env *env, const struct order *o, size_t i, struct event_list *out)
{
	struct task t = {.stage = i, .undo = o->stages[i].undo, .duration_us = -1};
	const char *error = o->stages[i].error;

	return decide_exhausted(env, o, &t, out, error ? error : "attempts used up");
}

/* It is a stage's turn, and apply() did not queue it: its condition does not hold. */
static bool is_declined(const struct order *o, size_t i)
{
	return o->phase == ORDER_RUNNING && o->stages[i].status == STAGE_IDLE &&
	       stage_is_next(o, i);
}

static int decide_skip(
	const struct decide_env *env, const struct order *o, size_t i, struct event_list *out)
{
	_cleanup_(buf_fini) struct buf why = {0};
	struct event *ev = add_stage(env, o, i, out, EVENT_STAGE_SKIPPED);

	assert(o->pipeline->stages[i].when);
	condition_why_not(o->pipeline->stages[i].when, &why);
	return ev && !why.failed ? set_message(out, ev, "skipped: %s", why.data) : -ENOMEM;
}

static bool is_over(const struct order *o, size_t i)
{
	uint8_t s = o->stages[i].status;

	if (o->phase == ORDER_RUNNING)
		return s == STAGE_DONE || s == STAGE_SKIPPED;
	return s == STAGE_DONE || s == STAGE_SKIPPED || s == STAGE_IDLE || s == STAGE_FAILED ||
	       s == STAGE_UNDONE;
}

static int add_end(const struct decide_env *env, const struct order *o, struct event_list *out)
{
	enum event_kind kind = o->phase == ORDER_RUNNING ? EVENT_ORDER_COMPLETED
			       : o->is_cancelling	 ? EVENT_ORDER_CANCELLED
							 : EVENT_ORDER_FAILED;
	struct event *ev = add(env, o, out, kind);

	if (!ev)
		return -ENOMEM;
	if (kind == EVENT_ORDER_FAILED)
		return set_message(out, ev, "%s", o->error ? o->error : "failed") < 0 ? -ENOMEM : 1;
	ev->message =
		kind == EVENT_ORDER_COMPLETED ? STR("Order completed") : STR("Order cancelled");
	return 1;
}

int decide_settle(const struct decide_env *env, const struct order *o, struct event_list *out)
{
	if (order_is_terminal(o))
		return 0;
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		if (is_stranded(env, o, i))
			return decide_lost_of(
				       env, o, i, out, "the attempt was left without an answer") < 0
				       ? -ENOMEM
				       : 1;
		if (is_used_up(o, i))
			return decide_used_up(env, o, i, out) < 0 ? -ENOMEM : 1;
	}
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (is_declined(o, i))
			return decide_skip(env, o, i, out) < 0 ? -ENOMEM : 1;
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (!is_over(o, i))
			return 0;
	return add_end(env, o, out);
}
