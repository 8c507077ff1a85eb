/* The reader: orders folded from their events, the events themselves, the state. Lists of orders
 * are reader_list.c's. */
#include "journal/reader.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/head.h"
#include "journal/generation.h"
#include "journal/reader_room.h"
#include "journal/row.h"
#include "journal/schema.h"
#include "model/apply.h"
#include "model/migrate.h"

static const char *const texts[READER_STATEMENTS] = {
	[READER_BEGIN] = "BEGIN",
	[READER_END] = "COMMIT",
	[READER_LAST] = "SELECT seq FROM events ORDER BY seq DESC LIMIT 1",
	[READER_FIND] = "SELECT seq FROM orders WHERE id = ?1",
	[READER_ID] = "SELECT id FROM orders WHERE seq = ?1",
	[READER_ORDER] = "SELECT " ROW_COLUMNS
			 " FROM events e WHERE e.order_seq = ?1 AND e.seq <= ?2 ORDER BY e.seq",
	[READER_EVENTS] =
		"SELECT " ROW_COLUMNS " FROM events e WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2",
	[READER_GENERATION] = "SELECT text FROM generations WHERE digest = ?1",
	[READER_ROW] =
		"SELECT " ROW_COLUMNS ", o.seq, o.id, o.status, o.error, o.created_us,"
		" o.updated_us, o.completed_us FROM orders o JOIN events e ON e.seq = o.body_seq"
		" WHERE o.seq = ?1",
	/* Completed ones are what is left of all; the planner counts those in the smallest index. */
	[READER_COUNTS] =
		"WITH other AS (SELECT status, count(*) AS n FROM orders INDEXED BY orders_status"
		" WHERE status <> 'completed' GROUP BY status),"
		" moving AS (SELECT count(*) AS n FROM orders INDEXED BY orders_open"
		" WHERE is_open = 1 AND status IS NULL)"
		" SELECT NULL, n FROM moving WHERE n > 0 UNION ALL SELECT status, n FROM other"
		" UNION ALL SELECT 'completed', (SELECT count(*) FROM orders) -"
		" (SELECT n FROM moving) - (SELECT total(n) FROM other)",
	[READER_UNFINISHED] = "SELECT seq FROM orders INDEXED BY orders_open"
			      " WHERE is_open = 1 AND seq > ?1 ORDER BY seq LIMIT ?2",
	[READER_OPEN_GENERATIONS] = "SELECT generation, count(*) FROM orders INDEXED BY orders_open"
				    " WHERE is_open = 1 GROUP BY generation",
	[READER_OF_GENERATION] = "SELECT seq FROM orders INDEXED BY orders_open WHERE is_open = 1"
				 " AND seq > ?1 AND generation = ?3 ORDER BY seq LIMIT ?2",
	[READER_STATE] = READER_STATE_TEXT,
	[READER_LOOK] = "SELECT seq, created_us, completed_us, removed_seq FROM orders"
			" WHERE seq > ?1 ORDER BY seq LIMIT ?2",
};

int reader_open(const char *path, struct pipeline_set *set, struct reader **ret, struct err *e)
{
	struct reader *r = calloc(1, sizeof *r);
	int n;

	if (!r)
		return err_set(e, -ENOMEM, "out of memory");
	r->set = set;
	n = sql_open(path, SQL_READ, &r->db, e);
	if (n == 0)
		n = schema_check(r->db, e);
	if (n == 0)
		n = sql_prepare_all(r->db, texts, READER_STATEMENTS, r->stmts, e);
	if (n < 0) {
		reader_close(r);
		return err_wrap(e, n, "journal '%s'", path);
	}
	*ret = r;
	return 0;
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	sql_finalize_all(r->stmts, READER_STATEMENTS);
	sqlite3_close(r->db);
	free(r);
}

static int first_number(sqlite3_stmt *s, int bad, int64_t *ret, struct err *e)
{
	int n = sql_row(s, bad, e);

	if (n <= 0)
		return n;
	*ret = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 1;
}

int reader_begin(struct reader *r, int64_t *ret_last_seq, struct err *e)
{
	int64_t last = 0;
	int n = sql_run(r->stmts[READER_BEGIN], 0, e);

	if (n < 0)
		return n;
	n = first_number(r->stmts[READER_LAST], 0, &last, e);
	if (n < 0) {
		reader_end(r);
		return n;
	}
	*ret_last_seq = last;
	return 0;
}

void reader_end(struct reader *r)
{
	if (!sqlite3_get_autocommit(r->db))
		sql_run(r->stmts[READER_END], 0, NULL);
}

int reader_find_order(struct reader *r, const struct id *id, int64_t *ret_seq)
{
	sqlite3_stmt *s = r->stmts[READER_FIND];
	int n = first_number(s, sql_bind_blob(s, 1, id->bytes, sizeof id->bytes), ret_seq, NULL);

	return n > 0 ? 0 : n < 0 ? n : -ENOENT;
}

int reader_order_id(struct reader *r, int64_t order_seq, struct id *ret)
{
	sqlite3_stmt *s = r->stmts[READER_ID];
	int n = sql_row(s, sql_bind_int(s, 1, order_seq), NULL);
	struct str id = n > 0 ? sql_str(s, 0) : (struct str){0};
	bool is_whole = id.n == sizeof ret->bytes;

	if (is_whole)
		memcpy(ret->bytes, id.p, id.n);
	if (n > 0)
		sqlite3_reset(s);
	return n < 0 ? n : is_whole ? 0 : -ENOENT;
}

int reader_head(struct reader *r, struct chain_head *ret, struct err *e)
{
	return head_read(r->db, ret, e);
}

/* --- folding --- */

int reader_generation(
	struct reader *r, struct str digest, const struct pipeline **ret, struct err *e)
{
	sqlite3_stmt *s = r->stmts[READER_GENERATION];
	int n;

	*ret = pipeline_set_find(r->set, digest);
	if (*ret)
		return 0;
	n = sql_row(s, sql_bind_str(s, 1, digest), e);
	if (n < 0)
		return n;
	if (n == 0)
		return err_set(e, -EPROTO, "generation %.*s is not in the journal", (int)digest.n,
			digest.p);
	n = generation_add(r->set, digest, sql_str(s, 0), ret, e);
	sqlite3_reset(s);
	return n;
}

int reader_current(struct reader *r, const struct pipeline **ret, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int n = sql_prepare(
		r->db, "SELECT digest FROM generations ORDER BY seq DESC LIMIT 1", &s, e);

	if (n == 0)
		n = sql_row(s, 0, e);
	if (n < 0)
		return n;
	return n ? reader_generation(r, sql_str(s, 0), ret, e)
		 : err_set(e, -ENOENT, "the journal has no pipeline yet");
}

static int fold_one(struct reader *r, const struct event *ev, struct order **o, struct err *e)
{
	const struct pipeline *p;
	int n;

	if (!*o && ev->kind != EVENT_ORDER_CREATED)
		return err_set(
			e, -EPROTO, "event %" PRId64 ": its order was never created", ev->seq);
	if (!*o || ev->kind == EVENT_ORDER_MIGRATED) {
		n = reader_generation(r, ev->generation, &p, e);
		if (n < 0)
			return err_wrap(e, n, "event %" PRId64, ev->seq);
	}
	if (!*o) {
		*o = order_new(p);
		if (!*o)
			return err_set(e, -ENOMEM, "out of memory");
	}
	n = fold(o, ev, r->set);
	if (n == -EPROTO)
		return err_set(e, n, "event %" PRId64 " (%.*s) does not fit its order", ev->seq,
			(int)ev->type.n, ev->type.p);
	return n < 0 ? err_set(e, n, "out of memory") : 0;
}

static int fold_all(
	struct reader *r, sqlite3_stmt *s, struct event_list *list, struct order **o, struct err *e)
{
	struct event *ev;
	int n;

	while ((n = sql_row(s, 0, e)) > 0) {
		n = row_event(s, list, &ev, e);
		if (n == 0)
			n = fold_one(r, ev, o, e);
		if (n < 0) {
			sqlite3_reset(s);
			return n;
		}
	}
	return n;
}

int reader_order(struct reader *r, int64_t order_seq, int64_t at_seq, struct order **ret,
	struct event_list *events, struct err *e)
{
	_cleanup_(order_freep) struct order *o = NULL;
	_cleanup_(arena_fini) struct arena arena = {0};
	sqlite3_stmt *s = r->stmts[READER_ORDER];
	struct event_list own;
	int n;

	event_list_init(&own, &arena);
	if (sql_bind_int(s, 1, order_seq) | sql_bind_int(s, 2, at_seq))
		return err_set(e, -EIO, "a value cannot be bound");
	n = fold_all(r, s, events ? events : &own, &o, e);
	if (n < 0)
		return n;
	if (!o)
		return err_set(e, -ENOENT, "no such order");
	*ret = steal_ptr(o);
	return 0;
}

int reader_events(
	struct reader *r, int64_t *after, size_t limit, struct event_list *list, struct err *e)
{
	sqlite3_stmt *s = r->stmts[READER_EVENTS];
	int bad = sql_bind_int(s, 1, *after) | sql_bind_int(s, 2, (int64_t)limit);
	int n, n_events = 0;

	while ((n = sql_row(s, bad, e)) > 0) {
		n = row_event(s, list, NULL, e);
		if (n < 0 && n != -EPROTO) {
			sqlite3_reset(s);
			return n;
		}
		*after = sqlite3_column_int64(s, 0);
		n_events += n == 0;
	}
	return n < 0 ? n : n_events;
}

int reader_look(
	struct reader *r, int64_t after, struct ended_order *ret, size_t limit, struct err *e)
{
	sqlite3_stmt *s = r->stmts[READER_LOOK];
	int bad = sql_bind_int(s, 1, after) | sql_bind_int(s, 2, (int64_t)limit), n, n_found = 0;

	while ((n = sql_row(s, bad, e)) > 0)
		ret[n_found++] = (struct ended_order){.seq = sqlite3_column_int64(s, 0),
			.created_us = sqlite3_column_int64(s, 1),
			.completed_us = sqlite3_column_int64(s, 2),
			.is_removed = sqlite3_column_type(s, 3) != SQLITE_NULL};
	return n < 0 ? n : n_found;
}

/* --- the state --- */

int reader_list_state(sqlite3_stmt *s, const struct state_page *page,
	int (*on_entry)(void *arg, struct str key, struct str json), void *arg, struct err *e)
{
	struct str prefix = page->prefix, after = page->after;
	struct sql_range range;
	int n, bad, n_entries = 0;

	sql_range_of(prefix, &range);
	bad = sql_bind_str(s, 1, prefix.p ? prefix : STR("")) | sql_bind_range_end(s, 2, &range) |
	      sql_bind_str(s, 3, after.p ? after : STR("")) |
	      sql_bind_int(s, 4, (int64_t)page->limit);
	while ((n = sql_row(s, bad, e)) > 0) {
		n_entries++;
		if (on_entry(arg, sql_str(s, 0), sql_str(s, 1)) == 0)
			continue;
		sqlite3_reset(s);
		break;
	}
	return n < 0 ? n : n_entries;
}

int reader_state(struct reader *r, const struct state_page *page,
	int (*on_entry)(void *arg, struct str key, struct str json), void *arg, struct err *e)
{
	return reader_list_state(r->stmts[READER_STATE], page, on_entry, arg, e);
}
