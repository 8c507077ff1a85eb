/* Writing an archive, and taking from the journal what it has. */
#include "journal/archive.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "journal/journal.h"
#include "journal/new_file.h"
#include "journal/schema.h"
#include "model/remains.h"

enum { COPY_EVENTS = 4096, REMOVE_AT_ONCE = 200 };

#define IS_DUE "is_open = 0 AND completed_us < ?1"

/* --- looking --- */

static int look(sqlite3 *db, struct archive_range *range, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(db,
		"SELECT count(*) FILTER (WHERE removed_seq IS NULL),"
		" count(*) FILTER (WHERE removed_seq IS NOT NULL),"
		" min(seq) FILTER (WHERE removed_seq IS NULL),"
		" (SELECT max(e.seq) FROM orders o JOIN events e ON e.order_seq = o.seq"
		" WHERE o.removed_seq IS NULL AND o." IS_DUE ")"
		" FROM orders WHERE " IS_DUE,
		&s, e);

	if (r == 0)
		r = sql_row(s, sql_bind_int(s, 1, range->before_us), e);
	if (r <= 0)
		return r;
	range->n = sqlite3_column_int64(s, 0);
	range->n_left = sqlite3_column_int64(s, 1);
	range->from = sqlite3_column_int64(s, 2);
	range->to = sqlite3_column_int64(s, 3);
	return 0;
}

int archive_look(const char *journal_path, struct archive_range *range, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	int r = schema_open(journal_path, &db, e);

	return r < 0 ? r : look(db, range, e);
}

/* --- writing --- */

static int attach(sqlite3 *db, const char *journal_path, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(db, "ATTACH ?1 AS live", &s, e);

	return r < 0 ? r : sql_run(s, sql_bind_str(s, 1, str_of(journal_path)), e);
}

/* The orders, their pipelines, and what the file says of itself. */
static int copy_orders(sqlite3 *db, const struct archive_range *range, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL, *mark = NULL;
	char before[CLOCK_TEXT_SIZE], text[256];
	int r = sql_exec(db, "INSERT INTO generations SELECT * FROM live.generations", e);

	if (r == 0)
		r = sql_prepare(db,
			"INSERT INTO orders SELECT * FROM live.orders"
			" WHERE removed_seq IS NULL AND " IS_DUE " ORDER BY seq",
			&s, e);
	if (r == 0)
		r = sql_run(s, sql_bind_int(s, 1, range->before_us), e);
	clock_text(range->before_us, before);
	snprintf(text, sizeof text,
		"{\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"orders\":%" PRId64
		",\"before\":\"%s\"}",
		range->from, range->to, range->n, before);
	if (r == 0)
		r = sql_prepare(db, "INSERT INTO meta VALUES('archive', ?1)", &mark, e);
	return r < 0 ? r : sql_run(mark, sql_bind_str(mark, 1, str_of(text)), e);
}

static int copy_events(sqlite3 *db, const struct archive_range *range,
	const struct journal_watch *watch, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(db,
		"INSERT INTO events SELECT e.seq, e.time_us, e.order_seq, e.kind, e.type, e.stage,"
		" e.attempt, e.id, iif(o.seq IS NULL, NULL, e.salt),"
		" iif(o.seq IS NULL, NULL, e.payload), e.digest, e.hash"
		" FROM live.events e LEFT JOIN main.orders o ON o.seq = e.order_seq"
		" WHERE e.seq BETWEEN ?1 AND ?2 ORDER BY e.seq",
		&s, e);
	int64_t first = range->from - 1;

	for (int64_t seq = first; r == 0 && seq <= range->to; seq += COPY_EVENTS) {
		int64_t last =
			seq + COPY_EVENTS - 1 < range->to ? seq + COPY_EVENTS - 1 : range->to;

		r = sql_run(s, sql_bind_int(s, 1, seq) | sql_bind_int(s, 2, last), e);
		journal_watch_tell(watch, last - first + 1, range->to - first + 1);
	}
	return r;
}

static int fill(sqlite3 *db, const char *journal_path, const struct archive_range *range,
	const struct journal_watch *watch, struct err *e)
{
	int r = schema_migrate(db, e);

	if (r == 0)
		r = attach(db, journal_path, e);
	if (r == 0)
		r = sql_exec(db, "BEGIN", e);
	if (r == 0)
		r = copy_orders(db, range, e);
	if (r == 0)
		r = copy_events(db, range, watch, e);
	if (r == 0)
		r = sql_exec(db, "COMMIT; DETACH live; PRAGMA main.journal_mode=DELETE", e);
	return r;
}

int archive_digest(const char *path, char ret[DIGEST_TEXT_SIZE], struct err *e)
{
	uint8_t bytes[DIGEST_SIZE];
	struct digest d = {0};
	char block[65536];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || digest_init(&d) < 0) {
		int r = err_set(
			e, fd < 0 ? -errno : -ENOMEM, "'%s': it cannot be read again", path);

		if (fd >= 0)
			close(fd);
		return r;
	}
	digest_start(&d);
	while ((n = read(fd, block, sizeof block)) > 0)
		digest_add(&d, block, (size_t)n);
	digest_finish(&d, bytes);
	digest_fini(&d);
	close(fd);
	digest_text(bytes, ret);
	return n < 0 ? err_set(e, -EIO, "'%s': it cannot be read again", path) : 0;
}

static int write_part(const char *journal_path, const char *part, const struct archive_range *range,
	const struct journal_watch *watch, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	int r = sql_open(part, SQL_WRITE, &db, e);

	return r < 0 ? r : fill(db, journal_path, range, watch, e);
}

int archive_write(const char *journal_path, const char *path, const struct archive_range *range,
	const struct journal_watch *watch, char ret_sha256[65], struct err *e)
{
	_cleanup_(new_file_fini) struct new_file file = {0};
	int r = new_file_begin(&file, path, e);

	if (r == 0)
		r = write_part(journal_path, file.partial, range, watch, e);
	if (r == 0)
		r = archive_digest(file.partial, ret_sha256, e);
	if (r == 0)
		r = new_file_publish(&file, e);
	return r < 0 ? err_wrap(e, r, "the archive") : 0;
}

/* --- taking away --- */

static struct event *new_event(struct event_list *list, enum event_kind kind, const char *reason)
{
	struct event *ev = event_list_add(list, kind);

	if (ev) {
		ev->time_us = clock_wall_us();
		ev->reason = str_of(reason);
	}
	return ev;
}

static int append_archive(struct journal *j, const struct archive_range *range, const char *name,
	const char *sha256, const char *reason, struct err *e)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	struct event_list list;
	struct event *ev;

	event_list_init(&list, &arena);
	ev = new_event(&list, EVENT_ORDERS_ARCHIVED, reason);
	json_open(&w, '{');
	json_key(&w, "file");
	json_text(&w, name);
	json_key(&w, "sha256");
	json_text(&w, sha256);
	json_key(&w, "from");
	json_int(&w, range->from);
	json_key(&w, "to");
	json_int(&w, range->to);
	json_key(&w, "orders");
	json_int(&w, range->n);
	json_key(&w, "before");
	json_time(&w, range->before_us);
	json_close(&w, '}');
	if (!ev || text.failed)
		return err_set(e, -ENOMEM, "out of memory");
	ev->message = STR("Orders that have ended were archived");
	ev->metadata = buf_view(&text);
	return journal_append(j, ev, e);
}

static int remove_order(struct journal *j, int64_t seq, const struct id *id, struct str metadata,
	const char *reason, struct err *e)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event_list list;
	struct event *ev;
	int r;

	event_list_init(&list, &arena);
	ev = new_event(&list, EVENT_ORDER_ARCHIVED, reason);
	if (!ev)
		return err_set(e, -ENOMEM, "out of memory");
	ev->order_seq = seq;
	ev->order_id = *id;
	ev->message = STR("Archived");
	ev->metadata = metadata;
	r = journal_remove(j, ev, e);
	return r == -EALREADY || r == -EXDEV ? 0 : r;
}

struct walk {
	struct journal *j;
	struct buf metadata; /* of each order's event */
	const char *reason;
	const struct journal_watch *watch;
	int64_t n, total;
};

static int remove_next(struct walk *w, sqlite3_stmt *s, struct err *e)
{
	struct str bytes = sql_str(s, 1);
	struct id id = {0};
	int r;

	if (bytes.n == sizeof id.bytes)
		memcpy(id.bytes, bytes.p, bytes.n);
	r = remove_order(
		w->j, sqlite3_column_int64(s, 0), &id, buf_view(&w->metadata), w->reason, e);
	if (r < 0 || ++w->n % REMOVE_AT_ONCE)
		return r;
	r = journal_commit(w->j, e);
	journal_watch_tell(w->watch, w->n, w->total);
	return r < 0 ? r : journal_begin(w->j, e);
}

/* Within an open batch; leaves one open. */
static int remove_all(struct walk *w, sqlite3 *archive, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(archive, "SELECT seq, id FROM orders ORDER BY seq", &s, e);

	while (r >= 0 && (r = sql_row(s, 0, e)) > 0)
		r = remove_next(w, s, e);
	return r;
}

static void write_name(struct walk *w, const char *name)
{
	struct json_writer jw = {&w->metadata, false};

	json_open(&jw, '{');
	json_key(&jw, "file");
	json_text(&jw, name);
	json_close(&jw, '}');
}

int archive_remove(struct journal *j, const char *path, const struct archive_range *range,
	const char *name, const char *sha256, const char *reason, const struct journal_watch *watch,
	struct err *e)
{
	struct walk w = {.j = j, .reason = reason, .watch = watch, .total = range->n};
	_cleanup_(sql_closep) sqlite3 *archive = NULL;
	int r = schema_open(path, &archive, e);

	write_name(&w, name);
	if (r == 0 && w.metadata.failed)
		r = err_set(e, -ENOMEM, "out of memory");
	if (r == 0)
		r = journal_begin(j, e);
	if (r == 0)
		r = append_archive(j, range, name, sha256, reason, e);
	if (r == 0)
		r = remove_all(&w, archive, e);
	if (r == 0)
		r = journal_commit(j, e);
	if (r < 0)
		journal_rollback(j);
	else
		journal_watch_tell(watch, w.n, w.total);
	buf_fini(&w.metadata);
	return r;
}
