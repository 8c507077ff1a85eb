/* The orders that are in memory: a hash table for finding, a list by use for dropping. */
#include "engine/live.h"

#include "base/mem.h"

enum { BUCKETS_MIN = 1024 };

enum order_class order_class_of(const struct order *o)
{
	switch (o->phase) {
	case ORDER_COMPLETED:
		return CLASS_COMPLETED;
	case ORDER_FAILED:
		return CLASS_FAILED;
	case ORDER_CANCELLED:
		return CLASS_CANCELLED;
	case ORDER_RUNNING:
	case ORDER_COMPENSATING:
		break;
	}
	return order_is_on_hold(o) ? CLASS_ON_HOLD : CLASS_OPEN;
}

int live_init(struct live *l, size_t max, struct reader *reader)
{
	*l = (struct live){.n_buckets = BUCKETS_MIN, .max = max, .reader = reader};
	l->buckets = calloc(l->n_buckets, sizeof *l->buckets);
	return l->buckets ? 0 : -ENOMEM;
}

void live_fini(struct live *l)
{
	while (l->oldest)
		live_remove(l, l->oldest);
	free(l->buckets);
}

static struct live_order **slot_of(struct live *l, int64_t seq)
{
	uint64_t h = (uint64_t)seq * 0x9e3779b97f4a7c15u;

	return &l->buckets[(h >> 32) & (l->n_buckets - 1)];
}

static void unlink_use(struct live *l, struct live_order *lo)
{
	*(lo->newer ? &lo->newer->older : &l->newest) = lo->older;
	*(lo->older ? &lo->older->newer : &l->oldest) = lo->newer;
}

static void link_newest(struct live *l, struct live_order *lo)
{
	lo->newer = NULL;
	lo->older = l->newest;
	*(l->newest ? &l->newest->newer : &l->oldest) = lo;
	l->newest = lo;
}

struct live_order *live_find(struct live *l, int64_t seq)
{
	struct live_order *lo = *slot_of(l, seq);

	while (lo && lo->seq != seq)
		lo = lo->hash_next;
	if (lo && lo != l->newest) {
		unlink_use(l, lo);
		link_newest(l, lo);
	}
	return lo;
}

/* Doubles the table; without memory the chains just get longer. */
static void grow(struct live *l)
{
	struct live_order **old = l->buckets;
	size_t n_old = l->n_buckets;
	struct live_order **buckets = calloc(n_old * 2, sizeof *buckets);

	if (!buckets)
		return;
	l->buckets = buckets;
	l->n_buckets = n_old * 2;
	for (size_t i = 0; i < n_old; i++) {
		while (old[i]) {
			struct live_order *lo = old[i], **slot = slot_of(l, lo->seq);

			old[i] = lo->hash_next;
			lo->hash_next = *slot;
			*slot = lo;
		}
	}
	free(old);
}

int live_add(struct live *l, struct order *o, struct live_order **ret)
{
	struct live_order *lo, **slot;

	lo = calloc(1, sizeof *lo + o->pipeline->n_stages * sizeof lo->lined_up[0]);
	if (!lo)
		return -ENOMEM;
	if (l->n >= l->n_buckets)
		grow(l);
	lo->order = o;
	lo->seq = o->seq;
	slot = slot_of(l, o->seq);
	lo->hash_next = *slot;
	*slot = lo;
	link_newest(l, lo);
	l->n++;
	*ret = lo;
	return 0;
}

int live_fit(struct live *l, struct live_order **lo, size_t n_stages)
{
	struct live_order *old = *lo, *wide, **slot = slot_of(l, old->seq);
	size_t n = old->order->pipeline->n_stages;

	if (n_stages <= n)
		return 0;
	wide = calloc(1, sizeof *wide + n_stages * sizeof wide->lined_up[0]);
	if (!wide)
		return -ENOMEM;
	memcpy(wide, old, sizeof *old + n * sizeof old->lined_up[0]);
	while (*slot != old)
		slot = &(*slot)->hash_next;
	*slot = wide;
	*(wide->newer ? &wide->newer->older : &l->newest) = wide;
	*(wide->older ? &wide->older->newer : &l->oldest) = wide;
	free(old);
	*lo = wide;
	return 0;
}

static void mark_lined_up(struct live_order *lo)
{
	for (size_t i = 0; i < lo->order->pipeline->n_stages; i++)
		lo->lined_up[i] = live_mark(lo->order, i);
}

int live_read_again(struct live *l, struct live_order *lo, struct err *e)
{
	struct order *o = NULL;
	int r = reader_order(l->reader, lo->seq, INT64_MAX, &o, NULL, e);

	lo->is_stale = r < 0;
	if (r < 0)
		return r;
	o->out = lo->order->out;
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		o->stages[i].probe = lo->order->stages[i].probe;
		o->stages[i].begun = lo->order->stages[i].begun;
	}
	order_free(lo->order);
	lo->order = o;
	return 0;
}

int live_get(struct live *l, int64_t seq, struct live_order **ret, struct err *e)
{
	_cleanup_(order_freep) struct order *o = NULL;
	struct live_order *lo = live_find(l, seq);
	int r;

	if (lo) {
		r = lo->is_stale ? live_read_again(l, lo, e) : 0;
		*ret = r == 0 ? lo : *ret;
		return r;
	}
	r = reader_order(l->reader, seq, INT64_MAX, &o, NULL, e);
	if (r < 0)
		return r;
	r = live_add(l, o, &lo);
	if (r < 0)
		return r;
	steal_ptr(o);
	lo->committed_class = order_class_of(lo->order);
	if (l->has_all)
		mark_lined_up(lo);
	*ret = lo;
	return 0;
}

void live_remove(struct live *l, struct live_order *lo)
{
	struct live_order **slot = slot_of(l, lo->seq);

	while (*slot != lo)
		slot = &(*slot)->hash_next;
	*slot = lo->hash_next;
	unlink_use(l, lo);
	l->n--;
	order_free(lo->order);
	free(lo);
}

/* What had begun of a stale one is told by how it stands in the journal. */
static bool may_be_dropped(struct live *l, struct live_order *lo)
{
	if (lo->is_dirty || (lo->is_stale && live_read_again(l, lo, NULL) < 0))
		return false;
	return !order_unknown(lo->order);
}

void live_trim(struct live *l)
{
	struct live_order *lo = l->oldest;

	while (lo && l->n > l->max) {
		struct live_order *newer = lo->newer;

		if (may_be_dropped(l, lo))
			live_remove(l, lo);
		lo = newer;
	}
}
