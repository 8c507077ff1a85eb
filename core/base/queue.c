/* A queue between threads: a list under one lock, a condition for takers that block, an eventfd for
 * takers in an event loop. */
#include "base/queue.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int queue_init(struct queue *q, bool with_fd)
{
	pthread_condattr_t attr;

	*q = (struct queue){.event_fd = -1};
	q->last = &q->first;
	if (with_fd) {
		q->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (q->event_fd < 0)
			return -errno;
	}
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->ready, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void queue_fini(struct queue *q)
{
	if (q->event_fd >= 0)
		close(q->event_fd);
	pthread_cond_destroy(&q->ready);
	pthread_mutex_destroy(&q->lock);
}

/* With the lock free: who wakes up does not have to wait for it at once. */
static void wake(struct queue *q)
{
	if (q->event_fd >= 0)
		eventfd_write(q->event_fd, 1);
	else
		pthread_cond_signal(&q->ready);
}

void queue_push_all(struct queue *q, struct queue_node *first)
{
	struct queue_node *last = first;
	bool was_empty;

	while (last->next)
		last = last->next;
	pthread_mutex_lock(&q->lock);
	was_empty = !q->first;
	*q->last = first;
	q->last = &last->next;
	pthread_mutex_unlock(&q->lock);
	if (was_empty)
		wake(q);
}

void queue_push(struct queue *q, struct queue_node *node)
{
	node->next = NULL;
	queue_push_all(q, node);
}

void queue_poke(struct queue *q)
{
	bool was_poked;

	pthread_mutex_lock(&q->lock);
	was_poked = q->poked;
	q->poked = true;
	pthread_mutex_unlock(&q->lock);
	if (!was_poked)
		wake(q);
}

static bool wait_until(struct queue *q, int64_t until_ms)
{
	struct timespec ts = {
		.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = until_ms % 1000 * 1000000};

	if (until_ms == 0)
		return false;
	if (until_ms == INT64_MAX)
		return pthread_cond_wait(&q->ready, &q->lock) == 0;
	return pthread_cond_timedwait(&q->ready, &q->lock, &ts) == 0;
}

struct queue_node *queue_take(struct queue *q, int64_t until_ms)
{
	struct queue_node *all;
	eventfd_t ignored;

	pthread_mutex_lock(&q->lock);
	while (!q->first && !q->poked && wait_until(q, until_ms))
		;
	all = q->first;
	q->first = NULL;
	q->last = &q->first;
	q->poked = false;
	if (q->event_fd >= 0)
		eventfd_read(q->event_fd, &ignored);
	pthread_mutex_unlock(&q->lock);
	return all;
}
