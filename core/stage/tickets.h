/* Tickets: numbers that name tasks to other threads. A number is never given twice, so that one whose task is
 * gone names nothing. Not locked: the pool's lock guards it. */
#pragma once

#include "model/task.h"

struct ticket_seat {
	struct task *task; /* NULL: free */
	uint32_t round;	   /* how often the seat was taken */
	uint32_t next_free;
};

struct tickets {
	struct ticket_seat *seats;
	uint32_t n, free; /* the first free seat; n: none */
};

void tickets_fini(struct tickets *ts);
/* The ticket of the task from now on; 0 when there is no memory for one. */
uint64_t tickets_take(struct tickets *ts, struct task *t);
/* The task, or NULL when it has given its ticket back. */
struct task *tickets_find(const struct tickets *ts, uint64_t ticket);
/* 0 does nothing. */
void tickets_give_back(struct tickets *ts, uint64_t ticket);
