/* Gaps that a journal knows of: a recovery from a damaged file could not save these events, and said so in an event
 * of its own, `journal_recovered`. Its metadata is
 *
 *   {"missing": [[FROM, TO, HASH], …]}     HASH: of event TO + 1, in hex, where the chain was picked up again
 *
 * so that the chain covers what is said about the gap. A gap that no event tells of is a deletion. */
#pragma once

#include "base/json.h"
#include "journal/chain.h"
#include "journal/sql.h"

struct chain_gap {
	int64_t from, to; /* seqs of the missing events */
	uint8_t next[CHAIN_HASH_SIZE];
};

struct chain_gaps {
	struct chain_gap *list; /* ascending */
	size_t n, cap;
};

int chain_gaps_add(struct chain_gaps *gaps, const struct chain_gap *gap);
void chain_gaps_fini(struct chain_gaps *gaps);
/* The gap with that event; NULL. */
const struct chain_gap *chain_gaps_find(const struct chain_gaps *gaps, int64_t seq);

/* All that the journal's events tell of: one look at every row. -EBADMSG: such an event cannot be read. */
int chain_gaps_read(sqlite3 *db, struct chain_gaps *ret, struct err *e);
/* The metadata of the event. */
void chain_gaps_json(const struct chain_gaps *gaps, struct json_writer *w);
