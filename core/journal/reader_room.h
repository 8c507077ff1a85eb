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
