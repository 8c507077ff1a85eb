/* What the threads of a pool do: wait, take what is due, run one task, deliver its verdict. */
#include "stage/threads.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

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

bool threads_may_start(const struct pool *p)
{
	return p->n_threads < p->max_threads + p->n_lost && p->n_threads < p->n_slots;
}

int threads_start(struct pool *p)
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

pthread_cond_t *threads_call(struct pool *p)
{
	bool is_wanted = p->ready.n || (p->later.n && !p->has_keeper);
	pthread_cond_t *cond = NULL;

	if (!is_wanted || p->n_waking || p->n_starting)
		return NULL;
	if (p->n_idle > p->has_keeper)
		cond = &p->work;
	else if (p->has_keeper)
		cond = &p->timer;
	else if (threads_may_start(p))
		threads_start(p);
	p->n_waking = p->n_idle > 0;
	return cond;
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

/* The answer is final, or the task goes on later; but not one that was given up. */
static void take_answer(struct pool *p, struct task *t, bool is_lost, struct task_list *finished)
{
	if (is_lost && t->verdict == VERDICT_LATER)
		later_time_out(&p->later, t);
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
	threads_wake(threads_call(p));
	if (t) {
		call_begin(p, &call, t);
		pthread_mutex_unlock(&p->lock);
		task_set_mark(t, TASK_MARK_RUNNING);
		instance_run(p->instance, t);
		task_set_mark(t, TASK_MARK_LATER);
		pthread_mutex_lock(&p->lock);
		call_end(p, &call);
		take_answer(p, t, call.is_lost, &finished);
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
	threads_wake(threads_call(p));
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
