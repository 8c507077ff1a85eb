/* The sequencer: the loop that is the only writer. Takes what has arrived, has it decided, commits once,
 * and releases answers, tasks and updates after the commit. */
#include <assert.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

enum { TRY_AGAIN_MS = 500, TROUBLE_LOG_MS = 10000, TIMERS_MAX = 256 };

/* --- the batch --- */

int batch_append(struct engine *en, struct batch *b, struct event_list *list, struct err *e)
{
	if (!b->is_begun && list->first) {
		int r = journal_begin(en->journal, e);

		if (r < 0)
			return r;
		b->is_begun = true;
	}
	for (struct event *ev = list->first; ev; ev = ev->next) {
		int r = journal_append(en->journal, ev, e);

		if (r < 0)
			return r;
	}
	if (list->first) {
		*b->feed->events.last = list->first;
		b->feed->events.last = list->last;
		b->feed->events.n += list->n;
	}
	return 0;
}

int batch_commit(struct engine *en, struct batch *b, struct err *e)
{
	int64_t before_us = clock_mono_us();
	int r;

	if (!b->is_begun)
		return 0;
	for (struct live_order *lo = b->dirty; lo; lo = lo->dirty_next) {
		r = journal_put_order(en->journal, lo->order, e);
		if (r < 0)
			return r;
	}
	r = journal_commit(en->journal, e);
	if (r < 0)
		return r;
	atomic_store_explicit(&en->commit_us, clock_mono_us() - before_us, memory_order_relaxed);
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

static void release_orders(struct engine *en, struct batch *b)
{
	while (b->dirty) {
		struct live_order *lo = b->dirty;

		b->dirty = lo->dirty_next;
		lo->is_dirty = false;
		count_classes(en, lo);
		if (order_is_terminal(lo->order))
			live_remove(&en->live, lo);
		else if (dispatch_line_up(en, lo) < 0)
			log_error(
				"order_seq=%lld no memory to queue it: it waits for the next start",
				(long long)lo->seq);
	}
}

static void answer_all(struct engine *en, struct batch *b)
{
	if (b->commands)
		en->options.on_answers(en->options.arg, steal_ptr(b->commands));
}

static void free_tasks(struct engine *en, struct task *first)
{
	while (first) {
		struct task *next = (struct task *)first->node.next;

		attempts_give_back(&en->attempts, first);
		task_free(first);
		first = next;
	}
}

static void batch_release(struct engine *en, struct batch *b)
{
	CRASH_POINT("release");
	release_orders(en, b);
	if (b->has_pauses)
		people_apply_pauses(en);
	answer_all(en, b);
	CRASH_POINT("answered");
	free_tasks(en, steal_ptr(b->tasks));
	if (b->feed->events.n)
		en->options.on_commit(en->options.arg, steal_ptr(b->feed));
}

/* --- trouble: nothing of the batch has happened; people hear why, verdicts wait --- */

static void set_trouble(struct engine *en, const struct err *why)
{
	int64_t now_ms = clock_mono_ms();

	pthread_mutex_lock(&en->trouble_lock);
	en->trouble = *why;
	pthread_mutex_unlock(&en->trouble_lock);
	en->try_again_ms = now_ms + TRY_AGAIN_MS;
	if (en->trouble_logged_ms && now_ms - en->trouble_logged_ms < TROUBLE_LOG_MS)
		return;
	en->trouble_logged_ms = now_ms;
	log_error("nothing is accepted: %s", err_text(why));
}

static void clear_trouble(struct engine *en)
{
	bool was_troubled;

	pthread_mutex_lock(&en->trouble_lock);
	was_troubled = en->trouble.code != 0;
	en->trouble = (struct err){0};
	pthread_mutex_unlock(&en->trouble_lock);
	en->try_again_ms = 0;
	if (was_troubled)
		log_info("the journal can be written again");
	if (was_troubled)
		en->trouble_logged_ms = 0;
}

/* Orders changed by a batch that did not happen go back to what the journal says. */
static void forget_changes(struct engine *en, struct batch *b)
{
	while (b->dirty) {
		struct live_order *lo = b->dirty;
		struct order *o = NULL;

		b->dirty = lo->dirty_next;
		lo->is_dirty = false;
		if (lo->committed_class == CLASS_NONE) {
			live_remove(&en->live, lo);
			continue;
		}
		if (reader_order(en->reader, lo->seq, INT64_MAX, &o, NULL, NULL) < 0) {
			live_remove(&en->live, lo); /* read when it is needed again */
			continue;
		}
		o->out = lo->order->out;
		order_free(lo->order);
		lo->order = o;
	}
}

/* The verdicts come again, so their attempts are out again. */
static void keep_verdicts(struct engine *en, struct batch *b)
{
	for (struct task *t = b->tasks; t; t = (struct task *)t->node.next)
		out_again(en, t);
	if (b->tasks)
		queue_push_all(&en->verdicts, &steal_ptr(b->tasks)->node);
}

static void batch_abort(struct engine *en, struct batch *b, const struct err *why)
{
	journal_rollback(en->journal);
	forget_changes(en, b);
	keep_verdicts(en, b);
	for (size_t i = 0; i < b->n_timers; i++)
		if (timers_add(&en->timers, b->timers[i]) < 0)
			log_error("order_seq=%lld no memory for its timer: it waits for the next "
				  "start",
				(long long)b->timers[i].order_seq);
	for (struct command *c = b->commands; c; c = (struct command *)c->node.next) {
		c->result = why->code;
		c->err = *why;
	}
	answer_all(en, b);
	set_trouble(en, why);
}

int batch_do(struct engine *en,
	int (*work)(struct engine *en, struct batch *b, const int64_t *seqs, int n, struct err *e),
	const int64_t *seqs, int n, struct err *e)
{
	struct batch b = {.feed = feed_batch_new()};
	int r = b.feed ? work(en, &b, seqs, n, e) : -ENOMEM;

	if (r == 0)
		r = batch_commit(en, &b, e);
	if (r < 0)
		journal_rollback(en->journal);
	else
		release_orders(en, &b);
	feed_batch_free(b.feed);
	return r;
}

/* --- the loop --- */

/* Cuts the list behind its first `max` nodes and returns the rest. */
static struct queue_node *cut(struct queue_node *first, size_t max)
{
	struct queue_node *rest;

	while (first && --max)
		first = first->next;
	if (!first)
		return NULL;
	rest = first->next;
	first->next = NULL;
	return rest;
}

static int batch_handle(struct engine *en, struct batch *b, struct err *e)
{
	int r = 0;

	for (struct task *t = b->tasks; t && r == 0; t = (struct task *)t->node.next)
		r = handle_verdict(en, b, t, e);
	for (size_t i = 0; i < b->n_timers && r == 0; i++)
		r = handle_timer(en, b, &b->timers[i], e);
	for (struct command *c = b->commands; c && r == 0; c = (struct command *)c->node.next)
		r = handle_command(en, b, c, e);
	return r == 0 ? batch_commit(en, b, e) : r;
}

static void batch_run(struct engine *en, struct batch *b)
{
	struct timer timers[TIMERS_MAX];
	struct err e = {0};
	int r;

	b->timers = timers;
	while (b->n_timers < TIMERS_MAX &&
		timers_take(&en->timers, clock_mono_ms(), &timers[b->n_timers]))
		b->n_timers++;
	b->feed = feed_batch_new();
	r = b->feed ? batch_handle(en, b, &e) : err_set(&e, -ENOMEM, "no memory for a batch");
	if (r < 0) {
		if (!e.code)
			err_set(&e, r, "%s", strerror(-r));
		batch_abort(en, b, &e);
	} else {
		batch_release(en, b);
		if (b->is_begun || en->try_again_ms)
			clear_trouble(en);
	}
	feed_batch_free(b->feed);
	b->feed = NULL;
}

static int64_t next_wake(struct engine *en)
{
	int64_t timer_ms = timers_next(&en->timers), deadline_ms = out_next_deadline(en);
	int64_t next_ms = timer_ms < deadline_ms ? timer_ms : deadline_ms;

	return next_ms < en->again_ms ? next_ms : en->again_ms;
}

static void append_tasks(struct task **list, struct task *more)
{
	while (*list)
		list = (struct task **)&(*list)->node.next;
	*list = more;
}

/* What the next batch handles: at most BATCH_MAX of each; the rest stays in the backlog. */
static struct batch batch_take(struct engine *en, struct backlog *backlog)
{
	struct batch b = {0};
	struct queue_node *rest;

	if (!backlog->verdicts)
		backlog->verdicts = queue_take(&en->verdicts, 0);
	rest = cut(backlog->verdicts, BATCH_MAX);
	b.tasks = (struct task *)backlog->verdicts;
	backlog->verdicts = rest;
	append_tasks(&b.tasks, out_timeouts(en, clock_mono_ms()));
	rest = cut(backlog->commands, BATCH_MAX);
	b.commands = (struct command *)backlog->commands;
	backlog->commands = rest;
	return b;
}

/* While the disk is in trouble nothing is tried before its time; people are told at once. */
static void refuse_commands(struct engine *en, struct backlog *backlog)
{
	struct batch b = {.commands = (struct command *)steal_ptr(backlog->commands)};

	for (struct command *c = b.commands; c; c = (struct command *)c->node.next) {
		c->result = en->trouble.code;
		c->err = en->trouble;
	}
	answer_all(en, &b);
}

/* When the next turn is, if nothing arrives before; 0: at once. */
static int64_t next_turn(struct engine *en)
{
	if (en->try_again_ms)
		return en->try_again_ms;
	if (en->backlog.commands || en->backlog.verdicts)
		return 0;
	return next_wake(en);
}

/* Waits for work until then. */
static void wait_for_work(struct engine *en, int64_t until_ms)
{
	if (!en->backlog.commands)
		en->backlog.commands = queue_take(&en->commands, until_ms);
}

static void turn(struct engine *en)
{
	struct backlog *backlog = &en->backlog;
	struct batch b;

	if (en->try_again_ms && clock_mono_ms() < en->try_again_ms) {
		refuse_commands(en, backlog);
		return;
	}
	b = batch_take(en, backlog);
	batch_run(en, &b);
	if (!atomic_load(&en->is_stopping))
		en->again_ms = dispatch_run(en);
}

int64_t engine_step(struct engine *en)
{
	wait_for_work(en, 0);
	turn(en);
	return next_turn(en);
}

void *sequencer_run(void *engine)
{
	struct engine *en = engine;
	bool is_last = false, has_stopped = false;

	while (!is_last || (!en->try_again_ms && (en->backlog.commands || en->backlog.verdicts))) {
		/* Looked at before taking: what came before the end is still handled. */
		is_last = is_last || atomic_load(&en->is_ending);
		wait_for_work(en, is_last ? 0 : next_turn(en));
		turn(en);
		if (atomic_load(&en->is_stopping) && !has_stopped) {
			has_stopped = true;
			sem_post(&en->stopped);
		}
	}
	return NULL;
}
