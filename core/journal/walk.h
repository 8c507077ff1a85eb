/* The walk along the hash chain, event by event, for all who look at a journal as a whole: they get to see what is
 * right, and it ends at the first event that is not. */
#pragma once

#include "journal/chain_row.h"
#include "journal/verify.h"

struct chain_visitor {
	/* An event that is right; `is_after_gap`: events before it are missing in a known gap. */
	int (*on_row)(void *arg, const struct chain_row *row, bool is_after_gap, struct err *e);
	void *arg;
};

/* Opens the journal for it: schema_open(), where a file that SQLite cannot read is damage to the first event. */
int chain_open(const char *path, struct verify_report *report, sqlite3 **ret, struct err *e);
/* `db`: within a transaction, so that all reads see one moment. `visitor` may be NULL. Otherwise as
 * journal_verify_chain(). */
int chain_walk(sqlite3 *db, const struct verify_request *request,
	const struct chain_visitor *visitor, struct verify_report *ret, struct err *e);
