/* That the remains of removed events are what was left of them, so that erasing hides no change.
 *
 * A removal (order_erased, order_archived) says in its payload, as `kept`, of each earlier event of its order:
 *
 *   seq − order_seq ":" first 16 bytes of SHA-256(remains) as lowercase hex, separated by ","
 *
 * where the remains are the payload as it stands in the row from then on. The payload of the removal is covered by
 * the chain, with a salt of its own, since the order's is gone. */
#pragma once

#include "journal/chain.h"
#include "journal/sql.h"

enum { KEPT_DIGEST_SIZE = 16, KEPT_SLOTS = 64 };

/* Adds one event to the text; `n` is how many it has already. */
void kept_add(struct buf *text, int64_t order_seq, int64_t seq, struct str remains);

/* What removals say, read once per order while its events pass. */
struct kept_cache {
	sqlite3_stmt *find;
	struct chain *chain; /* borrowed */
	struct {
		int64_t order_seq; /* 0: empty */
		char *text;	   /* owned; NULL: no removal that can be believed */
	} slots[KEPT_SLOTS];
};

int kept_cache_init(struct kept_cache *c, sqlite3 *db, struct chain *chain, struct err *e);
void kept_cache_fini(struct kept_cache *c);
/* 1: the payload is what the order's removal left. 0: it is not. -ENOENT: no removal tells, or it is damaged
 * itself, which shows when its own turn comes. */
int kept_check(
	struct kept_cache *c, int64_t order_seq, int64_t seq, struct str payload, struct err *e);
