/* The reader's view of orders on hold: found by what holds them, and grouped by cause. */
#include "base/mem.h"
#include "journal/reader_room.h"

int reader_held(struct reader *r, const struct held_filter *f,
	int (*on_held)(void *arg, int64_t seq, const struct id *id), void *arg, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int bad, n = 0,
		 got = sql_prepare(r->db,
			 "SELECT seq, id FROM orders INDEXED BY orders_status WHERE status = "
			 "'on_hold' AND status <> 'completed' AND seq < ?1"
			 " AND (?2 IS NULL OR stage = ?2) AND (?3 IS NULL OR error = ?3)"
			 " ORDER BY seq DESC LIMIT ?4",
			 &s, e);

	if (got < 0)
		return got;
	bad = sql_bind_int(s, 1, f->before > 0 ? f->before : INT64_MAX) |
	      sql_bind_str(s, 2, f->stage) | sql_bind_str(s, 3, f->error) |
	      sql_bind_int(s, 4, (int64_t)f->limit);
	while ((got = sql_row(s, bad, e)) > 0) {
		struct str bytes = sql_str(s, 1);
		struct id id = {0};

		memcpy(id.bytes, bytes.p, bytes.n < sizeof id.bytes ? bytes.n : sizeof id.bytes);
		n++;
		if (on_held(arg, sqlite3_column_int64(s, 0), &id) != 0)
			return n;
	}
	return got < 0 ? got : n;
}

/* Rows of stage, error, n, first and last time, with the statement's only parameter bound to `limit`. */
static int each_cause(struct reader *r, const char *text, size_t limit,
	int (*on_cause)(void *arg, const struct held_cause *cause), void *arg, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int bad, n = 0, got = sql_prepare(r->db, text, &s, e);

	if (got < 0)
		return got;
	bad = sql_bind_int(s, 1, (int64_t)limit);
	while ((got = sql_row(s, bad, e)) > 0) {
		struct held_cause cause = {.stage = sql_str(s, 0),
			.error = sql_str(s, 1),
			.n = sqlite3_column_int64(s, 2),
			.first_us = sqlite3_column_int64(s, 3),
			.last_us = sqlite3_column_int64(s, 4)};

		n++;
		if (on_cause(arg, &cause) != 0)
			return n;
	}
	return got < 0 ? got : n;
}

int reader_causes(struct reader *r, size_t limit,
	int (*on_cause)(void *arg, const struct held_cause *cause), void *arg, struct err *e)
{
	return each_cause(r,
		"SELECT stage, error, count(*) AS n, min(updated_us), max(updated_us) FROM orders"
		" WHERE status = 'on_hold' GROUP BY stage, error ORDER BY n DESC, stage, error "
		"LIMIT ?1",
		limit, on_cause, arg, e);
}

int reader_held_stages(struct reader *r, size_t limit,
	int (*on_stage)(void *arg, const struct held_cause *cause), void *arg, struct err *e)
{
	return each_cause(r,
		"SELECT stage, NULL, count(*), min(updated_us), max(updated_us) FROM orders"
		" WHERE status = 'on_hold' GROUP BY stage ORDER BY stage LIMIT ?1",
		limit, on_stage, arg, e);
}
