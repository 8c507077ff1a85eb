/* SQLite with this program's errors. What the statements mean is not known here. */
#include "journal/sql.h"

#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"

/* Nobody asks SQLite how much memory it uses; counting it takes a lock at each allocation. */
static void set_up(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* A quota or a file size limit is a full disk to us; SQLite calls only ENOSPC one. */
static bool found_no_room(sqlite3 *db)
{
	static const int files[] = {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		sqlite3_file *f = NULL;
		int number = 0;

		if (sqlite3_file_control(db, "main", files[i], &f) != SQLITE_OK || !f ||
			!f->pMethods)
			continue;
		if (f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &number) == SQLITE_OK &&
			(number == ENOSPC || number == EDQUOT || number == EFBIG))
			return true;
	}
	return false;
}

static int errno_of(int extended, int system)
{
	static const struct {
		int code, number;
	} table[] = {
		{SQLITE_FULL, -ENOSPC},
		{SQLITE_NOMEM, -ENOMEM},
		{SQLITE_BUSY, -EBUSY},
		{SQLITE_LOCKED, -EBUSY},
		{SQLITE_CORRUPT, -EINVAL},
		{SQLITE_NOTADB, -EINVAL},
		{SQLITE_READONLY, -EROFS},
		{SQLITE_PERM, -EACCES},
		{SQLITE_CONSTRAINT, -EEXIST},
		{SQLITE_TOOBIG, -E2BIG},
	};

	if (extended == SQLITE_IOERR_NOMEM)
		return -ENOMEM;
	if ((extended & 0xff) == SQLITE_CANTOPEN && system > 0)
		return -system;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].code == (extended & 0xff))
			return table[i].number;
	return -EIO;
}

int sql_error(sqlite3 *db, struct err *e, const char *what)
{
	int extended = sqlite3_extended_errcode(db);
	/* file_control() would overwrite it. */
	_cleanup_(freep) char *words = strdup(sqlite3_errmsg(db));
	int r = errno_of(extended, sqlite3_system_errno(db));

	if (extended == SQLITE_IOERR_WRITE && found_no_room(db))
		r = -ENOSPC;
	return err_set(e, r, "%s: %s (SQLite %d)", what, words ? words : "", extended);
}

static const char common_pragmas[] = "PRAGMA trusted_schema=OFF;"
				     "PRAGMA cell_size_check=ON;"
				     "PRAGMA mmap_size=0;"
				     "PRAGMA temp_store=MEMORY;";

static const char *const mode_pragmas[] = {
	[SQL_READ] = "PRAGMA query_only=ON; PRAGMA cache_size=-1024;",
	/* Checkpoints are the writer's own: their failures must not pass unseen. */
	[SQL_WRITE] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-4096;"
		      "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=33554432;"
		      /* What is erased is overwritten. */
		      "PRAGMA secure_delete=ON;",
	/* A file that nobody can reach, so that memory stays flat. */
	[SQL_SCRATCH] = "PRAGMA temp_store=FILE; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
			"PRAGMA cache_size=-2048;",
	[SQL_BULK] = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16384;",
};

static const int mode_flags[] = {
	[SQL_READ] = SQLITE_OPEN_READONLY,
	[SQL_WRITE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	[SQL_SCRATCH] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	[SQL_BULK] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
};

int sql_open(const char *path, enum sql_mode mode, sqlite3 **ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	int flags = mode_flags[mode] | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int r;

	pthread_once(&once, set_up);
	if (mode == SQL_SCRATCH)
		path = "";
	if (mode == SQL_READ && access(path, F_OK) < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
		return db ? sql_error(db, e, path) : err_set(e, -ENOMEM, "out of memory");
	if (sqlite3_busy_timeout(db, SQL_BUSY_MS) != SQLITE_OK ||
		sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK)
		return sql_error(db, e, path);
	r = sql_exec(db, common_pragmas, e);
	if (r == 0)
		r = sql_exec(db, mode_pragmas[mode], e);
	if (r < 0)
		return err_wrap(e, r, "'%s'", path);
	*ret = steal_ptr(db);
	return 0;
}

sqlite3_file *sql_log_file(sqlite3 *db)
{
	sqlite3_file *log = NULL;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK)
		return NULL;
	return log && log->pMethods ? log : NULL;
}

int sql_exec(sqlite3 *db, const char *text, struct err *e)
{
	return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_error(db, e, "SQL");
}

int sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, struct err *e)
{
	if (sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) != SQLITE_OK)
		return sql_error(db, e, text);
	return 0;
}

int sql_prepare_all(
	sqlite3 *db, const char *const *texts, size_t n, sqlite3_stmt **stmts, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int r = sql_prepare(db, texts[i], &stmts[i], e);

		if (r < 0)
			return r;
	}
	return 0;
}

void sql_finalize_all(sqlite3_stmt **stmts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sqlite3_finalize(stmts[i]);
		stmts[i] = NULL;
	}
}

int sql_number(sqlite3 *db, const char *text, int64_t otherwise, int64_t *ret, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(db, text, &s, e);

	if (r == 0)
		r = sql_row(s, 0, e);
	if (r < 0)
		return r;
	*ret = r ? sqlite3_column_int64(s, 0) : otherwise;
	return 0;
}

int sql_bind_str(sqlite3_stmt *s, int column, struct str value)
{
	if (!value.p)
		return sqlite3_bind_null(s, column);
	return sqlite3_bind_text64(s, column, value.p, value.n, SQLITE_STATIC, SQLITE_UTF8);
}

int sql_bind_blob(sqlite3_stmt *s, int column, const void *bytes, size_t n)
{
	return sqlite3_bind_blob64(s, column, bytes, n, SQLITE_STATIC);
}

int sql_bind_int(sqlite3_stmt *s, int column, int64_t value)
{
	return sqlite3_bind_int64(s, column, value);
}

int sql_bind_seq(sqlite3_stmt *s, int column, int64_t value)
{
	return value ? sqlite3_bind_int64(s, column, value) : sqlite3_bind_null(s, column);
}

int sql_row(sqlite3_stmt *s, int bad, struct err *e)
{
	int code, r;

	if (bad)
		return err_set(e, -EIO, "%s: a value cannot be bound", sqlite3_sql(s));
	code = sqlite3_step(s);
	if (code == SQLITE_ROW)
		return 1;
	r = code == SQLITE_DONE ? 0 : sql_error(sqlite3_db_handle(s), e, sqlite3_sql(s));
	sqlite3_reset(s);
	return r;
}

int sql_run(sqlite3_stmt *s, int bad, struct err *e)
{
	int r = sql_row(s, bad, e);

	if (r > 0)
		sqlite3_reset(s);
	return r < 0 ? r : 0;
}

struct str sql_str(sqlite3_stmt *s, int column)
{
	const char *p;

	if (sqlite3_column_type(s, column) == SQLITE_NULL)
		return (struct str){NULL, 0};
	p = sqlite3_column_blob(s, column);
	return (struct str){p ? p : "", (size_t)sqlite3_column_bytes(s, column)};
}

void sql_range_of(struct str prefix, struct sql_range *ret)
{
	size_t n = prefix.n < SQL_PREFIX_MAX ? prefix.n : SQL_PREFIX_MAX;

	while (n && (unsigned char)prefix.p[n - 1] == 0xff)
		n--;
	ret->n = n;
	if (!n)
		return;
	memcpy(ret->end, prefix.p, n);
	ret->end[n - 1]++;
}

int sql_bind_range_end(sqlite3_stmt *s, int column, const struct sql_range *range)
{
	if (!range->n)
		return sqlite3_bind_zeroblob(s, column, 0);
	return sql_bind_str(s, column, (struct str){range->end, range->n});
}
