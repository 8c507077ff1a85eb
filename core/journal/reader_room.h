/* What the two halves of the reader share; not for others (tests look at the connection). */
#pragma once

#include "journal/reader.h"
#include "journal/sql.h"

enum reader_statement {
	READER_BEGIN,
	READER_END,
	READER_LAST,
	READER_FIND,
	READER_ID,
	READER_ORDER,
	READER_EVENTS,
	READER_GENERATION,
	READER_ROW,
	READER_COUNTS,
	READER_UNFINISHED,
	READER_OPEN_GENERATIONS,
	READER_OF_GENERATION,
	READER_STATE,
	READER_LOOK,
	READER_STATEMENTS
};

struct reader {
	sqlite3 *db;
	struct pipeline_set *set; /* borrowed */
	sqlite3_stmt *stmts[READER_STATEMENTS];
};

#define READER_STATE_TEXT                                                                          \
	"SELECT key, value FROM state WHERE key >= ?1 AND key < ?2 AND key > ?3"                   \
	" ORDER BY key LIMIT ?4"
/* Of a statement of that text. */
int reader_list_state(sqlite3_stmt *s, const struct state_page *page,
	int (*on_entry)(void *arg, struct str key, struct str json), void *arg, struct err *e);
