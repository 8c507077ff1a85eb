/* Dispatch: which attempts wait, which are out with a worker, and which have been out too long. */
#include "base/log.h"
#include "engine/internal.h"

enum { NO_MEMORY_MS = 100 };

static struct stage_runtime *runtime_of(struct engine *en, const struct order *o, size_t stage)
{
	struct generation *g = engine_generation(en, o->pipeline);

	return g ? &g->stages[stage] : NULL;
}

struct generation *engine_generation(struct engine *en, const struct pipeline *p)
{
	struct generation *g = en->generations;
	struct err e = {0};

	while (g && g->pipeline != p)
		g = g->next;
	if (g)
		return g;
	if (generation_create(p, &en->options.folders, en->bus, false, &g, &e) < 0) {
		log_error("generation=%s %s", p->digest, err_text(&e));
		return NULL;
	}
	g->next = en->generations;
	en->generations = g;
	return g;
}

/* --- lining up --- */

static int line_up_waiting(struct engine *en, struct live_order *lo, size_t i)
{
	const struct stage_state *s = &lo->order->stages[i];
	struct stage_runtime *rt = runtime_of(en, lo->order, i);
	int64_t now_ms = clock_mono_ms();

	if (!rt)
		return -ENOMEM;
	if (!rt->waiting.n)
		atomic_store_explicit(&rt->oldest_since_ms, now_ms, memory_order_relaxed);
	return line_push(&rt->waiting, (struct line_entry){.order_seq = lo->seq,
					       .at_ms = now_ms,
					       .attempt = s->attempt,
					       .undo = s->undo});
}

static int line_up_timer(struct engine *en, struct live_order *lo, size_t i, enum timer_kind kind)
{
	const struct stage_state *s = &lo->order->stages[i];
	int64_t wait_ms = (s->due_us - clock_wall_us()) / 1000;

	/* A clock that was set back while the daemon was down must not stretch a backoff. */
	if (kind == TIMER_RETRY && wait_ms > 2 * lo->order->pipeline->stages[i].retry.max_ms)
		wait_ms = 2 * lo->order->pipeline->stages[i].retry.max_ms;
	return timers_add(
		&en->timers, (struct timer){.due_ms = clock_mono_ms() + (wait_ms > 0 ? wait_ms : 0),
				     .order_seq = lo->seq,
				     .attempt = s->attempt,
				     .stage = (uint16_t)i,
				     .kind = (uint8_t)kind,
				     .undo = s->undo});
}

int dispatch_line_up(struct engine *en, struct live_order *lo)
{
	for (size_t i = 0; i < lo->order->pipeline->n_stages; i++) {
		const struct stage_state *s = &lo->order->stages[i];
		uint32_t mark = s->attempt << 1 | s->undo;
		int r = 0;

		if (lo->lined_up[i] == mark || (lo->order->out & (uint64_t)1 << i))
			continue;
		if (s->status == STAGE_QUEUED)
			r = line_up_waiting(en, lo, i);
		else if (s->status == STAGE_RETRYING)
			r = line_up_timer(en, lo, i, TIMER_RETRY);
		else if (s->status == STAGE_WAITING)
			r = line_up_timer(en, lo, i, TIMER_EXPIRED);
		else
			continue;
		if (r < 0)
			return r;
		lo->lined_up[i] = mark;
	}
	return 0;
}

int dispatch_due(struct engine *en, const struct timer *t)
{
	struct live_order *lo;
	int r = live_get(&en->live, t->order_seq, &lo, NULL);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (lo->order->stages[t->stage].status != STAGE_RETRYING ||
		lo->order->stages[t->stage].attempt != t->attempt ||
		lo->order->stages[t->stage].undo != t->undo)
		return 0;
	return line_up_waiting(en, lo, t->stage);
}

/* --- going out --- */

static bool still_stands(const struct order *o, size_t stage, const struct line_entry *entry)
{
	const struct stage_state *s = &o->stages[stage];

	return !order_is_terminal(o) &&
	       (s->status == STAGE_QUEUED || s->status == STAGE_RETRYING) &&
	       s->attempt == entry->attempt && s->undo == entry->undo &&
	       !(o->out & (uint64_t)1 << stage);
}

static struct task *make_task(const struct order *o, size_t stage)
{
	struct buf order = {0}, results = {0};
	struct task *t = task_new();

	if (!t)
		return NULL;
	t->pipeline = o->pipeline;
	t->stage = stage;
	t->order_id = o->id;
	t->order_seq = o->seq;
	t->attempt = o->stages[stage].attempt;
	t->undo = o->stages[stage].undo;
	order_task_json(o, &order, &results);
	t->order = buf_steal(&order, NULL);
	t->results = buf_steal(&results, NULL);
	if (!t->order || !t->results) {
		task_free(t);
		return NULL;
	}
	return t;
}

/* One entry goes out: 1 and a task, 0 when it does not stand any more, or a negative errno. */
static int entry_take(struct engine *en, struct stage_runtime *rt, size_t stage,
	const struct line_entry *entry, int64_t deadline_ms, struct task **ret)
{
	struct live_order *lo;
	struct task *t;
	int r = live_get(&en->live, entry->order_seq, &lo, NULL);

	if (r == -ENOENT || (r == 0 && !still_stands(lo->order, stage, entry)))
		return 0;
	if (r < 0)
		return r;
	t = make_task(lo->order, stage);
	if (!t)
		return -ENOMEM;
	r = line_push(&rt->out, (struct line_entry){.order_seq = entry->order_seq,
					.at_ms = deadline_ms,
					.attempt = entry->attempt,
					.undo = entry->undo});
	if (r < 0) {
		task_free(t);
		return r;
	}
	lo->order->out |= (uint64_t)1 << stage;
	*ret = t;
	return 1;
}

/* Answered entries leave the out line when they reach its head, or in a sweep when they are the most. */
static bool is_out(struct engine *en, size_t stage, const struct line_entry *entry)
{
	struct live_order *lo = live_find(&en->live, entry->order_seq);

	return lo && (lo->order->out & (uint64_t)1 << stage) &&
	       lo->order->stages[stage].attempt == entry->attempt &&
	       lo->order->stages[stage].undo == entry->undo;
}

static void sweep_out(struct engine *en, struct stage_runtime *rt, size_t stage)
{
	size_t kept = 0;

	while (rt->out.n && !is_out(en, stage, line_at(&rt->out, 0)))
		line_drop(&rt->out, 1);
	if (rt->out.n < 64 || (long long)rt->out.n < 2 * atomic_load(&rt->n_out))
		return;
	for (size_t i = 0; i < rt->out.n; i++)
		if (is_out(en, stage, line_at(&rt->out, i)))
			*line_at(&rt->out, kept++) = *line_at(&rt->out, i);
	rt->out.n = kept;
}

/* False when it had to leave off for want of memory or because the journal could not be read. */
static bool stage_dispatch(struct engine *en, struct generation *g, size_t stage)
{
	struct stage_runtime *rt = &g->stages[stage];
	int64_t deadline_ms = clock_mono_ms() + g->pipeline->stages[stage].timeout_ms;
	size_t room = rt->waiting.n ? bus_room(en->bus, g->pipeline, stage) : 0;
	struct queue_node *first = NULL, **last = &first;
	bool is_fine = true;
	long long n = 0;

	while (room && rt->waiting.n && is_fine) {
		struct task *t;
		int r = entry_take(en, rt, stage, line_at(&rt->waiting, 0), deadline_ms, &t);

		is_fine = r >= 0;
		if (is_fine)
			line_drop(&rt->waiting, 1);
		if (r <= 0)
			continue;
		*last = &t->node;
		last = &t->node.next;
		room--;
		n++;
	}
	if (first) {
		atomic_fetch_add_explicit(&rt->n_out, n, memory_order_relaxed);
		bus_publish(en->bus, (struct task *)first);
	}
	sweep_out(en, rt, stage);
	atomic_store_explicit(&rt->n_waiting, (long long)rt->waiting.n, memory_order_relaxed);
	atomic_store_explicit(&rt->oldest_since_ms,
		rt->waiting.n ? line_at(&rt->waiting, 0)->at_ms : 0, memory_order_relaxed);
	return is_fine;
}

bool dispatch_run(struct engine *en)
{
	bool is_fine = true;

	for (struct generation *g = en->generations; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++)
			is_fine = stage_dispatch(en, g, i) && is_fine;
	live_trim(&en->live);
	return is_fine;
}

/* --- being out too long --- */

static struct task *timeout_of(const struct order *o, size_t stage)
{
	const struct stage_spec *spec = &o->pipeline->stages[stage];
	struct task *t = make_task(o, stage);
	struct buf text = {0};

	if (!t)
		return NULL;
	t->verdict = VERDICT_TIMEOUT;
	t->duration_ms = spec->timeout_ms;
	buf_fmt(&text, "%s gave no answer within %lld ms", spec->name, (long long)spec->timeout_ms);
	t->message = buf_steal(&text, NULL);
	return t;
}

/* The first entry of a stage's out line is due: its verdict, or NULL when there is none to be had of it. */
static struct task *take_overdue(
	struct engine *en, struct stage_runtime *rt, size_t stage, int64_t now_ms)
{
	const struct line_entry *entry = line_at(&rt->out, 0);
	struct task *t = NULL;
	int64_t again_ms = 0;

	if (is_out(en, stage, entry)) {
		again_ms =
			pool_ask(rt->pool, entry->order_seq, entry->attempt, entry->undo, now_ms);
		if (!again_ms &&
			!(t = timeout_of(live_find(&en->live, entry->order_seq)->order, stage)))
			again_ms = now_ms + NO_MEMORY_MS;
	}
	if (again_ms)
		line_postpone(&rt->out, again_ms);
	else
		line_drop(&rt->out, 1);
	return t;
}

struct task *dispatch_timeouts(struct engine *en, int64_t now_ms)
{
	struct queue_node *first = NULL, **last = &first;

	if (atomic_load(&en->is_stopping)) /* the pools are going */
		return NULL;
	for (struct generation *g = en->generations; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++) {
			struct line *out = &g->stages[i].out;

			while (out->n && line_at(out, 0)->at_ms <= now_ms) {
				struct task *t = take_overdue(en, &g->stages[i], i, now_ms);

				if (!t)
					continue;
				*last = &t->node;
				last = &t->node.next;
			}
		}
	return (struct task *)first;
}

int64_t dispatch_next_deadline(struct engine *en)
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
