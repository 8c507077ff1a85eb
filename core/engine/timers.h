/* Timers: when a stage of an order is due again. Monotonic, so that a jump of the wall clock neither fires
 * nor blocks them. A timer is never cancelled; who takes it looks whether it still fits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum timer_kind {
	TIMER_RETRY,   /* the backoff is over */
	TIMER_EXPIRED, /* the wait for an answer from outside is over */
};

struct timer {
	int64_t due_ms; /* monotonic */
	int64_t order_seq;
	uint32_t attempt;
	uint16_t stage;
	uint8_t kind : 4; /* enum timer_kind */
	uint8_t undo : 1;
	uint8_t moves; /* of the order then: the stage is counted in that generation */
};

struct timers {
	struct timer *heap;
	size_t n, cap;
};

int timers_add(struct timers *t, struct timer timer); /* -ENOMEM */
/* The earliest due time, INT64_MAX when there is none. */
int64_t timers_next(const struct timers *t);
/* Takes one that is due at `now_ms`. */
bool timers_take(struct timers *t, int64_t now_ms, struct timer *ret);
void timers_fini(struct timers *t);
