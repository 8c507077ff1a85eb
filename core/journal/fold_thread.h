/* A folding with a thread of its own: one thread reads, checks and decodes rows, the other folds them. */
#pragma once

#include "journal/chain_row.h"
#include "journal/folding.h"
#include "journal/verify.h"

/* Walks the chain of `db` (chain_walk()) and folds all events. */
int fold_chain(sqlite3 *db, struct folding *f, const struct journal_watch *watch,
	struct verify_report *ret, struct err *e);
