/* Recovery at start: attempts that died with the process are journaled as lost, those that workers elsewhere may have
 * are waited for, orders that were turning round go on doing so, and everything unfinished is lined up again. */
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

enum { LOAD_STEP = 1000 };

/* --- what had begun --- */

/* Whether the slot is about an attempt of the order as it stands, which is told then. */
static bool is_of_interest(struct order *o, const struct attempt_slot *s)
{
	struct stage_state *stage;

	if (s->moves != o->n_moves || s->stage >= o->pipeline->n_stages || s->undo)
		return false;
	stage = &o->stages[s->stage];
	if (s->attempt != stage->attempt)
		return false;
	stage->begun = s->attempt;
	if (!stage_has_begun(stage))
		stage->begun = 0;
	return stage->begun;
}

/* What had begun before and goes on is known of its order, until it goes out again. */
static int remember_begun(struct engine *en, struct err *e)
{
	const struct attempt_slot *s;
	size_t at = 0;

	while ((s = attempts_left(&en->attempts, &at))) {
		struct live_order *lo = NULL;
		bool is_known;
		int r;

		if (atomic_load(&s->mark) != TASK_MARK_BEGUN)
			continue;
		r = quarantine_get(en, s->order_seq, &lo, e);
		if (r < 0 && r != -ENOENT)
			return r;
		is_known = r == 0 ? is_of_interest(lo->order, s)
				  : quarantine_reason(&en->quarantine, s->order_seq) != NULL;
		if (!is_known)
			attempts_over(&en->attempts, at);
	}
	return 0;
}

/* --- what ran beside the attempt that is counted --- */

/* An attempt of the run, not of the undo, may be out. */
static bool may_run(const struct stage_state *s)
{
	return !s->undo && (s->status == STAGE_QUEUED || s->status == STAGE_RETRYING);
}

/* The attempt that is counted may be the last, and the order turns round by it: what ran beside it is awaited then, and
 * undone. `ret_before`: what was known of its stages. */
static void know_siblings(struct engine *en, struct order *o, uint32_t *ret_before)
{
	bool may_lack_marks = attempts_may_be_lost(&en->attempts, o->last_seq), suspect;
	const struct attempt_slot *s;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		struct stage_state *stage = &o->stages[i];

		ret_before[i] = stage->begun;
		n += may_run(stage);
		if (may_lack_marks && may_run(stage) && !stage->is_lost)
			stage->begun = stage->attempt;
	}
	while (n > 1 && (s = attempts_left(&en->attempts, &at)))
		if (s->order_seq == o->seq && attempts_had_begun(&en->attempts, s, &suspect))
			is_of_interest(o, s);
}

static void forget_siblings(struct order *o, const uint32_t *before)
{
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		o->stages[i].begun = before[i];
}

/* --- the attempts that died --- */

/* `slots`: which slots of the file of attempts. */
static int lose_step(struct engine *en, struct batch *b, const int64_t *slots, int n, struct err *e)
{
	for (int i = 0; i < n; i++) {
		const struct attempt_slot *s = &en->attempts.slots[slots[i]];
		struct decide_env env = engine_env(en);
		struct event_list list;
		uint32_t before[PIPELINE_STAGES_MAX];
		struct live_order *lo;
		bool suspect;
		int r = quarantine_get(en, s->order_seq, &lo, e);

		if (r == -ENOENT) /* or its order_created never got to the disk */
			continue;
		if (r < 0)
			return r;
		if (s->moves != lo->order->n_moves || s->stage >= lo->order->pipeline->n_stages ||
			lo->order->stages[s->stage].undo != s->undo)
			continue;
		attempts_had_begun(&en->attempts, s, &suspect);
		know_siblings(en, lo->order, before);
		event_list_init(&list, &b->feed->arena);
		r = decide_lost(&env, lo->order, s->stage, s->attempt, suspect, &list);
		if (r == 0)
			r = order_advance(en, b, lo, &list, e);
		forget_siblings(lo->order, before);
		if (r < 0 && r != -EALREADY)
			return r;
	}
	return 0;
}

static int64_t order_of_slot(struct engine *en, int64_t slot)
{
	return en->attempts.slots[slot].order_seq;
}

static int recover_attempts(struct engine *en, struct err *e)
{
	_cleanup_(freep) int64_t *slots = malloc(ATTEMPTS_MAX * sizeof *slots);
	const struct attempt_slot *s;
	size_t at = 0;
	int n = 0;

	if (!slots)
		return err_set(e, -ENOMEM, "no memory to start");
	while ((s = attempts_left(&en->attempts, &at))) {
		bool suspect;

		/* What was handed out but not begun costs no attempt. */
		if (attempts_had_begun(&en->attempts, s, &suspect))
			slots[n++] = (int64_t)at;
	}
	if (n)
		log_warn("attempts=%d were under way when the last process died", n);
	return n ? quarantine_do(en, lose_step, slots, n, order_of_slot, e) : 0;
}

/* Workers elsewhere may have it still. What they undo goes out again as the same attempt. */
static void await_unmarked(struct engine *en, struct order *o)
{
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		struct stage_state *s = &o->stages[i];

		if (may_run(s) && !s->is_lost && s->begun != s->attempt &&
			attempts_add_begun(
				&en->attempts, &(struct attempt_slot){.order_seq = o->seq,
						       .attempt = s->attempt,
						       .stage = (uint8_t)i,
						       .moves = o->n_moves}))
			s->begun = s->attempt;
	}
}

/* What a recovery counted, this one or one that did not end, has not been out again. */
static bool is_lost_unmarked(const struct engine *en, const struct stage_state *s, uint32_t begun)
{
	if ((s->status != STAGE_QUEUED && s->status != STAGE_RETRYING) || s->is_lost)
		return false;
	return !en->is_outlived || (!s->undo && s->attempt != begun);
}

/* After the death of the machine: what the journal queued last may have been out, though no mark of it got to
 * the disk. */
static int lose_unmarked(struct engine *en, struct batch *b, struct live_order *lo, struct err *e)
{
	uint32_t before[PIPELINE_STAGES_MAX];
	int r = 0;

	if (!attempts_may_be_lost(&en->attempts, lo->order->last_seq))
		return 0;
	if (en->is_outlived)
		await_unmarked(en, lo->order);
	know_siblings(en, lo->order, before);
	for (size_t i = 0; i < lo->order->pipeline->n_stages && r == 0; i++) {
		const struct stage_state *s = &lo->order->stages[i];
		struct decide_env env = engine_env(en);
		struct event_list list;

		if (!is_lost_unmarked(en, s, before[i]))
			continue;
		event_list_init(&list, &b->feed->arena);
		r = decide_lost(&env, lo->order, i, s->attempt, false, &list);
		if (r == 0)
			r = order_advance(en, b, lo, &list, e);
		r = r == -EALREADY ? 0 : r;
	}
	forget_siblings(lo->order, before);
	return r;
}

/* Where workers end with the process, what was waited for by an order that turns round is not out any more. */
static int settle_one(struct engine *en, struct batch *b, struct live_order *lo, struct err *e)
{
	struct event_list none;

	if (lo->order->phase != ORDER_COMPENSATING)
		return 0;
	event_list_init(&none, &b->feed->arena);
	return order_advance(en, b, lo, &none, e);
}

static int load_step(struct engine *en, struct batch *b, const int64_t *seqs, int n, struct err *e)
{
	for (int i = 0; i < n; i++) {
		struct live_order *lo;
		int r = quarantine_get(en, seqs[i], &lo, e);

		if (r == -ENOENT)
			continue;
		if (r == 0)
			r = lose_unmarked(en, b, lo, e);
		if (r == 0)
			r = settle_one(en, b, lo, e);
		if (r < 0)
			return r;
		if (!lo->is_dirty && dispatch_line_up(en, lo) < 0)
			return err_set(e, -ENOMEM, "no memory for the unfinished orders");
		CRASH_POINT("load-unfinished");
	}
	return 0;
}

static int load_unfinished(struct engine *en, struct err *e)
{
	int64_t seqs[LOAD_STEP], after = 0;
	long long n = 0;
	int got;

	do {
		int r;

		got = reader_unfinished(en->reader, after, seqs, LOAD_STEP, e);
		if (got <= 0)
			break;
		r = quarantine_do(en, load_step, seqs, got, NULL, e);
		if (r < 0)
			return err_wrap(e, r, "loading unfinished orders");
		after = seqs[got - 1];
		n += got;
		live_trim(&en->live);
	} while (got == LOAD_STEP);
	if (n)
		log_info("unfinished=%lld orders go on", n);
	return got < 0 ? got : 0;
}

int recover(struct engine *en, struct err *e)
{
	int r = remember_begun(en, e);

	if (r == 0)
		r = recover_attempts(en, e);
	CRASH_POINT("attempts-lost");
	if (r < 0)
		return err_wrap(e, r, "counting the attempts that died with the last process");
	r = engine_read_pauses(en);
	if (r < 0)
		return err_set(e, r, "cannot read which stages are paused: %s", strerror(-r));
	r = load_unfinished(en, e);
	en->live.has_all = r == 0;
	/* Only now: a death until here must find again what was not counted yet. */
	if (r == 0)
		attempts_clear(&en->attempts, journal_last_seq(en->journal));
	return r;
}
