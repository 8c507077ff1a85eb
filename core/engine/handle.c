/* One command, verdict or timer: finds the order and has it decided. */
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"
#include "model/apply.h"

/* --- commands --- */

/* The order placed earlier with the same key: answers as then, or refuses another body. */
static int repeat_order(struct engine *en, struct command *c, int64_t seq, struct err *e)
{
	_cleanup_(order_freep) struct order *committed = NULL;
	struct live_order *lo = live_find(&en->live, seq);
	const struct order *o = lo ? lo->order : NULL;

	/* One that was committed may have been edited since. */
	if (!lo || !lo->is_dirty || lo->committed_class != CLASS_NONE) {
		int r = reader_order(en->reader, seq, seq, &committed, NULL, e);

		if (r == -EPROTO)
			return c->result = r, c->err = *e, 0;
		if (r < 0)
			return r;
		o = committed;
	}
	c->id = o->id;
	c->created_us = o->created_us;
	c->result = strcmp(o->body, c->body) == 0
			    ? 0
			    : err_set(&c->err, -EEXIST,
				      "this Idempotency-Key was used for another order");
	return 0;
}

static int place_order(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	const struct pipeline *p = en->current->pipeline;
	struct decide_env env = engine_env(en);
	struct event_list list;
	struct live_order *lo;
	struct order *o;
	int r;

	event_list_init(&list, &b->feed->arena);
	id_create(&c->id, env.now_us);
	c->created_us = env.now_us;
	r = decide_create(&env, &c->id, p, str_of(c->body), str_of(c->key), &list);
	o = r == 0 ? order_new(p) : NULL;
	if (!o)
		return err_set(e, -ENOMEM, "no memory for an order");
	list.first->facts = c->facts;
	r = batch_append(en, b, &list, e);
	list.first->facts = NULL; /* the event lives longer than the command */
	CRASH_POINT("place");
	if (r == 0 && apply(o, list.first) < 0)
		r = err_set(e, -ENOMEM, "no memory for an order");
	if (r == 0 && live_add(&en->live, o, &lo) < 0)
		r = err_set(e, -ENOMEM, "no memory for an order");
	if (r < 0) {
		order_free(o);
		return r;
	}
	event_list_init(&list, &b->feed->arena);
	return order_advance(en, b, lo, &list, e);
}

static int on_place(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	int64_t seq;
	int r = c->key ? journal_find_key(en->journal, str_of(c->key), &seq) : -ENOENT;

	if (r == 0)
		return repeat_order(en, c, seq, e);
	if (r != -ENOENT)
		return err_set(e, r, "cannot look up an Idempotency-Key: %s", strerror(-r));
	return place_order(en, b, c, e);
}

static int (*const on_command[COMMAND_KINDS])(
	struct engine *, struct batch *, struct command *, struct err *) = {
	[COMMAND_PLACE] = on_place,
	[COMMAND_CANCEL] = people_cancel,
	[COMMAND_RELEASE] = people_release,
	[COMMAND_SIGNAL] = people_signal,
	[COMMAND_PAUSE] = people_pause,
	[COMMAND_RESUME] = people_resume,
	[COMMAND_ADJUST] = people_adjust,
	[COMMAND_MIGRATE] = people_migrate,
	[COMMAND_ERASE] = people_erase,
	[COMMAND_RELOAD] = reload_adopt,
};

int handle_command(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	return on_command[c->kind](en, b, c, e);
}

/* --- verdicts --- */

/* A journal that was restored has other orders by the numbers of those that workers elsewhere had then. */
static bool is_about(const struct task *t, const struct order *o)
{
	return t->pipeline == o->pipeline && id_eq(&t->order_id, &o->id);
}

int handle_verdict(struct engine *en, struct batch *b, struct task *t, struct err *e)
{
	struct decide_env env = engine_env(en);
	struct event_list list;
	struct live_order *lo;
	int r = quarantine_get(en, t->order_seq, &lo, e);

	t->outcome = 0;
	if (r == -ENOENT) { /* of an order that this journal does not have, or that is set aside */
		out_keep_mark(en, t);
		return 0;
	}
	if (r < 0)
		return r;
	event_list_init(&list, &b->feed->arena);
	r = -EALREADY;
	if (is_about(t, lo->order)) {
		out_back(en, lo->order, t);
		r = decide_verdict(&env, lo->order, t, &list);
	}
	if (r == -EALREADY) {
		log_debug("stage=%s attempt=%u a late verdict was dropped",
			t->pipeline->stages[t->stage].name, t->attempt);
		return 0;
	}
	if (r < 0)
		return err_set(e, r == -EINVAL ? -EPROTO : r, "cannot decide on a verdict: %s",
			strerror(-r));
	t->outcome = (uint8_t)list.first->kind;
	CRASH_POINT("verdict");
	if (t->undo)
		CRASH_POINT("undo-verdict");
	return order_advance(en, b, lo, &list, e);
}

/* --- timers --- */

int handle_timer(struct engine *en, struct batch *b, const struct timer *t, struct err *e)
{
	struct decide_env env = engine_env(en);
	struct event_list list;
	struct live_order *lo;
	int r;

	CRASH_POINT("timer");
	if (t->kind == TIMER_RETRY)
		return dispatch_due(en, t);
	r = quarantine_get(en, t->order_seq, &lo, e);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (lo->order->n_moves != t->moves || lo->order->stages[t->stage].attempt != t->attempt ||
		lo->order->stages[t->stage].undo != t->undo)
		return 0;
	event_list_init(&list, &b->feed->arena);
	r = decide_expired(&env, lo->order, t->stage, &list);
	if (r < 0)
		return r == -EALREADY ? 0 : r;
	return order_advance(en, b, lo, &list, e);
}
