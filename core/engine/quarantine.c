/* Quarantine: an order of whose events one cannot be read, or to which none can be added, is set aside until the
 * next start, so that it stops nobody else. Trouble with the disk or with memory is not an order's and is
 * batch.c's. */
#include "engine/quarantine.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

/* --- which orders --- */

/* Index of the first entry that is not before `seq`. */
static size_t place_of(const struct quarantine *q, int64_t seq)
{
	size_t low = 0, high = q->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (q->list[middle].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *quarantine_reason(const struct quarantine *q, int64_t seq)
{
	size_t i = place_of(q, seq);

	return i < q->n && q->list[i].seq == seq ? q->list[i].why : NULL;
}

static int add(struct quarantine *q, int64_t seq, const char *why)
{
	size_t i = place_of(q, seq);
	char *copy = str_dup(str_of(why));

	if (copy && q->n == q->cap) {
		size_t cap = q->cap ? q->cap * 2 : 16;
		struct set_aside *list = realloc(q->list, cap * sizeof *list);

		if (!list)
			free(steal_ptr(copy));
		q->list = list ? list : q->list;
		q->cap = list ? cap : q->cap;
	}
	if (!copy)
		return -ENOMEM;
	memmove(&q->list[i + 1], &q->list[i], (q->n - i) * sizeof *q->list);
	q->list[i] = (struct set_aside){seq, copy};
	q->n++;
	return 0;
}

void quarantine_fini(struct quarantine *q)
{
	while (q->n)
		free(q->list[--q->n].why);
	free(q->list);
	*q = (struct quarantine){0};
}

static void log_aside(struct engine *en, int64_t seq, const struct err *why)
{
	char id[ID_TEXT_SIZE] = "unknown";
	struct id order;

	if (reader_order_id(en->reader, seq, &order) == 0)
		id_text(&order, id);
	log_error("order=%s order_seq=%lld is set aside until the next start: %s", id,
		(long long)seq, err_text(why));
}

/* 0, or -ENOMEM: it could not be noted and comes again. */
static int set_aside(struct engine *en, int64_t seq, const struct err *why)
{
	struct live_order *lo = live_find(&en->live, seq);

	if (quarantine_reason(&en->quarantine, seq))
		return 0;
	if (add(&en->quarantine, seq, err_text(why)) < 0)
		return -ENOMEM;
	if (lo)
		out_forget(en, lo->order);
	if (lo)
		live_remove(&en->live, lo);
	atomic_fetch_add_explicit(&en->n_set_aside, 1, memory_order_relaxed);
	log_aside(en, seq, why);
	return 0;
}

/* What the disk and the memory have no part in, and what will be so again at the next try. */
static bool is_its_own(int r)
{
	return r == -EPROTO || r == -E2BIG;
}

int quarantine_get(struct engine *en, int64_t seq, struct live_order **ret, struct err *e)
{
	struct err why = {0};
	int r;

	if (quarantine_reason(&en->quarantine, seq))
		return err_set(e, -ENOENT, "the order is set aside");
	r = live_get(&en->live, seq, ret, &why);
	if (r == 0)
		return 0;
	/* -EINVAL: what there is of it on the disk is not what was written. */
	if ((is_its_own(r) || r == -EINVAL) && set_aside(en, seq, &why) == 0)
		r = -ENOENT;
	return err_set(e, r, "%s", err_text(&why));
}

/* --- a batch with an item in it that can never be journaled --- */

static bool is_one_item(const struct batch *b)
{
	size_t n = b->n_timers;

	for (const struct task *t = b->tasks; t && n < 2; t = (const struct task *)t->node.next)
		n++;
	for (const struct command *c = b->commands; c && n < 2;
		c = (const struct command *)c->node.next)
		n++;
	return n == 1;
}

/* Each item in a batch of its own. In trouble with the disk each is kept, and told, by its own batch. */
static void try_singly(struct engine *en, struct batch *b)
{
	struct command *c = steal_ptr(b->commands);
	struct task *t = steal_ptr(b->tasks);

	while (t) {
		struct batch one = {.tasks = t};

		t = (struct task *)t->node.next;
		one.tasks->node.next = NULL;
		batch_try(en, &one);
		batch_feed(en, &one);
	}
	for (size_t i = 0; i < b->n_timers; i++) {
		struct batch one = {.timers = &b->timers[i], .n_timers = 1};

		batch_try(en, &one);
		batch_feed(en, &one);
	}
	while (c) {
		struct batch one = {.commands = c};

		c = (struct command *)c->node.next;
		one.commands->node.next = NULL;
		one.commands->result = 0;
		one.commands->err = (struct err){0};
		batch_try(en, &one);
		batch_feed(en, &one);
	}
}

void quarantine_batch(struct engine *en, struct batch *b, const struct err *why)
{
	int r = 0;

	if (!is_its_own(why->code)) {
		batch_abort(en, b, why);
		return;
	}
	if (!is_one_item(b)) {
		batch_undo(en, b);
		try_singly(en, b);
		return;
	}
	if (b->commands) { /* what it asks is at fault, or its order, whose own turn will come */
		batch_undo(en, b);
		batch_refuse(en, b, why);
		return;
	}
	batch_undo(en, b);
	r = set_aside(en, b->tasks ? b->tasks->order_seq : b->timers[0].order_seq, why);
	if (r < 0) {
		batch_abort(en, b, &(struct err){-ENOMEM, "no memory to set an order aside"});
		return;
	}
	for (struct task *t = b->tasks; t; t = (struct task *)t->node.next)
		out_keep_mark(en, t);
	batch_drop_tasks(en, b);
}

/* --- at start --- */

int quarantine_do(struct engine *en, batch_work *work, const int64_t *seqs, int n,
	int64_t (*order_of)(struct engine *en, int64_t seq), struct err *e)
{
	struct err why = {0};
	int r = batch_do(en, work, seqs, n, &why);

	if (!is_its_own(r))
		return r < 0 ? err_set(e, r, "%s", err_text(&why)) : r;
	if (n > 1) {
		for (int i = 0; i < n; i++) {
			r = quarantine_do(en, work, &seqs[i], 1, order_of, e);
			if (r < 0)
				return r;
		}
		return 0;
	}
	if (set_aside(en, order_of ? order_of(en, seqs[0]) : seqs[0], &why) < 0)
		return err_set(e, -ENOMEM, "no memory to set an order aside");
	return 0;
}
