/* Upkeep: small steps between batches, and pauses so long that orders do not notice. */
#include "engine/upkeep.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

enum {
	LOOK_AT = 256,	    /* orders of one step */
	ERASE_AT_ONCE = 16, /* of these, erased in one commit */
	PAUSE_FACTOR = 9,   /* a step may take a tenth of the time */
	PAUSE_MIN_MS = 20,
	IMPATIENT_MS = 10000, /* under steady load there is a step at least so often */
	ROUND_MIN_MS = 1000,
	ROUND_MAX_MS = 3600000, /* from the end of all orders to the next look */
	SCRUB_AGAIN_MS = 100,
	SCRUB_LATEST_MS = 2000,
};

/* --- erasing what was kept long enough --- */

/* Orders that ended before that are due. */
static int64_t due_before_us(const struct engine *en)
{
	const struct upkeep *u = &en->upkeep;
	int64_t now_us = clock_wall_us();
	int64_t steady_us = u->started_us + clock_mono_us() - u->started_mono_us;

	return (now_us < steady_us ? now_us : steady_us) - en->options.erase_after_ms * 1000;
}

static int erase_step(struct engine *en, struct batch *b, const int64_t *seqs, int n, struct err *e)
{
	char reason[64];

	snprintf(reason, sizeof reason, "erase_after: %lld s",
		(long long)en->options.erase_after_ms / 1000);
	for (int i = 0; i < n; i++) {
		int r = erase_order(en, b, seqs[i], str_of(reason),
			STR("Erased: kept as long as the rule says"), e);

		if (r < 0 && r != -EALREADY && r != -EBUSY && r != -EXDEV && r != -ENOENT)
			return r;
	}
	return 0;
}

/* 0, or what went wrong with all of them. */
static int erase_all(struct engine *en, const int64_t *seqs, int n)
{
	struct batch b = {.feed = feed_batch_new()};
	struct err e = {0};
	int r = b.feed ? erase_step(en, &b, seqs, n, &e) : err_set(&e, -ENOMEM, "no memory");

	if (r == 0)
		r = batch_commit(en, &b, &e);
	if (r == 0)
		batch_release(en, &b);
	else
		batch_undo(en, &b);
	batch_feed(en, &b);
	if (r < 0 && n == 1)
		log_error("order_seq=%lld cannot be erased: %s", (long long)seqs[0], err_text(&e));
	return r;
}

/* One that cannot be erased keeps no other. */
static void erase_each(struct engine *en, const int64_t *seqs, int n)
{
	if (n == 0 || erase_all(en, seqs, n) == 0 || n == 1)
		return;
	for (int i = 0; i < n; i++)
		erase_all(en, &seqs[i], 1);
}

static int64_t round_ms(const struct engine *en)
{
	int64_t ms = en->options.erase_after_ms / 100;

	return ms < ROUND_MIN_MS ? ROUND_MIN_MS : ms > ROUND_MAX_MS ? ROUND_MAX_MS : ms;
}

static void end_round(struct engine *en)
{
	struct upkeep *u = &en->upkeep;

	if (u->first_kept)
		u->after_seq = u->first_kept - 1;
	u->first_kept = 0;
	u->again_ms = clock_mono_ms() + round_ms(en);
}

/* Goes through the next orders. */
static void erase_some(struct engine *en)
{
	struct upkeep *u = &en->upkeep;
	int64_t seqs[ERASE_AT_ONCE], before_us = due_before_us(en), start_us = clock_mono_us();
	struct ended_order found[LOOK_AT];
	int n = reader_look(en->reader, u->after_seq, found, LOOK_AT, NULL), n_due = 0;
	bool is_end = n < LOOK_AT;

	for (int i = 0; i < n && n_due < ERASE_AT_ONCE; i++) {
		const struct ended_order *o = &found[i];

		/* None behind it was placed, let alone has ended, before that. */
		if (o->created_us >= before_us) {
			is_end = true;
			u->first_kept = u->first_kept ? u->first_kept : o->seq;
			break;
		}
		if (!o->is_removed && o->completed_us && o->completed_us < before_us)
			seqs[n_due++] = o->seq;
		else if (!o->is_removed && !u->first_kept)
			u->first_kept = o->seq;
		u->after_seq = o->seq;
		is_end = n < LOOK_AT && i == n - 1;
	}
	erase_each(en, seqs, n_due);
	u->again_ms =
		clock_mono_ms() + PAUSE_MIN_MS + (clock_mono_us() - start_us) * PAUSE_FACTOR / 1000;
	if (is_end)
		end_round(en);
}

/* --- the log --- */

static void scrub(struct engine *en, int64_t now_ms)
{
	struct upkeep *u = &en->upkeep;
	struct err e = {0};

	if (journal_scrub(en->journal, &e) == -EAGAIN) {
		u->scrub_ms = now_ms + SCRUB_AGAIN_MS;
		return;
	}
	u->leftover_ms = u->scrub_ms = 0; /* or the next batch hears that nothing can be written */
}

/* Returns when to look again. */
static int64_t scrub_when_idle(struct engine *en, bool is_busy)
{
	struct upkeep *u = &en->upkeep;
	int64_t now_ms = clock_mono_ms();

	if (!journal_has_leftovers(en->journal))
		return INT64_MAX;
	if (!u->leftover_ms)
		u->leftover_ms = now_ms;
	if (is_busy && now_ms - u->leftover_ms < SCRUB_LATEST_MS)
		u->scrub_ms = now_ms + SCRUB_AGAIN_MS;
	else if (u->scrub_ms <= now_ms)
		scrub(en, now_ms);
	return journal_has_leftovers(en->journal) ? u->scrub_ms : INT64_MAX;
}

int64_t upkeep_run(struct engine *en, bool is_busy)
{
	struct upkeep *u = &en->upkeep;
	int64_t scrub_ms;

	if (!u->started_us) {
		u->started_us = clock_wall_us();
		u->started_mono_us = clock_mono_us();
	}
	if (en->options.erase_after_ms &&
		u->again_ms <= clock_mono_ms() - (is_busy ? IMPATIENT_MS : 0))
		erase_some(en);
	scrub_ms = scrub_when_idle(en, is_busy);
	return en->options.erase_after_ms && u->again_ms < scrub_ms ? u->again_ms : scrub_ms;
}
