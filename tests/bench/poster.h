/* Places orders over a pool of keep-alive connections, which grows as needed: a slow answer delays no other
 * order. One loop, one thread. */
#pragma once

#include <event2/event.h>

#include "base/id.h"

struct poster;

/* `on_placed`: order `n` was answered with 200 and this id; NULL: it was refused, or there was no answer.
 * Borrows `body` and `arg`. Never NULL: ends the program without memory. */
struct poster *poster_new(struct event_base *base, unsigned short port, const char *body,
	void (*on_placed)(void *arg, size_t n, const struct id *id), void *arg);
void poster_free(struct poster *p);
void poster_post(struct poster *p, size_t n);
