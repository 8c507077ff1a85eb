/* Writes SQLite's log once more as it is, through the file that SQLite has open. */
#include "journal/settle.h"

#include "base/mem.h"

enum { BLOCK = 64 << 10 };

static int write_again(sqlite3_file *log, char *block)
{
	const sqlite3_io_methods *m = log->pMethods;
	sqlite3_int64 size = 0;
	int code = m->xFileSize(log, &size);

	for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += BLOCK) {
		int n = size - at < BLOCK ? (int)(size - at) : BLOCK;

		code = m->xRead(log, block, n, at);
		if (code == SQLITE_OK)
			code = m->xWrite(log, block, n, at);
	}
	return code == SQLITE_OK && size ? m->xSync(log, SQLITE_SYNC_NORMAL) : code;
}

int settle_log(sqlite3 *db, struct err *e)
{
	_cleanup_(freep) char *block = malloc(BLOCK);
	sqlite3_file *log;
	int r, code;

	if (!block)
		return err_set(e, -ENOMEM, "out of memory");
	r = sql_exec(db, "PRAGMA schema_version", e); /* reads: with it the log is open */
	if (r < 0)
		return r;
	log = sql_log_file(db);
	code = log ? write_again(log, block) : SQLITE_OK;
	if (code == SQLITE_OK)
		return 0;
	return err_set(e, code == SQLITE_FULL ? -ENOSPC : -EIO,
		"the log cannot be made safe: %s (SQLite %d)", sqlite3_errstr(code), code);
}
