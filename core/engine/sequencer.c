/* The sequencer: the loop that is the only writer. Takes what has arrived, has it decided, commits once,
 * and releases answers, tasks and updates after the commit. */
#include <assert.h>

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

static void free_tasks(struct task *first)
{
	while (first) {
		struct task *next = (struct task *)first->node.next;

		task_free(first);
		first = next;
	}
}

static void batch_release(struct engine *en, struct batch *b)
{
	release_orders(en, b);
	answer_all(en, b);
	free_tasks(steal_ptr(b->tasks));
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
	en->is_trouble_said = true;
	log_error("nothing is accepted: %s", err_text(why));
}

/* Nothing stood in the way: people are let in again. Only a commit shows that it is over. */
static void clear_trouble(struct engine *en, bool has_written)
{
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
	struct task *t = b->tasks;

	for (; t; t = (struct task *)t->node.next) {
		struct live_order *lo = live_find(&en->live, t->order_seq);

		if (!lo || lo->order->stages[t->stage].attempt != t->attempt ||
			lo->order->stages[t->stage].undo != t->undo ||
			(lo->order->out & (uint64_t)1 << t->stage))
			continue;
		lo->order->out |= (uint64_t)1 << t->stage;
		atomic_fetch_add_explicit(
			&engine_generation(en, lo->order->pipeline)->stages[t->stage].n_out, 1,
			memory_order_relaxed);
	}
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
			clear_trouble(en, b->is_begun);
	}
	feed_batch_free(b->feed);
	b->feed = NULL;
}

static int64_t next_wake(struct engine *en, bool is_fine)
{
	int64_t timer = timers_next(&en->timers), deadline = dispatch_next_deadline(en);
	int64_t next = timer < deadline ? timer : deadline;
	int64_t soon = clock_mono_ms() + TRY_AGAIN_MS;

	return !is_fine && soon < next ? soon : next;
}

static void append_tasks(struct task **list, struct task *more)
{
	while (*list)
		list = (struct task **)&(*list)->node.next;
	*list = more;
}

struct backlog {
	struct queue_node *commands, *verdicts;
};

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
	append_tasks(&b.tasks, dispatch_timeouts(en, clock_mono_ms()));
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

/* Waits for work, unless there is some already or the end has come. */
static void wait_for_work(struct engine *en, struct backlog *backlog, bool is_fine, bool is_last)
{
	bool has_more = backlog->commands || backlog->verdicts;
	int64_t until_ms = 0;

	if (!is_last && en->try_again_ms)
		until_ms = en->try_again_ms;
	else if (!is_last && !has_more)
		until_ms = next_wake(en, is_fine);
	if (!backlog->commands)
		backlog->commands = queue_take(&en->commands, until_ms);
}

static void turn(struct engine *en, struct backlog *backlog, bool *is_fine)
{
	struct batch b;

	if (en->try_again_ms && clock_mono_ms() < en->try_again_ms) {
		refuse_commands(en, backlog);
		return;
	}
	b = batch_take(en, backlog);
	batch_run(en, &b);
	if (!atomic_load(&en->is_stopping))
		*is_fine = dispatch_run(en);
}

static bool has_work(struct engine *en, struct backlog *backlog)
{
	if (!backlog->commands)
		backlog->commands = queue_take(&en->commands, 0);
	if (!backlog->verdicts)
		backlog->verdicts = queue_take(&en->verdicts, 0);
	return backlog->commands || backlog->verdicts;
}

void *sequencer_run(void *engine)
{
	struct engine *en = engine;
	struct backlog backlog = {0};
	bool is_fine = true, is_last = false, has_stopped = false;

	while (!is_last || (!en->try_again_ms && has_work(en, &backlog))) {
		/* Looked at before taking: what came before the end is still handled. */
		is_last = is_last || atomic_load(&en->is_ending);
		wait_for_work(en, &backlog, is_fine, is_last);
		turn(en, &backlog, &is_fine);
		if (atomic_load(&en->is_stopping) && !has_stopped) {
			has_stopped = true;
			sem_post(&en->stopped);
		}
	}
	while (has_work(en, &backlog)) { /* there is no room for it on the disk */
		refuse_commands(en, &backlog);
		free_tasks((struct task *)steal_ptr(backlog.verdicts));
	}
	return NULL;
}
