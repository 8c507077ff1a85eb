/* Folding a whole journal: each event once, oldest first, into the projections of a database that has the tables. The
 * writer's own functions do it, so that the rows are the same (P3). Memory is that of the orders under way. */
#pragma once

#include "journal/projection.h"
#include "model/pipeline.h"

enum { FOLDING_BROKEN_MAX = 100 };

struct folding {
	sqlite3 *db; /* borrowed: where the rows go */
	struct pipeline_set *set;
	struct projection projection;
	void *open; /* tsearch() tree of orders that are not terminal, by seq */
	bool is_broken; /* events are missing in a known gap: orders that do not fit are left as they stand */
	struct id broken[FOLDING_BROKEN_MAX]; /* the first of them */
	int64_t n_broken; /* such orders; an event of each that follows is passed over */
	int64_t n_events;
	int failed;
	struct err *e;
};

/* Events are missing from here on. */
void folding_break(struct folding *f);
int folding_init(struct folding *f, sqlite3 *db, struct pipeline_set *set, struct err *e);
/* `ev` needs its order's id on order_created alone. -EPROTO: it does not fit its order. */
int folding_event(struct folding *f, const struct event *ev, struct err *e);
/* Counts the orders under way of which no event was folded from `seq` on; `ids` takes the first `max` of them. */
int64_t folding_open_before(const struct folding *f, int64_t seq, struct id *ids, size_t max);
/* After the last event: what is still open, and what was kept in memory. */
int folding_end(struct folding *f, struct err *e);
void folding_fini(struct folding *f);
