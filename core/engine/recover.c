/* Recovery at start: attempts that died with the process are journaled as lost, orders that were turning round
 * go on doing so, and everything unfinished is lined up again. */
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

enum { LOAD_STEP = 1000, LOST_STEP = 256 };

/* Whether the stage had begun: what was handed out but not begun costs no attempt. */
static bool had_begun(const struct attempt_slot *s)
{
	unsigned char mark = atomic_load(&s->mark);

	return mark == TASK_MARK_RUNNING || mark == TASK_MARK_LATER;
}

static int lose_one(struct engine *en, struct batch *b, const struct attempt_slot *s, struct err *e)
{
	bool suspect = atomic_load(&s->mark) == TASK_MARK_RUNNING;
	struct decide_env env = engine_env(en);
	struct event_list list;
	struct live_order *lo;
	int r = live_get(&en->live, s->order_seq, &lo, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* its order_created never got to the disk */
	if (s->stage >= lo->order->pipeline->n_stages ||
		lo->order->stages[s->stage].undo != s->undo)
		return 0;
	event_list_init(&list, &b->feed->arena);
	r = decide_lost(&env, lo->order, s->stage, s->attempt, suspect, &list);
	if (r < 0)
		return r == -EALREADY ? 0 : r;
	return order_advance(en, b, lo, &list, e);
}

static int recover_attempts(struct engine *en, struct batch *b, struct err *e)
{
	const struct attempt_slot *s;
	size_t at = 0, n = 0;

	while ((s = attempts_left(&en->attempts, &at))) {
		int r = had_begun(s) ? lose_one(en, b, s, e) : 0;

		if (r < 0)
			return r;
		n += had_begun(s);
	}
	if (n)
		log_warn("attempts=%zu were under way when the last process died", n);
	return 0;
}

/* What was waited for by an order that turns round is not out any more. */
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
		int r = live_get(&en->live, seqs[i], &lo, e);

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
		r = batch_do(en, load_step, seqs, got, e);
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

static int lose_all(struct engine *en, struct batch *b, const int64_t *none, int n, struct err *e)
{
	(void)none, (void)n;
	return recover_attempts(en, b, e);
}

int recover(struct engine *en, struct err *e)
{
	int r = batch_do(en, lose_all, NULL, 0, e);

	CRASH_POINT("attempts-lost");
	if (r < 0)
		return err_wrap(e, r, "counting the attempts that died with the last process");
	attempts_clear(&en->attempts);
	engine_read_pauses(en);
	return load_unfinished(en, e);
}
