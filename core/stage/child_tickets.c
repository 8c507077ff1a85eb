/* The tickets of the daemon name seats of a table there (tickets.c); here is what of it concerns this process. */
#include "stage/child_tickets.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum { SEATS_FIRST = 64 };

struct child_ticket {
	uint64_t ticket; /* 0: nobody */
	int64_t until_ms;
	bool is_woken;
};

static bool reach(struct child_tickets *ts, size_t seat)
{
	size_t n = ts->n ? ts->n : SEATS_FIRST;
	struct child_ticket *grown;

	if (seat < ts->n)
		return true;
	while (n <= seat)
		n *= 2;
	grown = realloc(ts->seats, n * sizeof *grown);
	if (!grown)
		return false;
	memset(grown + ts->n, 0, (n - ts->n) * sizeof *grown);
	ts->seats = grown;
	ts->n = n;
	return true;
}

static struct child_ticket *find(struct child_tickets *ts, uint64_t ticket)
{
	size_t seat = (uint32_t)ticket;

	return ticket && seat < ts->n && ts->seats[seat].ticket == ticket ? &ts->seats[seat] : NULL;
}

int child_tickets_begin(struct child_tickets *ts, uint64_t ticket, int64_t until_ms)
{
	size_t seat = (uint32_t)ticket;
	bool has_room;

	if (!ticket)
		return 0;
	pthread_mutex_lock(&ts->lock);
	has_room = reach(ts, seat);
	if (has_room)
		ts->seats[seat] = (struct child_ticket){ticket, until_ms, false};
	pthread_mutex_unlock(&ts->lock);
	return has_room ? 0 : -ENOMEM;
}

void child_tickets_end(struct child_tickets *ts, uint64_t ticket)
{
	struct child_ticket *t;

	pthread_mutex_lock(&ts->lock);
	t = find(ts, ticket);
	if (t)
		*t = (struct child_ticket){0};
	pthread_mutex_unlock(&ts->lock);
}

int child_tickets_wake(struct child_tickets *ts, uint64_t ticket, int64_t now_ms)
{
	struct child_ticket *t;
	int r = -ENOENT;

	pthread_mutex_lock(&ts->lock);
	t = find(ts, ticket);
	if (t && t->is_woken) {
		r = 0;
	} else if (t && t->until_ms > now_ms) {
		t->is_woken = true;
		r = 1;
	}
	pthread_mutex_unlock(&ts->lock);
	return r;
}
