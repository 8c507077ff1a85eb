/* Dispatch: which attempts wait, and which of them may go out now. */
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

enum { AGAIN_MS = 500 };

/* --- lining up --- */

/* Nothing of it begins: no gate keeps it back. */
static bool is_only_awaited(const struct engine *en, const struct order *o, size_t i)
{
	return en->is_outlived && o->phase == ORDER_COMPENSATING && stage_has_begun(&o->stages[i]);
}

static int line_up_waiting(struct engine *en, struct live_order *lo, size_t i)
{
	const struct stage_state *s = &lo->order->stages[i];
	struct stage_runtime *rt = engine_runtime(en, lo->order, i);
	int64_t now_ms = clock_mono_ms();
	bool is_awaited = is_only_awaited(en, lo->order, i);

	if (!rt)
		return -ENOMEM;
	if (!rt->waiting.n && !is_awaited)
		atomic_store_explicit(&rt->oldest_since_ms, now_ms, memory_order_relaxed);
	return line_push(is_awaited   ? &en->awaited
			 : s->suspect ? &en->suspects
				      : &rt->waiting,
		(struct line_entry){.order_seq = lo->seq,
			.at_ms = now_ms,
			.attempt = s->attempt,
			.stage = (uint16_t)i,
			.undo = s->undo,
			.moves = lo->order->n_moves});
}

static int line_up_timer(struct engine *en, struct live_order *lo, size_t i, enum timer_kind kind)
{
	const struct stage_state *s = &lo->order->stages[i];
	int64_t wait_ms = (s->due_us - clock_wall_us()) / 1000;
	int64_t whole_ms = (s->due_us - s->since_us) / 1000;

	/* A clock that was set back meanwhile does not stretch it. */
	if (wait_ms > whole_ms)
		wait_ms = whole_ms;
	return timers_add(
		&en->timers, (struct timer){.due_ms = clock_mono_ms() + (wait_ms > 0 ? wait_ms : 0),
				     .order_seq = lo->seq,
				     .attempt = s->attempt,
				     .stage = (uint16_t)i,
				     .kind = (uint8_t)kind,
				     .undo = s->undo,
				     .moves = lo->order->n_moves});
}

int dispatch_line_up(struct engine *en, struct live_order *lo)
{
	for (size_t i = 0; i < lo->order->pipeline->n_stages; i++) {
		const struct stage_state *s = &lo->order->stages[i];
		uint32_t mark = live_mark(lo->order, i);
		int r = 0;

		if (lo->lined_up[i] == mark || (lo->order->out & (uint64_t)1 << i))
			continue;
		if (s->status == STAGE_QUEUED || is_only_awaited(en, lo->order, i))
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
	int r = quarantine_get(en, t->order_seq, &lo, NULL);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	if (lo->order->n_moves != t->moves ||
		lo->order->stages[t->stage].status != STAGE_RETRYING ||
		lo->order->stages[t->stage].attempt != t->attempt ||
		lo->order->stages[t->stage].undo != t->undo)
		return 0;
	return line_up_waiting(en, lo, t->stage);
}

/* --- going out --- */

static bool still_stands(const struct order *o, const struct line_entry *entry)
{
	const struct stage_state *s = &o->stages[entry->stage];

	return !order_is_terminal(o) && o->n_moves == entry->moves &&
	       (s->status == STAGE_QUEUED || s->status == STAGE_RETRYING) &&
	       s->attempt == entry->attempt && s->undo == entry->undo &&
	       !(o->out & (uint64_t)1 << entry->stage);
}

static int put_out(struct engine *en, struct stage_runtime *rt, const struct line_entry *entry,
	const struct order *o, struct task *t)
{
	const struct stage_state *s = &o->stages[entry->stage];
	bool is_again = stage_has_begun(s);
	struct line_entry out = *entry;
	int r;

	out.at_ms = clock_mono_ms() + t->pipeline->stages[t->stage].timeout_ms;
	t->is_only_awaited = is_only_awaited(en, o, entry->stage);
	if (en->is_outlived || is_again)
		t->idle_mark = en->is_outlived ? TASK_MARK_BEGUN : TASK_MARK_AGAIN;
	/* What a recovery queued was not out at that event: its mark is to be on disk before. */
	if (!attempts_take(&en->attempts, t, s->is_lost ? 0 : o->last_seq, is_again))
		return -EAGAIN;
	r = line_push(&rt->out, out);
	if (r < 0 && is_again)
		attempts_keep(t);
	return r;
}

/* One entry goes out: 1 and a task, 0 when it does not stand any more, or a negative errno. */
static int entry_take(struct engine *en, const struct line_entry *entry, struct task **ret)
{
	struct stage_runtime *rt;
	struct live_order *lo;
	struct task *t;
	int r = quarantine_get(en, entry->order_seq, &lo, NULL);

	if (r == -ENOENT || (r == 0 && !still_stands(lo->order, entry)))
		return 0;
	if (r < 0)
		return r;
	rt = engine_runtime(en, lo->order, entry->stage);
	t = rt ? out_make_task(en, lo->order, entry->stage) : NULL;
	r = t ? put_out(en, rt, entry, lo->order, t) : -ENOMEM;
	if (r < 0) {
		attempts_give_back(&en->attempts, t);
		task_free(t);
		return r;
	}
	lo->order->out |= (uint64_t)1 << entry->stage;
	lo->order->stages[entry->stage].probe = t->is_only_awaited ? 0 : gate_probe(&rt->gate);
	lo->order->stages[entry->stage].begun = 0;
	atomic_fetch_add_explicit(&rt->n_out, 1, memory_order_relaxed);
	histogram_add(&rt->tally->wait_us, (clock_mono_ms() - entry->at_ms) * 1000);
	*ret = t;
	return 1;
}

static void show(struct stage_runtime *rt)
{
	const struct line_entry *first = rt->waiting.n ? line_at(&rt->waiting, 0) : NULL;

	atomic_store_explicit(&rt->n_waiting, (long long)rt->waiting.n, memory_order_relaxed);
	atomic_store_explicit(&rt->oldest_since_ms, first ? first->at_ms : 0, memory_order_relaxed);
	atomic_store_explicit(&rt->breaker, rt->gate.breaker, memory_order_relaxed);
	atomic_store_explicit(&rt->is_paused, rt->gate.is_paused, memory_order_relaxed);
}

/* Lowers *again_ms when it had to leave off: for want of memory, because the journal could not be read, or
 * because the gate lets nothing out for a while. */
static void stage_dispatch(struct engine *en, struct generation *g, size_t stage, int64_t *again_ms)
{
	struct stage_runtime *rt = &g->stages[stage];
	int64_t now_ms = clock_mono_ms();
	size_t room = rt->waiting.n ? bus_room(en->bus, g->pipeline, stage) : 0, n = 0;
	size_t may = room ? gate_room(&rt->gate, now_ms, again_ms) : 0, n_gated = 0;
	struct queue_node *first = NULL, **last = &first;

	for (room = may < room ? may : room; n < room && rt->waiting.n;) {
		struct line_entry entry = *line_at(&rt->waiting, 0);
		struct task *t;
		int r = entry_take(en, &entry, &t);

		if (r < 0) {
			*again_ms = now_ms + AGAIN_MS < *again_ms ? now_ms + AGAIN_MS : *again_ms;
			break;
		}
		line_drop(&rt->waiting, 1);
		if (r == 0)
			continue;
		*last = &t->node;
		last = &t->node.next;
		n++;
		n_gated += !t->is_only_awaited;
	}
	gate_out(&rt->gate, n_gated);
	rt->leaving = (struct task *)first;
	out_sweep(en, rt);
	show(rt);
}

/* Nothing goes out that the journal and the marks on disk do not tell of: a stage that brings the machine down
 * is not forgotten. */
static void sync_marks(struct engine *en)
{
	int r = attempts_sync(&en->attempts, journal_last_seq(en->journal));

	if (r < 0)
		log_error("attempts cannot be marked on disk: %s; after a crash they may not be "
			  "counted",
			strerror(-r));
}

static void publish_leaving(struct engine *en, struct stage_runtime *rt)
{
	if (!rt->leaving)
		return;
	CRASH_POINT("dispatch");
	bus_publish(en->bus, steal_ptr(rt->leaving));
	CRASH_POINT("dispatched");
}

/* --- awaited: whoever has them is asked for, and they are out again until he answers --- */

static void ask_for_awaited(struct engine *en, int64_t *again_ms)
{
	while (en->awaited.n) {
		struct task *t;
		int r = entry_take(en, line_at(&en->awaited, 0), &t);

		if (r < 0) {
			*again_ms = clock_mono_ms() + AGAIN_MS;
			return;
		}
		line_drop(&en->awaited, 1);
		if (r > 0)
			bus_publish(en->bus, t);
	}
}

/* --- suspects: after a crash, what ran then is tried alone, so that it takes nothing else with it --- */

/* False when the journal cannot be read just now. */
static bool try_suspect(struct engine *en, const struct line_entry *entry)
{
	struct stage_runtime *rt;
	struct live_order *lo;
	struct task *t;
	int r = quarantine_get(en, entry->order_seq, &lo, NULL);

	if (r < 0 && r != -ENOENT)
		return false;
	if (r < 0 || !still_stands(lo->order, entry))
		return true;
	rt = engine_runtime(en, lo->order, entry->stage);
	if (!rt)
		return false;
	/* Where nothing goes out at all it waits like the others. */
	if (rt->gate.is_paused || !bus_room(en->bus, lo->order->pipeline, entry->stage))
		return line_push(&rt->waiting, *entry) == 0;
	if (entry_take(en, entry, &t) != 1)
		return false;
	log_info("order_seq=%lld stage=%s attempt=%u tried alone after a crash",
		(long long)entry->order_seq, t->pipeline->stages[t->stage].name, t->attempt);
	en->trying = *entry;
	sync_marks(en);
	bus_publish(en->bus, t);
	return true;
}

/* False while a suspect is being tried, or waits to be. */
static bool suspects_are_done(struct engine *en, int64_t *again_ms)
{
	if (en->trying.order_seq && out_has(en, &en->trying))
		return false;
	en->trying.order_seq = 0;
	while (en->suspects.n && !en->trying.order_seq) {
		if (!try_suspect(en, line_at(&en->suspects, 0))) {
			*again_ms = clock_mono_ms() + AGAIN_MS;
			return false;
		}
		line_drop(&en->suspects, 1);
	}
	return !en->trying.order_seq;
}

/* Those that a lack of memory kept out of the lines. None of them may be dropped from memory before. */
static void line_up_again(struct engine *en)
{
	en->must_line_up = false;
	for (struct live_order *lo = en->live.oldest; lo; lo = lo->newer)
		if (!lo->is_dirty && lo->is_stale && live_read_again(&en->live, lo, NULL) < 0)
			en->must_line_up = true;
		else if (!lo->is_dirty && !order_is_terminal(lo->order) &&
			 dispatch_line_up(en, lo) < 0)
			en->must_line_up = true;
}

/* An attempt that was answered while no coordinator was there does not go out once more, where another might begin it:
 * until that is handled nothing goes out. */
static bool has_caught_up(struct engine *en)
{
	if (en->is_caught_up || !bus_has_caught_up(en->bus))
		return en->is_caught_up;
	if (!en->backlog.verdicts)
		en->backlog.verdicts = queue_take(&en->verdicts, 0);
	en->is_caught_up = !en->backlog.verdicts;
	return en->is_caught_up;
}

int64_t dispatch_run(struct engine *en)
{
	int64_t again_ms = INT64_MAX;

	if (!has_caught_up(en))
		return again_ms;
	if (en->must_read_pauses && engine_read_pauses(en) < 0)
		return clock_mono_ms() + AGAIN_MS;
	if (en->must_line_up)
		line_up_again(en);
	if (en->must_line_up)
		again_ms = clock_mono_ms() + AGAIN_MS;
	ask_for_awaited(en, &again_ms);
	if (!suspects_are_done(en, &again_ms))
		return again_ms;
	for (struct generation *g = en->generations; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++)
			stage_dispatch(en, g, i, &again_ms);
	sync_marks(en);
	for (struct generation *g = en->generations; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++)
			publish_leaving(en, &g->stages[i]);
	if (!en->must_line_up)
		live_trim(&en->live);
	return again_ms < attempts_sync_at(&en->attempts) ? again_ms
							  : attempts_sync_at(&en->attempts);
}
