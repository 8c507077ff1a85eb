/* What the two files of the pool of threads share: pool.c is for the engine, threads.c is what the threads do. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "stage/later.h"
#include "stage/pool.h"
#include "stage/tickets.h"

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

/* All of these with the lock held. Whether one more thread is allowed. */
bool threads_may_start(const struct pool *p);
int threads_start(struct pool *p);
/* Wakes a thread when there is work, or starts one. One at a time: whoever takes a task calls the next, so that
 * short tasks do not wake more threads than they need. Returns what is to be signalled, best with the lock free; NULL:
 * nothing. */
pthread_cond_t *threads_call(struct pool *p);
static inline void threads_wake(pthread_cond_t *cond)
{
	if (cond)
		pthread_cond_signal(cond);
}
