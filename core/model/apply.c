/* The fold: what each kind of event does to an order, and which stages are ready because of it. */
#include "model/apply.h"

#include <assert.h>

#include "base/mem.h"
#include "model/ready.h"
#include "model/remains.h"

#define BIT(status) (1u << (status))

/* Legal moves: from which statuses a stage may go to the one that is the index. */
static const unsigned may_become_from[STAGE_STATUSES] = {
	[STAGE_IDLE] =
		BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING) | BIT(STAGE_WAITING) | BIT(STAGE_HELD),
	[STAGE_QUEUED] = BIT(STAGE_IDLE) | BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING) |
			 BIT(STAGE_WAITING) | BIT(STAGE_HELD) | BIT(STAGE_DONE) | BIT(STAGE_FAILED),
	[STAGE_RETRYING] = BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING) | BIT(STAGE_WAITING),
	[STAGE_WAITING] = BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING),
	[STAGE_HELD] = BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING) | BIT(STAGE_WAITING),
	[STAGE_DONE] = BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING),
	[STAGE_SKIPPED] = BIT(STAGE_IDLE) | BIT(STAGE_HELD),
	[STAGE_FAILED] = BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING) | BIT(STAGE_WAITING),
	[STAGE_UNDONE] = BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING) | BIT(STAGE_HELD),
};

static void move(struct stage_state *s, enum stage_status to)
{
	assert(may_become_from[to] & BIT(s->status));
	s->status = (uint8_t)to;
	s->due_us = 0;
	s->suspect = s->is_lost = false;
}

/* --- what an event carries that the order keeps: copied before anything changes --- */

struct kept {
	char *message, *result, *body;
	char *reason; /* the message once more, for the order itself */
	char *key;
};

static void kept_fini(struct kept *k)
{
	free(k->message);
	free(k->result);
	free(k->body);
	free(k->reason);
	free(k->key);
}

static int keep(const struct event *ev, struct kept *k)
{
	if (ev->message.p &&
		(!(k->message = str_dup(ev->message)) || !(k->reason = str_dup(ev->message))))
		return -ENOMEM;
	if (ev->metadata.p && !(k->result = str_dup(ev->metadata)))
		return -ENOMEM;
	if (ev->body.p && !(k->body = str_dup(ev->body)))
		return -ENOMEM;
	if (ev->key.p && !(k->key = str_dup(ev->key)))
		return -ENOMEM;
	return 0;
}

static void replace(char **slot, char **value)
{
	free(*slot);
	*slot = steal_ptr(*value);
}

/* --- readiness --- */

static bool is_active(const struct stage_state *s)
{
	return BIT(s->status) &
	       (BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING) | BIT(STAGE_WAITING) | BIT(STAGE_HELD));
}

static void queue_stage(struct stage_state *s, bool undo)
{
	move(s, STAGE_QUEUED);
	if (undo && !s->undo) {
		s->undo = true;
		s->attempt = 0;
	}
	s->n_used = 0;
	s->attempt++;
}

/* A stage that is next and not wanted stays idle: decide_settle() skips it. */
static void queue_ready(struct order *o, const struct sight *sight)
{
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_IDLE && stage_is_next(o, i) &&
			stage_is_wanted(o, i, sight))
			queue_stage(&o->stages[i], false);
}

/* The stage to undo next: attempts without an answer before finished ones, the last finished first. */
static struct stage_state *next_undo(struct order *o)
{
	struct stage_state *best = NULL;

	for (size_t i = o->pipeline->n_stages; i-- > 0;) {
		struct stage_state *s = &o->stages[i];

		if (!o->pipeline->stages[i].undo_event)
			continue;
		if (s->unsure && (s->status == STAGE_IDLE || s->status == STAGE_FAILED))
			return s;
		if (s->status == STAGE_DONE && (!best || s->done_seq > best->done_seq))
			best = s;
	}
	return best;
}

static void queue_undo(struct order *o)
{
	struct stage_state *s;

	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (is_active(&o->stages[i]))
			return;
	s = next_undo(o);
	if (s)
		queue_stage(s, true);
}

void apply_schedule(struct order *o, const struct sight *sight)
{
	if (o->phase == ORDER_RUNNING)
		queue_ready(o, sight);
	else if (o->phase == ORDER_COMPENSATING)
		queue_undo(o);
}

/* A recovery gives attempts up, and the order may turn round: the undo that it queues then was not out either. */
static bool may_be_of_recovery(const struct event *ev)
{
	return ev->kind == EVENT_ATTEMPT_LOST || (ev->kind == EVENT_STAGE_FAILED && ev->unsure);
}

static void queue_as_lost(struct order *o)
{
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		o->stages[i].is_lost |= o->stages[i].undo && o->stages[i].status == STAGE_QUEUED;
}

/* --- one function per kind of event --- */

/* The order turns round: nothing new starts; `awaited` stages have an attempt out and are waited for. */
static void turn_round(struct order *o, uint64_t awaited)
{
	o->phase = ORDER_COMPENSATING;
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		struct stage_state *s = &o->stages[i];

		if (!is_active(s) || (awaited & (uint64_t)1 << i))
			continue;
		if (s->status == STAGE_WAITING)
			s->unsure = true;
		move(s, STAGE_IDLE);
	}
}

static void on_done(struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	(void)o;
	move(s, STAGE_DONE);
	s->unsure = false;
	s->done_seq = ev->seq;
	replace(&s->error, &(char *){NULL});
	replace(&s->result, &k->result);
}

static void on_skipped(
	struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	(void)o, (void)ev, (void)k;
	move(s, STAGE_SKIPPED);
}

static void on_retrying(
	struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	(void)o;
	move(s, STAGE_RETRYING);
	s->unsure = true;
	s->due_us = ev->due_us;
	s->since_us = ev->time_us;
	s->attempt++;
	s->n_used++;
	replace(&s->error, &k->message);
}

static void on_lost(struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	s->unsure = true;
	s->attempt++;
	s->n_used++;
	replace(&s->error, &k->message);
	move(s, o->phase == ORDER_COMPENSATING && !s->undo ? STAGE_IDLE : STAGE_QUEUED);
	s->is_lost = s->status == STAGE_QUEUED;
	s->suspect = ev->suspect && s->is_lost;
}

static void on_failed(
	struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	move(s, STAGE_FAILED);
	s->unsure = ev->unsure;
	if (o->phase == ORDER_RUNNING) {
		replace(&o->error, &k->reason);
		turn_round(o, ev->awaited);
	}
	replace(&s->error, &k->message);
}

static void on_held(struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	(void)o, (void)ev;
	move(s, STAGE_HELD);
	s->unsure = true;
	s->n_used++;
	replace(&s->error, &k->message);
}

static void on_released(
	struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	if (k->body)
		replace(&o->body, &k->body);
	replace(&s->error, &(char *){NULL});
	if (str_is(ev->action, "retry")) {
		queue_stage(s, s->undo);
	} else if (str_is(ev->action, "skip")) {
		move(s, s->undo ? STAGE_UNDONE : STAGE_SKIPPED);
		s->unsure = false;
	} else {
		replace(&o->error, &k->reason);
		turn_round(o, ev->awaited);
	}
}

static void on_waiting(
	struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	(void)o, (void)k;
	move(s, STAGE_WAITING);
	s->due_us = ev->due_us;
	s->since_us = ev->time_us;
}

static void on_signalled(
	struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	(void)o;
	move(s, STAGE_QUEUED);
	s->attempt++;
	s->unsure |= ev->unsure;
	s->signal_undo = s->undo;
	replace(&s->signal, &k->result);
	replace(&s->signal_key, &k->key);
}

static void on_undone(
	struct order *o, struct stage_state *s, const struct event *ev, struct kept *k)
{
	(void)o, (void)ev, (void)k;
	move(s, STAGE_UNDONE);
	s->unsure = false;
	replace(&s->error, &(char *){NULL});
}

enum { RUN = 1, UNDO = 2 };

#define OUT (BIT(STAGE_QUEUED) | BIT(STAGE_RETRYING)) /* an attempt may be out */

/* For events about a stage: which statuses and directions they fit. */
static const struct stage_rule {
	unsigned from;
	unsigned directions;
	void (*on_event)(struct order *, struct stage_state *, const struct event *, struct kept *);
} stage_rules[EVENT_KINDS] = {
	[EVENT_STAGE_DONE] = {OUT, RUN, on_done},
	[EVENT_STAGE_SKIPPED] = {BIT(STAGE_IDLE), RUN, on_skipped},
	[EVENT_STAGE_RETRYING] = {OUT | BIT(STAGE_WAITING), RUN | UNDO, on_retrying},
	[EVENT_ATTEMPT_LOST] = {OUT, RUN | UNDO, on_lost},
	[EVENT_STAGE_FAILED] = {OUT | BIT(STAGE_WAITING), RUN, on_failed},
	[EVENT_STAGE_HELD] = {OUT | BIT(STAGE_WAITING), RUN | UNDO, on_held},
	[EVENT_STAGE_RELEASED] = {BIT(STAGE_HELD), RUN | UNDO, on_released},
	[EVENT_STAGE_WAITING] = {OUT, RUN | UNDO, on_waiting},
	[EVENT_STAGE_SIGNALLED] = {BIT(STAGE_WAITING), RUN | UNDO, on_signalled},
	[EVENT_STAGE_UNDONE] = {OUT, UNDO, on_undone},
};

/* Remains do not tell what conditions looked at: the stage stood as the event says. */
static void stand_as_told(
	struct stage_state *s, const struct event *ev, const struct stage_rule *rule)
{
	s->undo = ev->undo;
	if (rule->from & BIT(s->status))
		return;
	if (!(rule->from & BIT(STAGE_QUEUED))) {
		s->status = (uint8_t)__builtin_ctz(rule->from);
		return;
	}
	s->status = STAGE_QUEUED;
	s->attempt += s->attempt == 0;
}

static int apply_stage(struct order *o, const struct event *ev, struct kept *k)
{
	const struct stage_rule *rule = &stage_rules[ev->kind];
	int i = pipeline_find(o->pipeline, ev->stage);
	struct stage_state *s;

	if (i < 0)
		return -EPROTO;
	s = &o->stages[i];
	if (ev->removed.p)
		stand_as_told(s, ev, rule);
	if (!(rule->from & BIT(s->status)) || !(rule->directions & (s->undo ? UNDO : RUN)))
		return -EPROTO;
	rule->on_event(o, s, ev, k);
	return 0;
}

static void apply_created(struct order *o, const struct event *ev, struct kept *k)
{
	o->id = ev->order_id;
	o->seq = ev->seq;
	o->created_us = ev->time_us;
	apply_created_remains(o, ev);
	replace(&o->body, &k->body);
}

static int apply_order(struct order *o, const struct event *ev)
{
	static const enum order_phase ends[EVENT_KINDS] = {
		[EVENT_ORDER_COMPLETED] = ORDER_COMPLETED,
		[EVENT_ORDER_FAILED] = ORDER_FAILED,
		[EVENT_ORDER_CANCELLED] = ORDER_CANCELLED,
	};

	if (ev->kind == EVENT_CANCEL_REQUESTED) {
		o->is_cancelling = true;
		turn_round(o, ev->awaited);
		return 0;
	}
	if (!ends[ev->kind])
		return -EPROTO;
	o->phase = ends[ev->kind];
	o->completed_us = ev->time_us;
	return 0;
}

int apply(struct order *o, const struct event *ev)
{
	_cleanup_(kept_fini) struct kept k = {0};
	_cleanup_(sight_fini) struct sight sight = {0};
	bool is_creation = ev->kind == EVENT_ORDER_CREATED;
	int r;

	if (event_is_removal(ev->kind))
		return apply_removal(o, ev);
	if (ev->kind <= 0 || ev->kind >= EVENT_KINDS || is_creation != (o->seq == 0) ||
		(is_creation ? !ev->body.p : o->seq != ev->order_seq) || order_is_terminal(o))
		return -EPROTO;
	r = keep(ev, &k);
	if (r == 0)
		r = sight_after(o, ev, &sight);
	if (r < 0)
		return r;
	if (is_creation)
		apply_created(o, ev, &k);
	else
		r = stage_rules[ev->kind].on_event ? apply_stage(o, ev, &k) : apply_order(o, ev);
	if (r < 0)
		return r;
	o->last_seq = ev->seq;
	o->updated_us = ev->time_us;
	apply_schedule(o, &sight);
	if (may_be_of_recovery(ev))
		queue_as_lost(o);
	return 0;
}
