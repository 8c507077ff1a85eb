/* Backups. One read transaction spans the whole copy: without it SQLite would begin again whenever somebody has
 * written meanwhile, and on a busy journal never end. */
#include "journal/backup.h"

#include "base/mem.h"
#include "journal/new_file.h"
#include "journal/schema.h"

enum { STEP_PAGES = 1024 };

static int copy_pages(sqlite3 *from, sqlite3 *to, const struct journal_watch *watch, struct err *e)
{
	sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
	int code = SQLITE_OK;

	if (!b)
		return sql_error(to, e, "backup");
	while (code == SQLITE_OK) {
		code = sqlite3_backup_step(b, STEP_PAGES);
		journal_watch_tell(watch, sqlite3_backup_pagecount(b) - sqlite3_backup_remaining(b),
			sqlite3_backup_pagecount(b));
	}
	return sqlite3_backup_finish(b) == SQLITE_OK ? 0 : sql_error(to, e, "backup");
}

static int backup(
	const char *path, const char *to, const struct journal_watch *watch, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *source = NULL, *copy = NULL;
	int64_t n;
	int r = schema_open(path, &source, e);

	if (r == 0) /* the moment */
		r = sql_number(source, "SELECT count(*) FROM sqlite_schema", 0, &n, e);
	if (r == 0)
		r = sql_open(to, SQL_BULK, &copy, e);
	if (r == 0)
		r = copy_pages(source, copy, watch, e);
	if (r == 0)
		r = sql_exec(copy, "PRAGMA journal_mode=DELETE", e);
	return r;
}

int journal_backup(
	const char *path, const char *to, const struct journal_watch *watch, struct err *e)
{
	_cleanup_(new_file_fini) struct new_file file = {0};
	int r = new_file_begin(&file, to, e);

	if (r == 0)
		r = backup(path, file.partial, watch, e);
	return r == 0 ? new_file_publish(&file, e) : r;
}
