/* Tickets: a table of seats. A ticket is the number of a seat and how often it was taken. */
#include "stage/tickets.h"

#include "base/mem.h"

enum { SEATS_FIRST = 64, SEATS_MAX = 1 << 24 };

void tickets_fini(struct tickets *ts)
{
	free(ts->seats);
	*ts = (struct tickets){0};
}

static bool grow(struct tickets *ts)
{
	uint32_t n = ts->n ? ts->n * 2 : SEATS_FIRST;
	struct ticket_seat *grown;

	if (n > SEATS_MAX)
		return false;
	grown = realloc(ts->seats, n * sizeof *grown);
	if (!grown)
		return false;
	for (uint32_t i = ts->n; i < n; i++)
		grown[i] = (struct ticket_seat){.next_free = i + 1};
	ts->seats = grown;
	ts->free = ts->n;
	ts->n = n;
	return true;
}

uint64_t tickets_take(struct tickets *ts, struct task *t)
{
	struct ticket_seat *seat;
	uint32_t i;

	if (ts->free == ts->n && !grow(ts))
		return 0;
	i = ts->free;
	seat = &ts->seats[i];
	ts->free = seat->next_free;
	seat->task = t;
	seat->round++;
	return (uint64_t)seat->round << 32 | i;
}

static struct ticket_seat *find(const struct tickets *ts, uint64_t ticket)
{
	uint32_t i = (uint32_t)ticket;
	struct ticket_seat *seat = i < ts->n ? &ts->seats[i] : NULL;

	return seat && seat->task && seat->round == ticket >> 32 ? seat : NULL;
}

struct task *tickets_find(const struct tickets *ts, uint64_t ticket)
{
	const struct ticket_seat *seat = find(ts, ticket);

	return seat ? seat->task : NULL;
}

void tickets_give_back(struct tickets *ts, uint64_t ticket)
{
	struct ticket_seat *seat = find(ts, ticket);

	if (!seat)
		return;
	seat->task = NULL;
	seat->next_free = ts->free;
	ts->free = (uint32_t)ticket;
}
