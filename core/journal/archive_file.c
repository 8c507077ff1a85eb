/* An archive after it was written: whether it is the journal's, and erasing in it. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "journal/archive.h"
#include "journal/chain.h"
#include "journal/schema.h"
#include "model/event.h"

#define ERASED "erased/" /* meta: followed by the order's id */

static int open_archive(const char *path, enum sql_mode mode, sqlite3 **ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *read = NULL;
	int64_t is_archive = 0;
	int r = schema_open(path, &read, e); /* writes nothing to what is none */

	if (r == 0)
		r = sql_number(read, "SELECT 1 FROM meta WHERE key = 'archive'", 0, &is_archive, e);
	if (r == 0 && !is_archive)
		r = err_set(e, -EPROTO, "'%s' is no archive", path);
	if (r < 0)
		return r;
	if (mode == SQL_WRITE) {
		sqlite3_close(steal_ptr(read)); /* it would be in the way */
		return sql_open(path, mode, ret, e);
	}
	*ret = steal_ptr(read);
	return 0;
}

/* --- against the journal --- */

/* The orders it says it was written with, those that it has, and those that were erased in it. */
static int count(sqlite3 *archive, struct archive_report *report, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	_cleanup_(json_freep) cJSON *said = NULL;
	int64_t n_said = 0, n = 0;
	int r = sql_number(archive, "SELECT count(*) FROM orders", 0, &n, e);

	if (r == 0)
		r = sql_number(archive, "SELECT count(*) FROM meta WHERE key GLOB '" ERASED "*'", 0,
			&report->n_erased, e);
	if (r == 0)
		r = sql_prepare(archive, "SELECT value FROM meta WHERE key = 'archive'", &s, e);
	if (r == 0)
		r = sql_row(s, 0, e);
	if (r > 0 && json_parse(sql_str(s, 0), JSON_DEPTH_MAX, &said, NULL) == 0)
		json_to_int(cJSON_GetObjectItemCaseSensitive(said, "orders"), &n_said);
	if (r < 0 || n + report->n_erased == n_said)
		return r < 0 ? r : 0;
	return err_set(e, -EBADMSG,
		"the archive was written with %" PRId64 " orders, and has %" PRId64 " and %" PRId64
		" that were erased",
		n_said, n, report->n_erased);
}

/* The journal's event of that file, or else of that range. */
static int find_event(sqlite3 *journal, const char *sha256, int64_t from, int64_t to,
	struct archive_report *report, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(journal,
		"SELECT seq, payload ->> '$.metadata.sha256' = ?2 FROM events WHERE kind = ?1"
		" AND payload ->> '$.metadata.from' = ?3 AND payload ->> '$.metadata.to' = ?4"
		" ORDER BY 2 DESC, 1 DESC LIMIT 1",
		&s, e);

	if (r == 0)
		r = sql_row(s,
			sql_bind_int(s, 1, EVENT_ORDERS_ARCHIVED) |
				sql_bind_str(s, 2, str_of(sha256)) | sql_bind_int(s, 3, from) |
				sql_bind_int(s, 4, to),
			e);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, -EBADMSG,
			"the journal has no event of an archive of events %" PRId64 " to %" PRId64,
			from, to);
	report->seq = sqlite3_column_int64(s, 0);
	report->is_as_written = sqlite3_column_int(s, 1);
	return 0;
}

static int hash_at(sqlite3 *db, int64_t seq, uint8_t ret[CHAIN_HASH_SIZE], struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct str hash = {0};
	int r = sql_prepare(db, "SELECT hash FROM events WHERE seq = ?1", &s, e);

	if (r == 0)
		r = sql_row(s, sql_bind_int(s, 1, seq), e);
	if (r > 0)
		hash = sql_str(s, 0);
	if (r >= 0 && hash.n != CHAIN_HASH_SIZE)
		r = err_set(e, -EBADMSG, "event %" PRId64 " is missing", seq);
	if (r < 0)
		return r;
	memcpy(ret, hash.p, CHAIN_HASH_SIZE);
	return 0;
}

/* Its chain begins and ends as the journal's does there: so all between is the journal's. */
static int compare_ends(sqlite3 *archive, sqlite3 *journal, int64_t from, int64_t to, struct err *e)
{
	const int64_t ends[] = {from - 1, to};
	uint8_t own[CHAIN_HASH_SIZE], theirs[CHAIN_HASH_SIZE];
	int r = 0;

	for (size_t i = from > 1 ? 0 : 1; i < ARRAY_LEN(ends) && r == 0; i++) {
		r = hash_at(archive, ends[i], own, e);
		if (r == 0)
			r = hash_at(journal, ends[i], theirs, e);
		if (r == 0 && memcmp(own, theirs, sizeof own) != 0)
			r = err_set(e, -EBADMSG,
				"event %" PRId64 " is not the one that the journal has", ends[i]);
	}
	return r;
}

int archive_compare(
	const char *path, const char *journal_path, struct archive_report *ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *archive = NULL, *journal = NULL;
	char sha256[DIGEST_TEXT_SIZE];
	int64_t from = 0, to = 0;
	int r = archive_digest(path, sha256, e);

	*ret = (struct archive_report){0};
	if (r == 0)
		r = open_archive(path, SQL_READ, &archive, e);
	if (r == 0)
		r = count(archive, ret, e);
	if (r == 0)
		r = sql_number(archive, "SELECT value ->> '$.from' FROM meta WHERE key = 'archive'",
			0, &from, e);
	if (r == 0)
		r = sql_number(archive, "SELECT max(seq) FROM events", 0, &to, e);
	if (r == 0)
		r = schema_open(journal_path, &journal, e);
	if (r == 0)
		r = find_event(journal, sha256, from, to, ret, e);
	if (r == 0)
		r = compare_ends(archive, journal, from, to, e);
	if (r == 0 && !ret->is_as_written && !ret->n_erased)
		r = err_set(e, -EBADMSG,
			"the file is not byte by byte the one that event %" PRId64
			" of the journal names, and nothing was erased in it",
			ret->seq);
	return r;
}

/* --- erasing --- */

static int note_erased(sqlite3 *db, const struct id *id, const char *reason, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	char key[sizeof ERASED + ID_TEXT_SIZE] = ERASED;
	int r = sql_prepare(db, "INSERT INTO meta VALUES(?1, ?2)", &s, e);

	id_text(id, key + sizeof ERASED - 1);
	json_open(&w, '{');
	json_key(&w, "at");
	json_time(&w, clock_wall_us());
	json_key(&w, "reason");
	json_text(&w, reason);
	json_close(&w, '}');
	if (r == 0 && text.failed)
		r = err_set(e, -ENOMEM, "out of memory");
	return r < 0 ? r
		     : sql_run(s,
			       sql_bind_str(s, 1, str_of(key)) |
				       sql_bind_str(s, 2, buf_view(&text)),
			       e);
}

static int run_for(sqlite3 *db, const char *text, int64_t seq, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(db, text, &s, e);

	return r < 0 ? r : sql_run(s, sql_bind_int(s, 1, seq), e);
}

static int find_order(sqlite3 *db, const struct id *id, int64_t *ret_seq, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(db, "SELECT seq FROM orders WHERE id = ?1", &s, e);

	if (r == 0)
		r = sql_row(s, sql_bind_blob(s, 1, id->bytes, sizeof id->bytes), e);
	if (r > 0)
		*ret_seq = sqlite3_column_int64(s, 0);
	return r < 0 ? r : r ? 0 : err_set(e, -ENOENT, "the archive does not have that order");
}

int archive_erase(const char *path, const struct id *id, const char *reason, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	int64_t seq = 0;
	int r = open_archive(path, SQL_WRITE, &db, e);

	if (r == 0)
		r = sql_exec(db, "BEGIN IMMEDIATE", e);
	if (r == 0)
		r = find_order(db, id, &seq, e);
	if (r == 0)
		r = note_erased(db, id, reason, e);
	if (r == 0)
		r = run_for(db,
			"UPDATE events SET payload = NULL, salt = NULL WHERE order_seq = ?1", seq,
			e);
	if (r == 0)
		r = run_for(db, "DELETE FROM orders WHERE seq = ?1", seq, e);
	if (r == 0)
		r = sql_exec(db, "COMMIT", e);
	/* Also what the log has of it goes. */
	return r < 0 ? r : sql_exec(db, "PRAGMA main.journal_mode=DELETE", e);
}
