/* A SQLite file whose writes wait in memory while each follows the one before. It stands in for the methods of a
 * file that is open already, whatever made it: only what asks for what was written, or for its safety, makes them
 * happen. */
#include "journal/gather.h"

#include "base/mem.h"

enum {
	GATHERED_MAX = (128 << 10) - 1, /* 31 frames; SQLite's own files take no more at once */
	METHODS_VERSION = 3,		/* of struct sqlite3_io_methods, all that is copied here */
};

struct gathered {
	sqlite3_io_methods methods; /* first: SQLite has its address */
	const sqlite3_io_methods *real;
	int64_t offset; /* of what waits, in the file */
	size_t n;
	char bytes[GATHERED_MAX];
};

static struct gathered *of(sqlite3_file *file)
{
	return CONTAINER_OF(file->pMethods, struct gathered, methods);
}

/* What cannot be written is lost, as it would be without waiting: SQLite rolls back and writes it anew. */
static int flush(sqlite3_file *file)
{
	struct gathered *g = of(file);
	size_t n = g->n;

	g->n = 0;
	return n ? g->real->xWrite(file, g->bytes, (int)n, g->offset) : SQLITE_OK;
}

static int file_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
	struct gathered *g = of(file);
	int r = SQLITE_OK;

	if (g->n && (offset != g->offset + (int64_t)g->n || g->n + (size_t)n > sizeof g->bytes))
		r = flush(file);
	if (r != SQLITE_OK || (size_t)n > sizeof g->bytes)
		return r != SQLITE_OK ? r : g->real->xWrite(file, bytes, n, offset);
	if (!g->n)
		g->offset = offset;
	memcpy(g->bytes + g->n, bytes, (size_t)n);
	g->n += (size_t)n;
	return SQLITE_OK;
}

static int file_sync(sqlite3_file *file, int flags)
{
	int r = flush(file);

	return r != SQLITE_OK ? r : of(file)->real->xSync(file, flags);
}

static int file_read(sqlite3_file *file, void *out, int n, sqlite3_int64 offset)
{
	int r = flush(file);

	return r != SQLITE_OK ? r : of(file)->real->xRead(file, out, n, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int r = flush(file);

	return r != SQLITE_OK ? r : of(file)->real->xTruncate(file, size);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	int r = flush(file);

	return r != SQLITE_OK ? r : of(file)->real->xFileSize(file, ret);
}

static int file_close(sqlite3_file *file)
{
	struct gathered *g = of(file);
	int r = flush(file), closed;

	file->pMethods = g->real;
	free(g);
	closed = file->pMethods->xClose(file);
	return r != SQLITE_OK ? r : closed;
}

/* Where a write may spoil its neighbours, SQLite pads the log to whole sectors, and its sync comes in the middle of
 * a frame. What follows it would be told of while it waits here. */
static bool ends_with_sync(sqlite3_file *log)
{
	return log->pMethods->xDeviceCharacteristics(log) & SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

int gather_log(sqlite3 *db, struct err *e)
{
	sqlite3_file *log = sql_log_file(db);
	struct gathered *g;

	if (!log)
		return err_set(e, -EIO, "the log is not open");
	if (!ends_with_sync(log))
		return 0;
	g = malloc(sizeof *g);
	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	g->methods = *log->pMethods; /* what is not about bytes stays as it is */
	if (g->methods.iVersion > METHODS_VERSION)
		g->methods.iVersion = METHODS_VERSION;
	g->real = log->pMethods;
	g->n = 0;
	g->methods.xClose = file_close;
	g->methods.xRead = file_read;
	g->methods.xWrite = file_write;
	g->methods.xTruncate = file_truncate;
	g->methods.xSync = file_sync;
	g->methods.xFileSize = file_size;
	log->pMethods = &g->methods;
	return 0;
}
