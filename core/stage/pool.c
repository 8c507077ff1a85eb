/* The threads of one instance: who runs which task when.
 *
 * Under one lock: the ready tasks in order, and a heap of those that answered SL_LATER by the time they go
 * on. Idle threads wait for work; one of them, the keeper, also watches the top of the heap. A thread
 * takes one task at a time and delivers its verdict at once: any call may block, and neither a task nor
 * a verdict waits behind somebody else's call. A thread cannot be stopped: one whose call does not come
 * back in time is counted as lost and another takes its place, until the call returns after all. */
#include "base/clock.h"
#include "base/mem.h"
#include "stage/threads.h"

enum { LOST_MAX = 64 };

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
	if (t && later_goes_on(&p->later, t, clock_mono_ms())) {
		later_wake(&p->later, t);
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
	r = threads_start(p);
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
	pthread_cond_t *cond;

	pthread_mutex_lock(&p->lock);
	for (struct task *t = first, *next; t; t = next) {
		next = task_next(t);
		task_list_add(&p->ready, t);
	}
	cond = threads_call(p);
	pthread_mutex_unlock(&p->lock);
	threads_wake(cond);
}

static struct call *call_find(struct pool *p, const struct task *about)
{
	struct call *c = p->calls;

	while (c && !task_is_same_attempt(c->task, about))
		c = c->next;
	return c;
}

static int64_t ask_of_call(struct pool *p, struct call *c, int64_t now_ms)
{
	int64_t deadline_ms = later_deadline_ms(&p->later, c->task);

	if (deadline_ms > now_ms)
		return deadline_ms;
	if (!c->is_lost) {
		c->is_lost = true;
		p->n_lost++;
		threads_wake(threads_call(p));
	}
	return 0;
}

static bool is_clogged(const struct pool *p)
{
	return p->n_lost && p->n_lost >= p->n_threads && !threads_may_start(p);
}

/* Where nothing runs and nobody watches the heap. The time of one that was never called is what it has waited. */
static int64_t give_up(struct pool *p, const struct task *about, int64_t now_ms, struct task **ret)
{
	struct task *t = task_list_find(&p->ready, about);

	if (!t)
		t = later_find(&p->later, about);
	if (t && t->started_us && later_deadline_ms(&p->later, t) > now_ms)
		return later_deadline_ms(&p->later, t);
	if (t) {
		if (t->heap_at == TASK_NOT_IN_HEAP)
			task_list_remove(&p->ready, t);
		else
			later_remove(&p->later, t);
		tickets_give_back(&p->tickets, t->ticket);
		later_time_out(&p->later, t);
		if (!t->started_us)
			t->duration_us = p->later.timeout_ms * 1000;
		*ret = t;
	}
	return now_ms + p->later.timeout_ms;
}

static int64_t threads_ask(
	struct pool *p, const struct task *about, int64_t now_ms, struct task **ret)
{
	int64_t again_ms = now_ms + p->later.timeout_ms;
	struct call *c;

	pthread_mutex_lock(&p->lock);
	c = call_find(p, about);
	if (c)
		again_ms = ask_of_call(p, c, now_ms);
	else if (is_clogged(p))
		again_ms = give_up(p, about, now_ms, ret);
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
		.lost = p->n_lost,
		.is_clogged = is_clogged(p),
	};
	pthread_mutex_unlock(&p->lock);
}

const struct pool_kind pool_of_threads = {.create = threads_create,
	.submit = threads_submit,
	.ask = threads_ask,
	.destroy = threads_destroy,
	.counts = threads_counts};
