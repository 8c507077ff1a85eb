/* What the engine holds in memory, checked against what is on the disk: the orders against the journal, and what is
 * known of attempts that had begun against their marks. */
#include "base/mem.h"
#include "world.h"

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* But for what is live only. */
static bool is_same_stage(const struct stage_state *a, const struct stage_state *b)
{
	return a->status == b->status && a->undo == b->undo && a->unsure == b->unsure &&
	       a->suspect == b->suspect && a->is_lost == b->is_lost && a->attempt == b->attempt &&
	       a->n_used == b->n_used && a->due_us == b->due_us && a->since_us == b->since_us &&
	       a->done_seq == b->done_seq && is_same_text(a->error, b->error) &&
	       is_same_text(a->result, b->result) && is_same_text(a->signal, b->signal) &&
	       is_same_text(a->signal_key, b->signal_key);
}

static bool is_same(const struct order *a, const struct order *b)
{
	if (a->pipeline != b->pipeline || a->phase != b->phase || a->last_seq != b->last_seq ||
		a->n_moves != b->n_moves || a->is_cancelling != b->is_cancelling ||
		!is_same_text(a->body, b->body) || !is_same_text(a->error, b->error))
		return false;
	for (size_t i = 0; i < a->pipeline->n_stages; i++)
		if (!is_same_stage(&a->stages[i], &b->stages[i]))
			return false;
	return true;
}

static void check_order(const struct world *w, const struct live_order *lo)
{
	_cleanup_(order_freep) struct order *o = NULL;

	if (reader_order(w->engine->reader, lo->seq, INT64_MAX, &o, NULL, NULL) == 0 &&
		!is_same(lo->order, o))
		world_fail(
			w, "order %lld is not in memory as the journal has it", (long long)lo->seq);
}

/* What had begun before the last start and is not over is known of its order, until it goes out again. */
static void check_begun(const struct world *w, const struct attempt_slot *slot)
{
	_cleanup_(order_freep) struct order *o = NULL;
	const struct live_order *lo = live_find(&w->engine->live, slot->order_seq);
	const struct stage_state *s;

	if (reader_order(w->engine->reader, slot->order_seq, INT64_MAX, &o, NULL, NULL) < 0 ||
		order_is_terminal(o) || slot->undo || slot->moves != o->n_moves ||
		slot->stage >= o->pipeline->n_stages)
		return;
	s = &o->stages[slot->stage];
	if (s->undo || s->attempt != slot->attempt ||
		(s->status != STAGE_QUEUED && s->status != STAGE_RETRYING))
		return;
	if (!lo || (!(lo->order->out & (uint64_t)1 << slot->stage) &&
			   lo->order->stages[slot->stage].begun != slot->attempt))
		world_fail(w, "order %lld: attempt %u of %s had begun, and nobody knows",
			(long long)slot->order_seq, slot->attempt,
			o->pipeline->stages[slot->stage].name);
}

void world_check_memory(struct world *w)
{
	const struct attempts *a = &w->engine->attempts;
	const struct attempt_slot *slot;
	size_t at = 0;

	if (journal_check(w->engine->journal, NULL) <
		0) /* what the last commit wrote is not known */
		return;
	for (const struct live_order *lo = w->engine->live.oldest; lo; lo = lo->newer)
		if (!lo->is_stale &&
			!order_is_terminal(lo->order)) /* nobody acts on one that ended */
			check_order(w, lo);
	while ((slot = attempts_left(a, &at)))
		if (atomic_load(&slot->mark) == TASK_MARK_BEGUN)
			check_begun(w, slot);
}

void world_check_slots(const struct world *w)
{
	const struct attempts *a = &w->engine->attempts;
	const struct attempt_slot *slot;
	size_t at = 0;

	if ((slot = attempts_left(a, &at)))
		world_fail(w, "attempt %u of order %lld is over, and has its slot still",
			slot->attempt, (long long)slot->order_seq);
	if (a->n_free != ATTEMPTS_MAX - ATTEMPTS_FIRST + 1)
		world_fail(w, "%zu slots are free, and none is taken", a->n_free);
}
