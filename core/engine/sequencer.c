/* The sequencer: the loop that is the only writer. Takes what has arrived, has it decided, commits once,
 * and releases answers, tasks and updates after the commit. */
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "engine/internal.h"

enum { TIMERS_MAX = 256 };

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

/* The same for commands, and behind one that makes a generation current: those after it find that one. */
static struct queue_node *cut_commands(struct queue_node *first)
{
	size_t n = 1;

	for (struct queue_node *c = first; c && n < BATCH_MAX; c = c->next, n++)
		if (((struct command *)c)->kind == COMMAND_RELOAD)
			break;
	return cut(first, n);
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

void batch_try(struct engine *en, struct batch *b)
{
	struct err e = {0};
	int r;

	b->feed = feed_batch_new();
	r = b->feed ? batch_handle(en, b, &e) : err_set(&e, -ENOMEM, "no memory for a batch");
	if (r < 0) {
		if (!e.code)
			err_set(&e, r, "%s", strerror(-r));
		quarantine_batch(en, b, &e);
	} else {
		batch_release(en, b);
		if (b->is_begun || en->try_again_ms)
			batch_clear_trouble(en, b->is_begun);
	}
}

static void batch_run(struct engine *en, struct batch *b)
{
	struct timer timers[TIMERS_MAX];

	b->timers = timers;
	while (b->n_timers < TIMERS_MAX &&
		timers_take(&en->timers, clock_mono_ms(), &timers[b->n_timers]))
		b->n_timers++;
	batch_try(en, b);
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
	rest = cut_commands(backlog->commands);
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
	batch_answer(en, &b);
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
	int64_t retire_ms, upkeep_ms;
	struct batch b;
	bool is_busy, is_over;

	atomic_fetch_add_explicit(&en->n_turns, 1, memory_order_relaxed);
	if (en->try_again_ms && clock_mono_ms() < en->try_again_ms) {
		refuse_commands(en, backlog);
		return;
	}
	b = batch_take(en, backlog);
	is_busy = b.commands || b.tasks || backlog->commands || backlog->verdicts;
	batch_run(en, &b);
	is_over = atomic_load(&en->is_stopping) || batch_was_last(en);
	/* Before those who watch are told: who serves them and a stage's thread would want the same processor. */
	if (!is_over)
		en->again_ms = dispatch_run(en);
	batch_feed(en, &b);
	if (is_over)
		return;
	retire_ms = en->generations->next ? reload_retire(en) : INT64_MAX;
	en->again_ms = retire_ms < en->again_ms ? retire_ms : en->again_ms;
	upkeep_ms = upkeep_run(en, is_busy);
	en->again_ms = upkeep_ms < en->again_ms ? upkeep_ms : en->again_ms;
	batch_was_last(en);
}

int64_t engine_step(struct engine *en)
{
	wait_for_work(en, 0);
	turn(en);
	return next_turn(en);
}

bool engine_has_turned(struct engine *en, uint64_t *turns)
{
	uint64_t now = atomic_load_explicit(&en->n_turns, memory_order_relaxed);
	bool has_turned = now != *turns || en->is_show;

	*turns = now;
	if (!en->is_show)
		queue_poke(&en->commands);
	return has_turned;
}

static bool has_work(struct engine *en)
{
	if (!en->backlog.commands)
		en->backlog.commands = queue_take(&en->commands, 0);
	if (!en->backlog.verdicts)
		en->backlog.verdicts = queue_take(&en->verdicts, 0);
	return en->backlog.commands || en->backlog.verdicts;
}

void *sequencer_run(void *engine)
{
	struct engine *en = engine;
	bool is_last = false, has_stopped = false;

	pthread_setname_np(pthread_self(), "sequencer");
	slice_shorten();
	while (!is_last || (!en->try_again_ms && has_work(en))) {
		/* Looked at before taking: what came before the end is still handled. */
		is_last = is_last || atomic_load(&en->is_ending);
		wait_for_work(en, is_last ? 0 : next_turn(en));
		turn(en);
		if (atomic_load(&en->is_stopping) && !has_stopped) {
			has_stopped = true;
			sem_post(&en->stopped);
		}
	}
	/* Verdicts for which the disk has no room are the next start's; people are told. */
	if (has_work(en))
		refuse_commands(en, &en->backlog);
	return NULL;
}
