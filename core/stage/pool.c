/* The threads of one instance: who runs which task when.
 *
 * Under one lock: the ready tasks in order, and a heap of those that answered SL_LATER by the time they go
 * on. Idle threads wait for work; one of them, the keeper, also watches the top of the heap. A thread
 * takes one task at a time and delivers its verdict at once: any call may block, and neither a task nor
 * a verdict waits behind somebody else's call. A thread cannot be stopped: one whose call does not come
 * back in time is counted as lost and another takes its place, until the call returns after all. */
#include "stage/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "stage/later.h"
#include "stage/tickets.h"

enum { LOST_MAX = 64 };

/* One call that is going on; on its thread's stack. */
struct call {
	struct call *next;
	const struct task *task;
	bool is_lost;
};

struct thread {
	pthread_t id;
	bool is_used, is_over; /* over: to be joined */
};

struct pool {
	const struct pool_kind *kind;
	struct instance *instance;
	void (*on_verdicts)(void *arg, struct task *first);
	void *arg;

	pthread_mutex_t lock;
	pthread_cond_t work;  /* idle threads but the keeper */
	pthread_cond_t timer; /* the keeper */
	bool has_keeper;
	struct task_list ready;
	struct later later;
	struct tickets tickets; /* of all that have been called and have no verdict yet */
	struct call *calls;
	size_t n_starting, n_waking, n_idle, n_running, n_lost;
	atomic_bool is_stopping;
	size_t n_threads, max_threads, n_slots;
	struct thread slots[];
};

/* --- threads --- */

static void *worker(void *arg);

static struct thread *free_slot(struct pool *p)
{
	for (size_t i = 0; i < p->n_slots; i++) {
		struct thread *t = &p->slots[i];

		if (t->is_over)
			pthread_join(t->id, NULL); /* it has nothing left to do */
		else if (t->is_used)
			continue;
		*t = (struct thread){0};
		return t;
	}
	return NULL;
}

static bool may_start_thread(const struct pool *p)
{
	return p->n_threads < p->max_threads + p->n_lost && p->n_threads < p->n_slots;
}

static int start_thread(struct pool *p)
{
	struct thread *slot = free_slot(p);
	int r = slot ? -pthread_create(&slot->id, NULL, worker, p) : -EAGAIN;

	if (r < 0) {
		log_warn("stage=%s threads=%zu: no further thread: %s",
			instance_spec(p->instance)->name, p->n_threads, strerror(-r));
		return r;
	}
	slot->is_used = true;
	p->n_threads++;
	p->n_starting++;
	return 0;
}

/* Wakes a thread when there is work, or starts one as far as the limit allows. One at a time: whoever takes a
 * task calls the next, so that short tasks do not wake more threads than they need. */
static void call_for_help(struct pool *p)
{
	bool is_wanted = p->ready.n || (p->later.n && !p->has_keeper);

	if (!is_wanted || p->n_waking || p->n_starting)
		return;
	if (p->n_idle > p->has_keeper)
		pthread_cond_signal(&p->work);
	else if (p->has_keeper)
		pthread_cond_signal(&p->timer);
	else if (may_start_thread(p))
		start_thread(p);
	p->n_waking = p->n_idle > 0;
}

/* Moves what is due from the heap: to the ready tasks, or to `finished` when its time is up. */
static void take_due(struct pool *p, struct task_list *finished)
{
	int64_t now_ms = clock_mono_ms();

	while (later_next_ms(&p->later) <= now_ms) {
		struct task *t = later_take(&p->later);

		if (later_goes_on(&p->later, t, now_ms)) {
			task_list_add(&p->ready, t);
		} else {
			later_time_out(&p->later, t);
			task_list_add(finished, t);
		}
	}
}

static void wait_as_keeper(struct pool *p)
{
	p->has_keeper = true;
	if (p->later.n) {
		int64_t ms = later_next_ms(&p->later);
		struct timespec until = {ms / 1000, ms % 1000 * 1000000};

		pthread_cond_timedwait(&p->timer, &p->lock, &until);
	} else {
		pthread_cond_wait(&p->timer, &p->lock);
	}
	p->has_keeper = false;
}

static void wait_for_work(struct pool *p)
{
	p->n_idle++;
	if (p->has_keeper)
		pthread_cond_wait(&p->work, &p->lock);
	else
		wait_as_keeper(p);
	p->n_idle--;
	p->n_waking = 0;
}

/* The answer is final, or the task goes on later. */
static void take_answer(struct pool *p, struct task *t, struct task_list *finished)
{
	if (t->verdict != VERDICT_LATER) {
		task_list_add(finished, t);
	} else if (later_push(&p->later, t) < 0) {
		t->verdict = VERDICT_RETRY;
		task_list_add(finished, t);
	} else if (!t->heap_at && p->has_keeper) {
		pthread_cond_signal(&p->timer);
	}
}

static void deliver(struct pool *p, struct task_list *finished)
{
	struct task *first = finished->first;

	for (struct task *t = first; t; t = task_next(t))
		tickets_give_back(&p->tickets, t->ticket);
	*finished = (struct task_list){0};
	if (!first)
		return;
	pthread_mutex_unlock(&p->lock);
	p->on_verdicts(p->arg, first);
	pthread_mutex_lock(&p->lock);
}

static void call_begin(struct pool *p, struct call *c, struct task *t)
{
	if (!t->started_us) /* here and not in the call: read under the lock */
		t->started_us = clock_mono_us();
	if (!t->ticket)
		t->ticket = tickets_take(&p->tickets, t);
	t->is_woken = false;
	*c = (struct call){.next = p->calls, .task = t};
	p->calls = c;
	p->n_running++;
}

static void call_end(struct pool *p, struct call *c)
{
	struct call **at = &p->calls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	p->n_running--;
	p->n_lost -= c->is_lost;
}

/* One round with the lock held: what is late is answered, or a task is run, or the thread waits. */
static void work(struct pool *p)
{
	struct task_list finished = {0};
	struct task *t = NULL;
	struct call call;

	take_due(p, &finished);
	if (!finished.n && !(t = task_list_take(&p->ready))) {
		wait_for_work(p);
		return;
	}
	call_for_help(p);
	if (t) {
		call_begin(p, &call, t);
		pthread_mutex_unlock(&p->lock);
		task_set_mark(t, TASK_MARK_RUNNING);
		instance_run(p->instance, t);
		task_set_mark(t, TASK_MARK_LATER);
		pthread_mutex_lock(&p->lock);
		call_end(p, &call);
		take_answer(p, t, &finished);
	}
	deliver(p, &finished);
}

/* A lost call came back: there is a thread too many. */
static void leave(struct pool *p)
{
	for (size_t i = 0; i < p->n_slots; i++)
		if (p->slots[i].is_used && pthread_equal(p->slots[i].id, pthread_self()))
			p->slots[i].is_over = true;
	p->n_threads--;
	call_for_help(p);
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	char name[16]; /* what fits is shown by top and gdb */

	snprintf(name, sizeof name, "stage-%s", instance_spec(p->instance)->name);
	pthread_setname_np(pthread_self(), name);
	pthread_mutex_lock(&p->lock);
	p->n_starting--;
	while (!atomic_load(&p->is_stopping) && p->n_threads <= p->max_threads + p->n_lost)
		work(p);
	if (!atomic_load(&p->is_stopping))
		leave(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int init_locks(struct pool *p)
{
	pthread_condattr_t attr;
	int r = pthread_condattr_init(&attr);

	if (r)
		return -r;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->timer, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

static void pool_free(struct pool *p)
{
	pthread_cond_destroy(&p->timer);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	tickets_fini(&p->tickets);
	later_fini(&p->later);
	free(p);
}

/* What happens while the call is still in the plugin is remembered until it has answered. */
static int pool_wake(void *arg, uint64_t ticket)
{
	struct pool *p = arg;
	struct task *t;
	int r = -ENOENT;

	pthread_mutex_lock(&p->lock);
	t = tickets_find(&p->tickets, ticket);
	if (t && later_wake(&p->later, t)) {
		r = 0;
		if (!t->heap_at && p->has_keeper)
			pthread_cond_signal(&p->timer);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

static int threads_create(struct instance *in, size_t workers,
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct pool **ret)
{
	size_t n = workers && instance_is_concurrent(in) ? workers : 1;
	/* A stage that takes one call at a time cannot have another thread beside a lost one. */
	size_t n_slots = instance_is_concurrent(in) ? n + LOST_MAX : n;
	struct pool *p = calloc(1, sizeof *p + n_slots * sizeof p->slots[0]);
	int r;

	if (!p)
		return -ENOMEM;
	p->kind = &pool_of_threads;
	p->instance = in;
	p->on_verdicts = on_verdicts;
	p->arg = arg;
	p->later.timeout_ms = instance_spec(in)->timeout_ms;
	p->max_threads = n;
	p->n_slots = n_slots;
	r = init_locks(p);
	if (r < 0) {
		free(p);
		return r;
	}
	pthread_mutex_lock(&p->lock);
	r = start_thread(p);
	pthread_mutex_unlock(&p->lock);
	if (r < 0) {
		pool_free(p);
		return r;
	}
	instance_set_waker(in, pool_wake, p);
	*ret = p;
	return 0;
}

static void threads_submit(struct pool *p, struct task *first)
{
	pthread_mutex_lock(&p->lock);
	for (struct task *t = first, *next; t; t = next) {
		next = task_next(t);
		task_list_add(&p->ready, t);
	}
	call_for_help(p);
	pthread_mutex_unlock(&p->lock);
}

static struct call *call_find(struct pool *p, int64_t order_seq, uint32_t attempt, bool undo)
{
	struct call *c = p->calls;

	while (c && (c->task->order_seq != order_seq || c->task->attempt != attempt ||
			    c->task->undo != undo))
		c = c->next;
	return c;
}

static int64_t threads_ask(
	struct pool *p, int64_t order_seq, uint32_t attempt, bool undo, int64_t now_ms)
{
	int64_t again_ms = 0;
	struct call *c;

	pthread_mutex_lock(&p->lock);
	c = call_find(p, order_seq, attempt, undo);
	if (c) {
		int64_t deadline = later_deadline_ms(&p->later, c->task);

		again_ms = deadline > now_ms ? deadline : 0;
		if (!again_ms && !c->is_lost) {
			c->is_lost = true;
			p->n_lost++;
			call_for_help(p);
		}
	} else if (p->n_lost < p->n_threads || may_start_thread(p)) {
		again_ms = now_ms + p->later.timeout_ms;
	}
	pthread_mutex_unlock(&p->lock);
	return again_ms;
}

static void threads_destroy(struct pool *p)
{
	instance_set_waker(p->instance, NULL, NULL);
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->is_stopping, true);
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->timer);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->n_slots; i++)
		if (p->slots[i].is_used)
			pthread_join(p->slots[i].id, NULL);
	task_list_free(&p->ready);
	pool_free(p);
}

static void threads_counts(struct pool *p, struct pool_counts *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = (struct pool_counts){
		.threads = p->n_threads,
		.running = p->n_running,
		.waiting = p->ready.n,
		.later = p->later.n,
	};
	pthread_mutex_unlock(&p->lock);
}

const struct pool_kind pool_of_threads = {.create = threads_create,
	.submit = threads_submit,
	.ask = threads_ask,
	.destroy = threads_destroy,
	.counts = threads_counts};
