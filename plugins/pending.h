/* Calls to the outside that are under way, found by the ticket of their attempt. Not locked. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PENDING_BUCKETS = 1024 };

/* Stands first in the struct of a call. */
struct pending_call {
	uint64_t ticket;
	struct pending_call *next;
};

struct pending {
	struct pending_call *buckets[PENDING_BUCKETS];
};

static inline struct pending_call **pending_find(struct pending *p, uint64_t ticket)
{
	struct pending_call **at = &p->buckets[ticket % PENDING_BUCKETS];

	while (*at && (*at)->ticket != ticket)
		at = &(*at)->next;
	return at;
}

static inline void pending_add(struct pending *p, struct pending_call *c)
{
	struct pending_call **at = &p->buckets[c->ticket % PENDING_BUCKETS];

	c->next = *at;
	*at = c;
}

/* The call, which is in it no more; NULL: there is none. */
static inline struct pending_call *pending_take(struct pending *p, uint64_t ticket)
{
	struct pending_call **at = pending_find(p, ticket), *c = *at;

	if (c)
		*at = c->next;
	return c;
}

/* Any call, taken out; NULL when it is empty. */
static inline struct pending_call *pending_take_any(struct pending *p)
{
	for (size_t i = 0; i < PENDING_BUCKETS; i++)
		if (p->buckets[i])
			return pending_take(p, p->buckets[i]->ticket);
	return NULL;
}
