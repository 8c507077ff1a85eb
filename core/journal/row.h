/* Rows of `events` as events. */
#pragma once

#include "journal/sql.h"
#include "model/event.h"

/* What row_event() reads, of a table named e; the id stands beside every event of the order. */
#define ROW_COLUMNS                                                                                \
	"e.seq, e.time_us, e.order_seq, e.kind, e.type, e.stage, e.attempt, e.payload,"            \
	" CASE WHEN e.id IS NULL AND e.order_seq IS NOT NULL"                                      \
	" THEN (SELECT c.id FROM events c WHERE c.seq = e.order_seq) ELSE e.id END"
enum { ROW_N_COLUMNS = 9 };

/* The event of the statement's row, at the end of `list`, all in its arena. An erased payload
 * leaves its fields absent. -EPROTO: it cannot be read; -ENOMEM. A failure leaves the list as it was. */
int row_event(sqlite3_stmt *s, struct event_list *list, struct event **ret, struct err *e);
