/* Taking away what an order's events said: the rows keep header, digest and remains; salt, key, address and products go.
 * [sequencer] */
#pragma once

#include "journal/projection.h"
#include "journal/salt.h"

enum removal_statement { REMOVAL_STANDING, REMOVAL_EVENTS, REMOVAL_REDUCE, REMOVAL_STATEMENTS };

struct removal {
	sqlite3_stmt *stmts[REMOVAL_STATEMENTS];
	struct buf text; /* the remains of one event */
};

int removal_init(struct removal *m, sqlite3 *db, struct err *e);
void removal_fini(struct removal *m);

/* Whether the order may be removed from: 0. -ENOENT: there is no such order. -EBUSY: it has not ended, as far as its
 * row says. -EALREADY: it was erased before. -EXDEV: it was archived. */
int removal_check(struct removal *m, int64_t order_seq, struct err *e);
/* Reduces every event of the order to its remains, and the rows that followed from more; adds to `kept` what the
 * removal is to say of them. `kind`: of the removal. */
int removal_reduce(struct removal *m, struct projection *p, int64_t order_seq, enum event_kind kind,
	struct buf *kept, struct err *e);
