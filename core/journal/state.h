/* Stageline's state (stock, ledgers) as the writer sees it: the table `state` behind a map, so that
 * a key that a hundred orders of a batch change is read once and written once.
 *
 * Values are canonical JSON: the same changes give the same bytes. Integers are kept as numbers. */
#pragma once

#include "journal/sql.h"
#include "model/event.h"

struct state_entry;

enum { STATE_BUCKETS = 1024, STATE_KEPT_MAX = 4096 };

struct state {
	sqlite3_stmt *find, *put, *drop;
	struct arena arena; /* entries, keys and values */
	struct buf text;    /* of the value being made or written */
	struct state_entry *buckets[STATE_BUCKETS];
	struct state_entry *dirty; /* what flush has to write */
	size_t n;
};

int state_init(struct state *s, sqlite3 *db, struct err *e);
/* An empty state in a database of its own, which is to be closed after state_fini(). */
int state_open_scratch(struct state *s, sqlite3 **ret_db, struct err *e);
void state_fini(struct state *s);

/* -EPROTO: below its floor, which decide had checked; -EINVAL: adding to what is no integer. */
int state_apply(struct state *s, const struct effect *f, struct err *e);
/* Writes what has changed into the table. Keeps what it knows, up to a bound. */
int state_flush(struct state *s, struct err *e);
/* Forgets everything, changes too. */
void state_clear(struct state *s);

/* 0 when absent; -EINVAL: not an integer. */
int state_number(struct state *s, struct str key, int64_t *ret, struct err *e);
/* 1, 0, or negative errno. */
int state_has(struct state *s, struct str key, struct err *e);
