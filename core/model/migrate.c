/* Migration: whether it is possible, the event of it, and its fold. */
#include "model/migrate.h"

#include "base/mem.h"
#include "model/apply.h"
#include "model/ready.h"

/* Queued for its first attempt, of which nothing came. */
static bool is_fresh(const struct order *o, const struct stage_state *s)
{
	return o->phase == ORDER_RUNNING && s->status == STAGE_QUEUED && !s->undo && !s->unsure &&
	       !s->n_used && !s->signal;
}

static bool has_begun(const struct order *o, const struct stage_state *s)
{
	return (s->status != STAGE_IDLE && !is_fresh(o, s)) || s->unsure;
}

/* Nothing of it is left to be undone, and nothing will be. */
static bool is_settled(const struct stage_state *s)
{
	return s->status == STAGE_SKIPPED || s->status == STAGE_UNDONE ||
	       (s->status == STAGE_FAILED && !s->unsure);
}

static int check_stage(
	const struct order *o, size_t stage, const struct pipeline *to, struct err *e)
{
	const struct stage_spec *spec = &o->pipeline->stages[stage];
	const struct stage_state *s = &o->stages[stage];
	int i;

	if (!has_begun(o, s))
		return 0;
	i = pipeline_find(to, str_of(spec->name));
	if (i < 0)
		return err_set(e, -ENOENT, "stage '%s' is %s, and generation %s has no such stage",
			spec->name, order_stage_word(o, stage), to->digest);
	if (spec->undo_event && !to->stages[i].undo_event && !is_settled(s))
		return err_set(e, -ENOENT, "stage '%s' is %s, and generation %s could not undo it",
			spec->name, order_stage_word(o, stage), to->digest);
	return 0;
}

int migrate_check(const struct order *o, const struct pipeline *to, struct err *e)
{
	int r = 0;

	if (order_is_terminal(o))
		return err_set(e, -EINVAL, "the order is %s", order_status(o));
	if (o->pipeline == to)
		return err_set(e, -EALREADY, "the order is on this generation already");
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		/* `begun` alone: the mark of what has just ended is taken back with the commit, by the stage's number. */
		if (order_unknown(o) & (uint64_t)1 << i || o->stages[i].begun)
			return err_set(e, -EAGAIN, "stage '%s' is running: try again later",
				o->pipeline->stages[i].name);
	for (size_t i = 0; r == 0 && i < o->pipeline->n_stages; i++)
		r = check_stage(o, i, to, e);
	return r;
}

static int put_generations(
	const struct order *o, const struct pipeline *to, struct arena *arena, struct str *ret)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	json_open(&w, '{');
	json_key(&w, "from");
	json_text(&w, o->pipeline->digest);
	json_key(&w, "to");
	json_text(&w, to->digest);
	json_close(&w, '}');
	return !text.failed && arena_copy(arena, buf_view(&text), ret) ? 0 : -ENOMEM;
}

int decide_migrate(const struct decide_env *env, const struct order *o, const struct pipeline *to,
	struct str reason, struct event_list *out, struct err *e)
{
	struct event *ev;
	int r = migrate_check(o, to, e);

	if (r < 0)
		return r;
	ev = event_list_add(out, EVENT_ORDER_MIGRATED);
	if (!ev)
		return -ENOMEM;
	ev->time_us = env->now_us;
	ev->order_seq = o->seq;
	ev->order_id = o->id;
	ev->generation = str_of(to->digest);
	ev->message = STR("Goes on with another generation of the pipeline");
	if (!arena_copy(out->arena, reason, &ev->reason))
		return -ENOMEM;
	return put_generations(o, to, out->arena, &ev->metadata);
}

/* --- the fold --- */

static void forget_texts(struct stage_state *s)
{
	free(s->error);
	free(s->result);
	free(s->signal);
	free(s->signal_key);
}

/* `n` has what `o` has, texts included: one of the two is to be forgotten. */
static void carry_over(struct order *n, const struct order *o)
{
	const struct pipeline *to = n->pipeline;

	*n = *o; /* without the stages */
	n->pipeline = to;
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		const struct stage_state *s = &o->stages[i];
		int k = pipeline_find(to, str_of(o->pipeline->stages[i].name));

		if (k < 0)
			continue;
		n->stages[k] = *s;
		if (!is_fresh(o, s))
			continue;
		n->stages[k].status = STAGE_IDLE;
		n->stages[k].attempt--; /* it is queued again as the same attempt */
	}
}

int migrate(struct order **o, const struct event *ev, const struct pipeline *to)
{
	_cleanup_(sight_fini) struct sight sight = {0};
	struct order *old = *o, *n;
	int r;

	/* Of remains it is known only that it was so. */
	if (ev->order_seq != old->seq || (!ev->removed.p && migrate_check(old, to, NULL) < 0))
		return -EPROTO;
	n = order_new(to);
	if (!n)
		return -ENOMEM;
	carry_over(n, old);
	r = sight_after(n, ev, &sight);
	if (r < 0) {
		free(n); /* its texts are the old one's */
		return r;
	}
	for (size_t i = 0; i < old->pipeline->n_stages; i++)
		if (pipeline_find(to, str_of(old->pipeline->stages[i].name)) < 0)
			forget_texts(&old->stages[i]);
	free(old); /* the other texts are the new one's */
	n->last_seq = ev->seq;
	n->updated_us = ev->time_us;
	n->n_moves++;
	apply_schedule(n, &sight);
	*o = n;
	return 0;
}

int fold(struct order **o, const struct event *ev, struct pipeline_set *set)
{
	const struct pipeline *to;

	if (ev->kind != EVENT_ORDER_MIGRATED)
		return apply(*o, ev);
	to = pipeline_set_find(set, ev->generation);
	return to ? migrate(o, ev, to) : -EPROTO;
}
