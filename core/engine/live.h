/* The orders that are in memory: a bounded cache of folds, keyed by order. [sequencer]
 *
 * An unfinished order that nobody works on can be dropped at any time and is folded from the journal again
 * when it is needed; so a slow stage costs a queue entry per order, not the order. */
#pragma once

#include "journal/reader.h"

/* What the counts of orders distinguish. */
enum order_class {
	CLASS_NONE,
	CLASS_OPEN,
	CLASS_ON_HOLD,
	CLASS_COMPLETED,
	CLASS_FAILED,
	CLASS_CANCELLED,
	ORDER_CLASSES
};

enum order_class order_class_of(const struct order *o);

struct live_order {
	struct live_order *hash_next;
	struct live_order *newer, *older; /* by last use */
	struct live_order *dirty_next;
	struct order *order;
	int64_t seq;
	enum order_class committed_class;  /* as the last commit left it */
	const struct pipeline *moved_from; /* where the last commit left it; NULL: where it is */
	bool is_dirty;			   /* changed in the open batch */
	bool is_stale; /* not what the journal says: to be read again; what is out of it is right */
	uint32_t lined_up[]; /* per stage: attempt and status that were lined up last */
};

/* What was lined up of a stage that stands so. */
static inline uint32_t live_mark(const struct order *o, size_t stage)
{
	const struct stage_state *s = &o->stages[stage];
	uint32_t is_awaited = o->phase == ORDER_COMPENSATING && stage_has_begun(s);

	return s->attempt << 6 | (uint32_t)s->status << 2 | is_awaited << 1 | s->undo;
}

struct live {
	struct live_order **buckets;
	size_t n_buckets, n, max;
	struct live_order *newest, *oldest;
	struct reader *reader; /* borrowed */
	/* Every unfinished order has been in memory, and what it waits for is in a line or a timer: one that is
	 * read again is not lined up again. */
	bool has_all;
};

int live_init(struct live *l, size_t max, struct reader *reader);
void live_fini(struct live *l);
/* The order in memory, or NULL. Counts as a use. */
struct live_order *live_find(struct live *l, int64_t seq);
/* From memory or from the journal. -ENOENT, -ENOMEM, or what reading gave. */
int live_get(struct live *l, int64_t seq, struct live_order **ret, struct err *e);
/* Puts in an order that is not there; takes it. -ENOMEM: not taken. */
int live_add(struct live *l, struct order *o, struct live_order **ret);
/* Makes room for an order of so many stages; *lo is another one afterwards. Not for a dirty one. -ENOMEM. */
int live_fit(struct live *l, struct live_order **lo, size_t n_stages);
/* What the journal says of it takes the place of what it is in memory, but for what is live only. After a failure it
 * is stale. */
int live_read_again(struct live *l, struct live_order *lo, struct err *e);
void live_remove(struct live *l, struct live_order *lo);
/* Drops the orders least recently used down to the limit; never one that is dirty, out with a worker or known to have
 * begun. What is stale is read again before, and stays while it cannot be. */
void live_trim(struct live *l);
