/* A batch: what is decided together is appended, committed and released together, or none of it has
 * happened. */
#include <assert.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"
#include "model/apply.h"

enum { TRY_AGAIN_MS = 500, TROUBLE_LOG_MS = 10000 };

static int begin(struct engine *en, struct batch *b, struct err *e)
{
	int r = b->is_begun ? 0 : journal_begin(en->journal, e);

	b->is_begun |= r == 0;
	return r;
}

static void feed_list(struct batch *b, struct event_list *list)
{
	*b->feed->events.last = list->first;
	b->feed->events.last = list->last;
	b->feed->events.n += list->n;
}

int batch_append(struct engine *en, struct batch *b, struct event_list *list, struct err *e)
{
	int r = list->first ? begin(en, b, e) : 0;

	if (r < 0)
		return r;
	for (struct event *ev = list->first; ev; ev = ev->next) {
		r = journal_append(en->journal, ev, e);
		if (r < 0)
			return r;
	}
	if (list->first)
		feed_list(b, list);
	return 0;
}

int batch_remove(struct engine *en, struct batch *b, struct event_list *list, struct err *e)
{
	int r = begin(en, b, e);

	if (r == 0)
		r = journal_remove(en->journal, list->first, e);
	if (r == 0)
		feed_list(b, list);
	return r;
}

struct decide_env engine_env(struct engine *en)
{
	uint64_t z = en->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64: jitter, no secret */

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (struct decide_env){.now_us = clock_wall_us(),
		.random = z ^ z >> 31,
		.state_number = journal_state_number,
		.arg = en->journal,
		.is_outlived = en->is_outlived};
}

static void mark_dirty(struct batch *b, struct live_order *lo)
{
	if (lo->is_dirty)
		return;
	lo->is_dirty = true;
	lo->dirty_next = b->dirty;
	b->dirty = lo;
}

static int apply_list(struct live_order *lo, const struct event_list *list)
{
	for (const struct event *ev = list->first; ev; ev = ev->next) {
		int r = apply(lo->order, ev);

		assert(r != -EPROTO); /* decide and apply disagree */
		if (r < 0)
			return r;
	}
	return 0;
}

int order_advance(struct engine *en, struct batch *b, struct live_order *lo,
	struct event_list *list, struct err *e)
{
	struct event_list next = *list;
	int r;

	mark_dirty(b, lo);
	do {
		struct decide_env env = engine_env(en);

		r = batch_append(en, b, &next, e);
		if (r < 0)
			return r;
		r = apply_list(lo, &next);
		if (r < 0)
			return err_set(e, r, "no memory for an order");
		event_list_init(&next, &b->feed->arena);
		r = decide_settle(&env, lo->order, &next);
	} while (r > 0);
	return r < 0 ? err_set(e, r, "cannot settle an order: %s", strerror(-r)) : 0;
}

int batch_commit(struct engine *en, struct batch *b, struct err *e)
{
	int64_t before_us = clock_mono_us(), took_us;
	int r;

	if (!b->is_begun)
		return 0;
	for (struct live_order *lo = b->dirty; lo; lo = lo->dirty_next) {
		/* Its row was written when it was placed and says the same still. */
		if (order_is_moving(lo->order) &&
			(lo->committed_class == CLASS_OPEN || lo->committed_class == CLASS_NONE))
			continue;
		r = journal_put_order(en->journal, lo->order, e);
		if (r < 0)
			return r;
	}
	r = journal_commit(en->journal, e);
	if (r < 0)
		return r;
	took_us = clock_mono_us() - before_us;
	atomic_store_explicit(&en->commit_us, took_us, memory_order_relaxed);
	histogram_add(&en->commit_took_us, took_us);
	histogram_add(&en->batch_events, (int64_t)b->feed->events.n);
	atomic_store_explicit(&en->last_seq, journal_last_seq(en->journal), memory_order_relaxed);
	atomic_fetch_add_explicit(&en->n_commits, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(
		&en->n_events, (long long)b->feed->events.n, memory_order_relaxed);
	return 0;
}

/* --- after the commit --- */

static void count_classes(struct engine *en, struct live_order *lo)
{
	enum order_class now = order_class_of(lo->order);

	if (now == lo->committed_class)
		return;
	if (lo->committed_class != CLASS_NONE)
		atomic_fetch_sub_explicit(
			&en->n_orders[lo->committed_class], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&en->n_orders[now], 1, memory_order_relaxed);
	lo->committed_class = now;
}

/* Orders that are not finished, by generation. A generation that has none is released. */
static void count_generation(struct engine *en, struct live_order *lo)
{
	struct generation *g = engine_generation(en, lo->order->pipeline), *from;

	if (lo->committed_class == CLASS_NONE && g)
		atomic_fetch_add_explicit(&g->n_open, 1, memory_order_relaxed);
	if (lo->moved_from && lo->committed_class != CLASS_NONE) {
		from = engine_generation(en, lo->moved_from);
		if (from)
			atomic_fetch_sub_explicit(&from->n_open, 1, memory_order_relaxed);
		if (g)
			atomic_fetch_add_explicit(&g->n_open, 1, memory_order_relaxed);
	}
	lo->moved_from = NULL;
	if (order_is_terminal(lo->order) && g)
		atomic_fetch_sub_explicit(&g->n_open, 1, memory_order_relaxed);
}

static void release_orders(struct engine *en, struct batch *b)
{
	while (b->dirty) {
		struct live_order *lo = b->dirty;

		b->dirty = lo->dirty_next;
		lo->is_dirty = false;
		out_forget_begun(en, lo->order);
		count_generation(en, lo);
		count_classes(en, lo);
		if (order_is_terminal(lo->order))
			live_remove(&en->live, lo);
		else if (dispatch_line_up(en, lo) < 0)
			en->must_line_up = true;
	}
}

void batch_answer(struct engine *en, struct batch *b)
{
	if (!b->commands)
		return;
	reload_on_answers(en, b->commands);
	en->options.on_answers(en->options.arg, steal_ptr(b->commands));
}

void batch_drop_tasks(struct engine *en, struct batch *b)
{
	while (b->tasks) {
		struct task *t = b->tasks;

		b->tasks = (struct task *)t->node.next;
		bus_settle(en->bus, t);
		attempts_give_back(&en->attempts, t);
		task_free(t);
	}
}

void batch_release(struct engine *en, struct batch *b)
{
	CRASH_POINT("release");
	release_orders(en, b);
	if (b->adopted)
		reload_adopted(en, b->adopted);
	if (b->has_pauses)
		engine_read_pauses(en);
	batch_answer(en, b);
	CRASH_POINT("answered");
	for (const struct task *t = b->tasks; t; t = (const struct task *)t->node.next)
		out_count(en, t);
	batch_drop_tasks(en, b);
}

void batch_feed(struct engine *en, struct batch *b)
{
	if (b->feed && b->feed->events.n)
		en->options.on_commit(en->options.arg, steal_ptr(b->feed));
	feed_batch_free(steal_ptr(b->feed));
}

/* --- trouble: nothing of the batch has happened; people hear why, verdicts wait --- */

static void set_trouble(struct engine *en, const struct err *why)
{
	int64_t now_ms = clock_mono_ms();
	struct err final = {0};
	bool is_final = journal_check(en->journal, &final) < 0;

	if (is_final)
		why = &final;
	pthread_mutex_lock(&en->trouble_lock);
	en->trouble = *why;
	pthread_mutex_unlock(&en->trouble_lock);
	en->try_again_ms = is_final ? INT64_MAX : now_ms + TRY_AGAIN_MS;
	if (en->trouble_logged_ms && now_ms - en->trouble_logged_ms < TROUBLE_LOG_MS)
		return;
	en->trouble_logged_ms = now_ms;
	en->is_trouble_said = true;
	log_error("nothing is accepted: %s", err_text(why));
}

bool batch_was_last(struct engine *en)
{
	struct err why = {0};

	if (journal_check(en->journal, &why) == 0)
		return false;
	if (en->try_again_ms != INT64_MAX)
		set_trouble(en, &why);
	return true;
}

void batch_clear_trouble(struct engine *en, bool has_written)
{
	if (batch_was_last(en))
		return;
	pthread_mutex_lock(&en->trouble_lock);
	en->trouble = (struct err){0};
	pthread_mutex_unlock(&en->trouble_lock);
	en->try_again_ms = 0;
	if (!has_written || !en->is_trouble_said)
		return;
	en->is_trouble_said = false;
	log_info("the journal can be written again");
}

/* Orders changed by a batch that did not happen go back to what the journal says. */
static void forget_changes(struct engine *en, struct batch *b)
{
	while (b->dirty) {
		struct live_order *lo = b->dirty;

		b->dirty = lo->dirty_next;
		lo->is_dirty = false;
		/* Of one that was moved nothing is out, and what waits is in line where it was. */
		if (lo->committed_class == CLASS_NONE || lo->moved_from)
			live_remove(&en->live, lo);
		else
			live_read_again(&en->live, lo, NULL); /* or when it is needed again */
	}
}

void batch_undo(struct engine *en, struct batch *b)
{
	journal_rollback(en->journal);
	forget_changes(en, b);
	for (struct task *t = b->tasks; t; t = (struct task *)t->node.next)
		out_again(en, t);
	feed_batch_free(steal_ptr(b->feed));
}

void batch_refuse(struct engine *en, struct batch *b, const struct err *why)
{
	for (struct command *c = b->commands; c; c = (struct command *)c->node.next) {
		c->result = why->code;
		c->err = *why;
	}
	batch_answer(en, b);
}

void batch_abort(struct engine *en, struct batch *b, const struct err *why)
{
	batch_undo(en, b);
	if (b->tasks)
		queue_push_all(&en->verdicts, &steal_ptr(b->tasks)->node);
	for (size_t i = 0; i < b->n_timers; i++)
		if (timers_add(&en->timers, b->timers[i]) < 0)
			log_error("order_seq=%lld no memory for its timer: it waits for the next "
				  "start",
				(long long)b->timers[i].order_seq);
	batch_refuse(en, b, why);
	set_trouble(en, why);
}

int batch_do(struct engine *en, batch_work *work, const int64_t *seqs, int n, struct err *e)
{
	struct batch b = {.feed = feed_batch_new()};
	int r = b.feed ? work(en, &b, seqs, n, e) : -ENOMEM;

	if (r == 0)
		r = batch_commit(en, &b, e);
	if (r < 0)
		batch_undo(en, &b);
	else
		release_orders(en, &b);
	feed_batch_free(b.feed);
	return r;
}
