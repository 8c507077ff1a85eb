/* What people do to orders and stages after they were placed: cancel, release from hold, signal, pause,
 * resume, adjust. A refusal is the command's answer; a negative return is the whole batch's trouble. */
#include "base/mem.h"
#include "engine/internal.h"

static int refuse(struct command *c, int r, const char *why)
{
	c->result = err_set(&c->err, r, "%s", why);
	return 0;
}

int people_find_order(struct engine *en, struct command *c, struct live_order **ret, struct err *e)
{
	int64_t seq;
	int r = journal_find_order(en->journal, &c->id, &seq);

	*ret = NULL;
	if (r == -ENOENT)
		return refuse(c, -ENOENT, "there is no such order");
	if (r == 0)
		r = quarantine_get(en, seq, ret, e);
	if (r != -ENOENT)
		return r;
	c->result = err_set(&c->err, -EPROTO, "the order is set aside until the next start: %s",
		quarantine_reason(&en->quarantine, seq));
	return 0;
}

static const char *why_not_open(const struct order *o)
{
	static const char *const words[] = {
		[ORDER_COMPENSATING] = "the order is being undone already",
		[ORDER_COMPLETED] = "the order is completed",
		[ORDER_FAILED] = "the order has failed",
		[ORDER_CANCELLED] = "the order is cancelled",
	};

	return o->phase == ORDER_RUNNING ? "the order does not stand so" : words[o->phase];
}

int people_refuse_order(
	struct engine *en, struct live_order *lo, struct command *c, int r, const char *why)
{
	refuse(c, r, why ? why : why_not_open(lo->order));
	if (order_is_terminal(lo->order) && !lo->is_dirty)
		live_remove(&en->live, lo);
	return 0;
}

int people_cancel(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	struct decide_env env = engine_env(en);
	struct event_list list;
	struct live_order *lo;
	int r = people_find_order(en, c, &lo, e);

	if (r < 0 || !lo)
		return r;
	event_list_init(&list, &b->feed->arena);
	r = decide_cancel(&env, lo->order, str_of(c->reason), &list);
	if (r == -EINVAL || r == -EALREADY)
		return people_refuse_order(en, lo, c, -EALREADY, NULL);
	return r < 0 ? r : order_advance(en, b, lo, &list, e);
}

/* --- dead letters --- */

static int release_stage(struct engine *en, struct batch *b, struct live_order *lo, size_t stage,
	struct command *c, struct err *e)
{
	struct decide_env env = engine_env(en);
	struct event_list list;
	int r;

	event_list_init(&list, &b->feed->arena);
	r = decide_release(&env, lo->order, stage, str_of(c->action), str_of(c->body),
		str_of(c->reason), &list);
	if (r == -EINVAL)
		return refuse(c, -EALREADY,
			"it is held while being undone: retry or skip the undo instead of "
			"discarding");
	return r < 0 ? r : order_advance(en, b, lo, &list, e);
}

/* Whether the stage is held, and is one of those that are to be released. */
static bool is_asked_for(const struct order *o, size_t stage, const struct command *c)
{
	const struct stage_state *s = &o->stages[stage];

	if (s->status != STAGE_HELD)
		return false;
	if (c->stage && strcmp(o->pipeline->stages[stage].name, c->stage) != 0)
		return false;
	return !c->held_error || (s->error && strcmp(s->error, c->held_error) == 0);
}

int people_release(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	size_t n_released = 0;
	struct live_order *lo;
	int r = people_find_order(en, c, &lo, e);

	if (r < 0 || !lo)
		return r;
	if (c->stage && pipeline_find(lo->order->pipeline, str_of(c->stage)) < 0)
		return people_refuse_order(en, lo, c, -ENOENT, "the order has no such stage");
	for (size_t i = 0; r == 0 && i < lo->order->pipeline->n_stages; i++) {
		if (!is_asked_for(lo->order, i, c))
			continue;
		r = release_stage(en, b, lo, i, c, e);
		n_released++;
	}
	if (r == 0 && !n_released)
		return people_refuse_order(en, lo, c, -EALREADY,
			order_is_terminal(lo->order) ? NULL
						     : "nothing of the order is on hold there");
	return r;
}

/* --- signals --- */

static bool is_answer(const struct event *ev, const char *stage, const char *key)
{
	return ev->kind == EVENT_STAGE_SIGNALLED && str_is(ev->stage, stage) &&
	       str_is(ev->key, key);
}

/* A stage may wait more than once: 1 and the answer that came with that key, an earlier one, too; 0: none did. */
static int find_answer(struct engine *en, const struct order *o, const struct stage_state *s,
	const struct command *c, struct event_list *events, struct str *ret, struct err *e)
{
	_cleanup_(order_freep) struct order *committed = NULL;
	int r;

	if (!c->key || !s->signal)
		return 0;
	if (s->signal_key && strcmp(c->key, s->signal_key) == 0) {
		*ret = str_of(s->signal);
		return 1;
	}
	r = reader_order(en->reader, o->seq, INT64_MAX, &committed, events, e);
	if (r < 0)
		return r;
	for (const struct event *ev = events->first; ev; ev = ev->next)
		if (is_answer(ev, c->stage, c->key)) {
			*ret = ev->metadata;
			return 1;
		}
	return 0;
}

int people_signal(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	struct decide_env env = engine_env(en);
	struct event_list list, events;
	struct live_order *lo;
	struct str answer;
	int r = people_find_order(en, c, &lo, e), i;

	if (r < 0 || !lo)
		return r;
	i = pipeline_find(lo->order->pipeline, str_of(c->stage));
	if (i < 0)
		return people_refuse_order(en, lo, c, -ENOENT, "the order has no such stage");
	event_list_init(&events, &b->feed->arena);
	r = find_answer(en, lo->order, &lo->order->stages[i], c, &events, &answer, e);
	if (r == -EPROTO) /* the trouble of this order alone */
		return c->result = r, c->err = *e, 0;
	if (r < 0)
		return r;
	if (r)
		return str_is(answer, c->body)
			       ? 0
			       : people_refuse_order(en, lo, c, -EEXIST,
					 "this Idempotency-Key was used for another answer");
	event_list_init(&list, &b->feed->arena);
	r = decide_signal(&env, lo->order, (size_t)i, str_of(c->body), str_of(c->key), &list);
	if (r == -EALREADY)
		return people_refuse_order(en, lo, c, -EALREADY,
			order_is_terminal(lo->order) ? NULL
						     : "the stage does not wait for an answer");
	return r < 0 ? r : order_advance(en, b, lo, &list, e);
}

/* --- stages and state --- */

static int append_alone(struct engine *en, struct batch *b, enum event_kind kind,
	const struct command *c, struct effect *effect, const char *message, struct err *e)
{
	struct event_list list;
	struct event *ev;

	event_list_init(&list, &b->feed->arena);
	ev = event_list_add(&list, kind);
	if (!ev || !(ev->effects = arena_alloc(&b->feed->arena, sizeof *ev->effects)))
		return err_set(e, -ENOMEM, "no memory for an event");
	ev->time_us = clock_wall_us();
	ev->effects[0] = *effect;
	ev->n_effects = 1;
	if (!arena_copy(&b->feed->arena, str_of(c->stage), &ev->stage) ||
		!arena_copy(&b->feed->arena, str_of(c->reason), &ev->reason) ||
		!arena_copy(&b->feed->arena, str_of(message), &ev->message) ||
		!arena_copy(&b->feed->arena, effect->key, &ev->effects[0].key) ||
		!arena_copy(&b->feed->arena, effect->json, &ev->effects[0].json))
		return err_set(e, -ENOMEM, "no memory for an event");
	return batch_append(en, b, &list, e);
}

/* A stage that the current pipeline does not have any more may still have orders. */
static bool has_stage(const struct engine *en, struct str name)
{
	const struct generation *g = en->generations;

	while (g && pipeline_find(g->pipeline, name) < 0)
		g = g->next;
	return g;
}

/* Paused stages are kept in the state, so that they are paused after a restart too. */
static int set_paused(
	struct engine *en, struct batch *b, struct command *c, bool is_paused, struct err *e)
{
	_cleanup_(buf_fini) struct buf key = {0}, json = {0};
	struct effect effect = {.kind = is_paused ? EFFECT_PUT : EFFECT_DELETE};
	struct json_writer w = {&json, false};
	int r;

	if (!has_stage(en, str_of(c->stage)))
		return refuse(c, -ENOENT, "the pipeline has no such stage");
	buf_fmt(&key, STATE_PAUSED "%s", c->stage);
	json_text(&w, c->reason);
	if (key.failed || json.failed)
		return err_set(e, -ENOMEM, "no memory");
	effect.key = buf_view(&key);
	effect.json = is_paused ? buf_view(&json) : (struct str){0};
	r = journal_has_state(en->journal, effect.key);
	if (r < 0)
		return err_set(e, r, "cannot read whether a stage is paused: %s", strerror(-r));
	if (r == is_paused)
		return refuse(c, -EALREADY,
			is_paused ? "the stage is paused already" : "the stage is not paused");
	r = append_alone(en, b, is_paused ? EVENT_STAGE_PAUSED : EVENT_STAGE_RESUMED, c, &effect,
		is_paused ? "Paused by an operator" : "Resumed by an operator", e);
	if (r == 0)
		b->has_pauses = true;
	return r;
}

int people_pause(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	return set_paused(en, b, c, true, e);
}

int people_resume(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	return set_paused(en, b, c, false, e);
}

int people_adjust(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	int64_t number = 0;
	int r;

	if (c->effect.kind == EFFECT_ADD) {
		r = journal_state_number(en->journal, c->effect.key, &number);
		if (r == -EINVAL)
			return refuse(c, -EINVAL,
				"the value there is not a whole number that can be added to");
		if (r < 0)
			return r;
		if (__builtin_add_overflow(number, c->effect.delta, &number) ||
			number < c->effect.floor)
			return refuse(c, -ERANGE, "the value would go below its floor");
	}
	return append_alone(
		en, b, EVENT_STATE_ADJUSTED, c, &c->effect, "Adjusted by an operator", e);
}
