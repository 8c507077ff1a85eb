/* A journal that comes to be from the events of another: replays up to a moment, imports, recoveries. It is built
 * beside its name and gets it when it is whole and on disk. */
#pragma once

#include "journal/chain_row.h"
#include "journal/folding.h"

struct journal_copy;

/* -EEXIST: something has that name. Generations go to `set`. */
int journal_copy_begin(
	const char *path, struct pipeline_set *set, struct journal_copy **ret, struct err *e);
/* Takes over a row as it stands, and what follows from it. */
int journal_copy_row(
	struct journal_copy *c, const struct chain_row *row, bool is_after_gap, struct err *e);
/* The same, as a chain_visitor's on_row. */
int journal_copy_on_row(void *copy, const struct chain_row *row, bool is_after_gap, struct err *e);
/* Appends an event of its own, as the journal's writer would: gets its seq, salt and hash. */
int journal_copy_append(struct journal_copy *c, struct event *ev, struct err *e);
/* How many orders could not be folded to their end, because events are missing in a gap; the first `max` of them. */
int64_t journal_copy_broken(const struct journal_copy *c, struct id *ids, size_t max);
/* How many orders under way have no event from `seq` on; the first `max` of them. */
int64_t journal_copy_open_before(
	const struct journal_copy *c, int64_t seq, struct id *ids, size_t max);
/* The database that is being built, within its transaction: for looking at rows that were taken over. */
sqlite3 *journal_copy_db(struct journal_copy *c);
/* Writes everything to disk under its name. The copy is gone after it in any case. */
int journal_copy_finish(struct journal_copy *c, struct err *e);
/* Drops it. NULL is fine. */
void journal_copy_abort(struct journal_copy *c);

static inline void journal_copy_abortp(struct journal_copy **c)
{
	journal_copy_abort(*c);
}
