/* Folding a whole journal into projections. */
#include "journal/folding.h"

#include <inttypes.h>
#include <search.h>

#include "base/mem.h"
#include "journal/generation.h"
#include "model/apply.h"
#include "model/migrate.h"
#include "model/remains.h"

enum { FLUSH_EVENTS = 1000 }; /* between flushes of the state */

static int by_seq(const void *a, const void *b)
{
	int64_t x = ((const struct order *)a)->seq, y = ((const struct order *)b)->seq;

	return (x > y) - (x < y);
}

/* Where the tree keeps the order. */
static struct order **find_open(struct folding *f, int64_t order_seq)
{
	struct order key = {.seq = order_seq};

	return tfind(&key, &f->open, by_seq);
}

static void free_order(void *o)
{
	order_free(o);
}

static void forget(struct folding *f, struct order *o)
{
	tdelete(o, &f->open, by_seq);
	order_free(o);
}

static int create_order(struct folding *f, const struct event *ev, struct err *e)
{
	_cleanup_(order_freep) struct order *o = NULL;
	const struct pipeline *p = pipeline_set_find(f->set, ev->generation);
	int r;

	if (!p)
		return err_set(e, -EPROTO, "event %" PRId64 ": generation %.*s was never loaded",
			ev->seq, (int)ev->generation.n, ev->generation.p);
	o = order_new(p);
	r = o ? apply(o, ev) : -ENOMEM;
	if (r < 0)
		return err_set(e, r, "event %" PRId64 ": %s", ev->seq, strerror(-r));
	if (!tsearch(o, &f->open, by_seq))
		return err_set(e, -ENOMEM, "out of memory");
	steal_ptr(o);
	return 0;
}

static int advance(struct folding *f, struct order **slot, const struct event *ev, struct err *e)
{
	struct order *o;
	int r = slot ? fold(slot, ev, f->set) : -EPROTO;

	if (r < 0)
		return err_set(e, r, "event %" PRId64 " (%.*s) does not fit its order", ev->seq,
			(int)ev->type.n, ev->type.p);
	o = *slot;
	if (!order_is_terminal(o))
		return 0;
	r = projection_order(&f->projection, o, e);
	forget(f, o);
	return r;
}

/* An order that lost events in a known gap is left as it stood before them. */
static int fold_order(struct folding *f, const struct event *ev, struct err *e)
{
	bool is_new = ev->kind == EVENT_ORDER_CREATED;
	struct order **slot = is_new ? NULL : find_open(f, ev->order_seq);
	int r;

	if (event_is_removal(ev->kind)) /* the order has ended: its row alone changes */
		return 0;
	if (!is_new && !slot && f->is_broken)
		return 0;
	r = is_new ? create_order(f, ev, e) : advance(f, slot, ev, e);
	if (r != -EPROTO || !f->is_broken)
		return r;
	if (f->n_broken < FOLDING_BROKEN_MAX)
		f->broken[f->n_broken] = slot ? (*slot)->id : ev->order_id;
	f->n_broken++;
	if (slot)
		forget(f, *slot);
	return 0;
}

static void put_open(const void *node, VISIT visit, void *folding)
{
	struct folding *f = folding;

	if ((visit == postorder || visit == leaf) && f->failed == 0)
		f->failed = projection_order(&f->projection, *(struct order *const *)node, f->e);
}

int folding_init(struct folding *f, sqlite3 *db, struct pipeline_set *set, struct err *e)
{
	*f = (struct folding){.db = db, .set = set};
	return projection_init(&f->projection, db, e);
}

void folding_break(struct folding *f)
{
	f->is_broken = true;
	f->projection.is_lenient = true;
}

int folding_event(struct folding *f, const struct event *ev, struct err *e)
{
	const struct pipeline *p;
	int r = 0;

	if (ev->kind == EVENT_PIPELINE_LOADED && !pipeline_set_find(f->set, ev->generation))
		r = generation_add(f->set, ev->generation, ev->text, &p, e);
	if (r == 0)
		r = projection_event(&f->projection, ev, e);
	if (r == 0 && ev->order_seq)
		r = fold_order(f, ev, e);
	if (r == 0 && ++f->n_events % FLUSH_EVENTS == 0)
		r = projection_flush(&f->projection, e);
	return r;
}

struct open_before {
	int64_t seq, n;
	struct id *ids;
	size_t max;
};

static void list_open(const void *node, VISIT visit, void *open_before)
{
	const struct order *o = *(struct order *const *)node;
	struct open_before *b = open_before;

	if ((visit != postorder && visit != leaf) || o->last_seq >= b->seq)
		return;
	if (b->n < (int64_t)b->max)
		b->ids[b->n] = o->id;
	b->n++;
}

int64_t folding_open_before(const struct folding *f, int64_t seq, struct id *ids, size_t max)
{
	struct open_before b = {.seq = seq, .ids = ids, .max = max};

	twalk_r(f->open, list_open, &b);
	return b.n;
}

int folding_end(struct folding *f, struct err *e)
{
	f->e = e;
	twalk_r(f->open, put_open, f);
	return f->failed < 0 ? f->failed : projection_flush(&f->projection, e);
}

void folding_fini(struct folding *f)
{
	tdestroy(f->open, free_order);
	projection_fini(&f->projection);
}
