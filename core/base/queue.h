/* A queue between threads: any thread pushes, one thread takes everything there is.
 *
 * The queue itself has no limit. Its users admit work before they push (a count of unanswered
 * commands, credits for tasks that are out), so a push never fails and nothing is lost in between.
 * Nodes are embedded in the items; the queue never allocates. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue_node {
	struct queue_node *next;
};

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t ready;
	struct queue_node *first, **last;
	bool poked;
	int event_fd; /* becomes readable on a push into the empty queue; -1: none */
};

/* `with_fd`: for a taker that sits in an event loop and must not block. Negative errno. */
int queue_init(struct queue *q, bool with_fd);
void queue_fini(struct queue *q);
void queue_push(struct queue *q, struct queue_node *node);
/* A list linked by `next`, oldest first. */
void queue_push_all(struct queue *q, struct queue_node *first);
/* Wakes the taker without an item. */
void queue_poke(struct queue *q);
/* All items, oldest first; NULL when there are none. Waits until `until_ms` (monotonic; 0: does not
 * wait, INT64_MAX: for ever). Clears the event fd. */
struct queue_node *queue_take(struct queue *q, int64_t until_ms);
