/* SQLite with this program's errors: connections, statements that are prepared once, checked binds.
 * Only core/journal includes this. A connection serves one thread. */
#pragma once

#include <sqlite3.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { SQL_BUSY_MS = 2000 }; /* a connection waits so long for another */

enum sql_mode { SQL_READ, SQL_WRITE, SQL_SCRATCH, SQL_BULK };

/* SQL_BULK: fills a new file that nobody sees before it is whole and synced; a failure leaves rubbish.
 * SQL_SCRATCH: a private database that is gone after the close; `path` is not looked at.
 * -ENOENT: SQL_READ of a file that is not there. Returns owned: sqlite3_close(). */
int sql_open(const char *path, enum sql_mode mode, sqlite3 **ret, struct err *e);

static inline void sql_closep(sqlite3 **db)
{
	sqlite3_close(*db);
}

static inline void sql_finalizep(sqlite3_stmt **s)
{
	sqlite3_finalize(*s);
}

/* The last failure of the connection as an errno, with SQLite's words in `e`. */
int sql_error(sqlite3 *db, struct err *e, const char *what);
/* The log's file, as SQLite has it open; NULL when it has not. Borrowed. */
sqlite3_file *sql_log_file(sqlite3 *db);
/* One or more statements without rows. */
int sql_exec(sqlite3 *db, const char *text, struct err *e);
int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, struct err *e);
int sql_prepare_all(
	sqlite3 *db, const char *const *texts, size_t n, sqlite3_stmt **stmts, struct err *e);
void sql_finalize_all(sqlite3_stmt **stmts, size_t n);
/* One number: the first column of the first row, `otherwise` when there is none. */
int sql_number(sqlite3 *db, const char *text, int64_t otherwise, int64_t *ret, struct err *e);

/* Binding borrows until the statement has run. They return SQLite codes, made to be or-ed: 0 is
 * well. An absent str, a NULL blob bind NULL. */
int sql_bind_str(sqlite3_stmt *s, int column, struct str value);
int sql_bind_blob(sqlite3_stmt *s, int column, const void *bytes, size_t n);
int sql_bind_int(sqlite3_stmt *s, int column, int64_t value);
/* NULL when 0. */
int sql_bind_seq(sqlite3_stmt *s, int column, int64_t value);

/* Runs a statement that gives no rows, and resets it. `bad`: what the binds returned. */
int sql_run(sqlite3_stmt *s, int bad, struct err *e);
/* The next row: 1; 0 at the end. Resets the statement at the end and on failure. */
int sql_row(sqlite3_stmt *s, int bad, struct err *e);

/* The bytes of a column, absent for NULL. Borrowed until the next step or reset. */
struct str sql_str(sqlite3_stmt *s, int column);

/* The end of the range of texts that start with `prefix` (at most SQL_PREFIX_MAX bytes of it), for
 * "x >= prefix AND x < end". */
enum { SQL_PREFIX_MAX = 512 };
struct sql_range {
	char end[SQL_PREFIX_MAX];
	size_t n; /* 0: open end; binds as a blob, which sorts after every text */
};
void sql_range_of(struct str prefix, struct sql_range *ret);
int sql_bind_range_end(sqlite3_stmt *s, int column, const struct sql_range *range);
