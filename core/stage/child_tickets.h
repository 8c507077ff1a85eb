/* Which attempts a stage's process may wake: those whose last call was here, as long as they have time. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct child_ticket;

struct child_tickets {
	pthread_mutex_t lock;
	struct child_ticket *seats; /* by the seat that a ticket of the daemon names */
	size_t n;
};

/* A call on the ticket's task begins. It can be woken until `until_ms` (monotonic). -ENOMEM. */
int child_tickets_begin(struct child_tickets *ts, uint64_t ticket, int64_t until_ms);
/* It has its verdict. */
void child_tickets_end(struct child_tickets *ts, uint64_t ticket);
/* Any thread. 1: woken; 0: it was, since its last call began; -ENOENT: it is gone, or its time is up. */
int child_tickets_wake(struct child_tickets *ts, uint64_t ticket, int64_t now_ms);
