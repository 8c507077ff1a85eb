/* What is out with workers: the tasks that go, what comes back, and what has been out too long. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

enum { NO_MEMORY_MS = 100 };

struct stage_runtime *engine_runtime(struct engine *en, const struct order *o, size_t stage)
{
	struct generation *g = engine_generation(en, o->pipeline);

	return g ? &g->stages[stage] : NULL;
}

static int is_paused(struct engine *en, const char *stage)
{
	_cleanup_(buf_fini) struct buf key = {0};

	buf_fmt(&key, STATE_PAUSED "%s", stage);
	return key.failed ? -ENOMEM : journal_has_state(en->journal, buf_view(&key));
}

int engine_read_pauses(struct engine *en)
{
	en->must_read_pauses = true;
	for (struct generation *g = en->generations; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++) {
			int r = is_paused(en, g->pipeline->stages[i].name);

			if (r < 0)
				return r;
			generation_pause(g, i, r > 0);
		}
	en->must_read_pauses = false;
	return 0;
}

struct generation *engine_generation(struct engine *en, const struct pipeline *p)
{
	struct generation *g = en->generations;

	while (g && g->pipeline != p)
		g = g->next;
	return g;
}

struct task *out_make_task(struct engine *en, const struct order *o, size_t stage)
{
	const struct stage_state *s = &o->stages[stage];
	struct buf *order = &en->order_text, *results = &en->results_text;
	/* What was answered to the run is not for the undo. */
	const char *signal = s->signal_undo == s->undo ? s->signal : NULL;
	struct task *t;

	buf_clear(order);
	buf_clear(results);
	order_task_json(o, order, results);
	t = order->failed || results->failed
		    ? NULL
		    : task_new(buf_view(order), buf_view(results), str_of(signal));
	if (!t)
		return NULL;
	t->pipeline = o->pipeline;
	t->stage = stage;
	t->order_id = o->id;
	t->order_seq = o->seq;
	t->attempt = s->attempt;
	t->undo = s->undo;
	t->moves = o->n_moves;
	return t;
}

static bool is_current(const struct order *o, size_t stage, uint32_t attempt, bool undo)
{
	return o->stages[stage].attempt == attempt && o->stages[stage].undo == undo;
}

bool out_has(struct engine *en, const struct line_entry *entry)
{
	struct live_order *lo = live_find(&en->live, entry->order_seq);

	return lo && lo->order->n_moves == entry->moves &&
	       (lo->order->out & (uint64_t)1 << entry->stage) &&
	       is_current(lo->order, entry->stage, entry->attempt, entry->undo);
}

static bool is_trouble(enum verdict v)
{
	return v == VERDICT_RETRY || v == VERDICT_TIMEOUT || v == VERDICT_CRASH;
}

void out_back(struct engine *en, struct order *o, struct task *t)
{
	struct generation *g = engine_generation(en, o->pipeline);
	uint64_t bit = (uint64_t)1 << t->stage;

	if (!(o->out & bit) || !is_current(o, t->stage, t->attempt, t->undo))
		return;
	o->out &= ~bit;
	t->was_out = true;
	t->probe = o->stages[t->stage].probe;
	if (g)
		atomic_fetch_sub_explicit(&g->stages[t->stage].n_out, 1, memory_order_relaxed);
}

void out_count(struct engine *en, const struct task *t)
{
	struct generation *g = engine_generation(en, t->pipeline);
	struct stage_runtime *rt = g ? &g->stages[t->stage] : NULL;

	if (rt && t->outcome)
		tally_outcome(rt->tally, (enum event_kind)t->outcome);
	if (!rt || !t->was_out)
		return;
	tally_verdict(rt->tally, t);
	if (!t->is_only_awaited) /* no gate let it out in this life */
		gate_back(&rt->gate, t->probe, is_trouble(t->verdict), clock_mono_ms());
}

void out_forget_begun(struct engine *en, struct order *o)
{
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		struct stage_state *s = &o->stages[i];

		if (!s->begun || stage_has_begun(s))
			continue;
		attempts_forget(&en->attempts, o->seq, o->n_moves, i, s->begun, false);
		s->begun = 0;
	}
}

void out_keep_mark(struct engine *en, struct task *t)
{
	if (quarantine_reason(&en->quarantine, t->order_seq))
		t->mark = NULL;
}

void out_forget(struct engine *en, struct order *o)
{
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		struct stage_runtime *rt;

		if (!(o->out & (uint64_t)1 << i) || !(rt = engine_runtime(en, o, i)))
			continue;
		atomic_fetch_sub_explicit(&rt->n_out, 1, memory_order_relaxed);
		gate_back(&rt->gate, o->stages[i].probe, false, clock_mono_ms());
	}
	o->out = 0;
}

void out_again(struct engine *en, struct task *t)
{
	struct live_order *lo = live_find(&en->live, t->order_seq);
	struct generation *g = lo ? engine_generation(en, lo->order->pipeline) : NULL;

	if (!g || !t->was_out)
		return;
	t->was_out = false;
	lo->order->out |= (uint64_t)1 << t->stage;
	atomic_fetch_add_explicit(&g->stages[t->stage].n_out, 1, memory_order_relaxed);
}

void out_sweep(struct engine *en, struct stage_runtime *rt)
{
	size_t kept = 0;

	while (rt->out.n && !out_has(en, line_at(&rt->out, 0)))
		line_drop(&rt->out, 1);
	if (rt->out.n < 64 || (long long)rt->out.n < 2 * atomic_load(&rt->n_out))
		return;
	for (size_t i = 0; i < rt->out.n; i++)
		if (out_has(en, line_at(&rt->out, i)))
			*line_at(&rt->out, kept++) = *line_at(&rt->out, i);
	rt->out.n = kept;
}

static struct task *timeout_of(struct engine *en, const struct order *o, size_t stage)
{
	const struct stage_spec *spec = &o->pipeline->stages[stage];
	struct task *t = out_make_task(en, o, stage);
	char text[160];

	if (!t)
		return NULL;
	t->verdict = VERDICT_TIMEOUT;
	t->duration_us = spec->timeout_ms * 1000;
	snprintf(text, sizeof text, "%s gave no answer within %lld ms", spec->name,
		(long long)spec->timeout_ms);
	t->message = task_keep(t, str_of(text));
	return t;
}

/* The first entry of a stage's out line is due: its verdict, or NULL when there is none to be had of it. */
static struct task *take_overdue(struct engine *en, struct stage_runtime *rt, int64_t now_ms)
{
	const struct line_entry *entry = line_at(&rt->out, 0);
	struct task *t = NULL;
	int64_t again_ms = 0;

	if (out_has(en, entry)) {
		const struct order *o = live_find(&en->live, entry->order_seq)->order;

		again_ms = bus_ask(en->bus,
			&(struct task){.pipeline = o->pipeline,
				.stage = entry->stage,
				.order_id = o->id,
				.order_seq = o->seq,
				.attempt = entry->attempt,
				.undo = entry->undo},
			now_ms);
		if (!again_ms && !(t = timeout_of(en, o, entry->stage)))
			again_ms = now_ms + NO_MEMORY_MS;
	}
	if (again_ms)
		line_postpone(&rt->out, again_ms);
	else
		line_drop(&rt->out, 1);
	return t;
}

/* Adds the verdicts of one stage to the list that ends at `last`; returns its new end. */
static struct queue_node **stage_timeouts(
	struct engine *en, struct stage_runtime *rt, int64_t now_ms, struct queue_node **last)
{
	while (rt->out.n && line_at(&rt->out, 0)->at_ms <= now_ms) {
		struct task *t = take_overdue(en, rt, now_ms);

		if (!t)
			continue;
		*last = &t->node;
		last = &t->node.next;
	}
	return last;
}

struct task *out_timeouts(struct engine *en, int64_t now_ms)
{
	struct queue_node *first = NULL, **last = &first;

	if (atomic_load(&en->is_stopping)) /* the pools are going */
		return NULL;
	for (struct generation *g = en->generations; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++)
			last = stage_timeouts(en, &g->stages[i], now_ms, last);
	return (struct task *)first;
}

int64_t out_next_deadline(struct engine *en)
{
	int64_t next = INT64_MAX;

	if (atomic_load(&en->is_stopping))
		return next;
	for (struct generation *g = en->generations; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++)
			if (g->stages[i].out.n && line_at(&g->stages[i].out, 0)->at_ms < next)
				next = line_at(&g->stages[i].out, 0)->at_ms;
	return next;
}
