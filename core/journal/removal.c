/* Reducing an order's events to their remains, in the open batch of the writer. */
#include "journal/removal.h"

#include <inttypes.h>

#include "base/crash_point.h"
#include "base/mem.h"
#include "journal/kept.h"
#include "journal/row.h"
#include "model/remains.h"

static const char *const texts[REMOVAL_STATEMENTS] = {
	[REMOVAL_STANDING] = "SELECT is_open, (SELECT kind FROM events"
			     " WHERE seq = removed_seq) FROM orders WHERE seq = ?1",
	[REMOVAL_EVENTS] =
		"SELECT " ROW_COLUMNS " FROM events e WHERE e.order_seq = ?1 ORDER BY e.seq",
	[REMOVAL_REDUCE] = "UPDATE events SET payload = ?2, salt = NULL WHERE seq = ?1",
};

int removal_init(struct removal *m, sqlite3 *db, struct err *e)
{
	*m = (struct removal){0};
	return sql_prepare_all(db, texts, REMOVAL_STATEMENTS, m->stmts, e);
}

void removal_fini(struct removal *m)
{
	sql_finalize_all(m->stmts, REMOVAL_STATEMENTS);
	buf_fini(&m->text);
}

int removal_check(struct removal *m, int64_t order_seq, struct err *e)
{
	sqlite3_stmt *s = m->stmts[REMOVAL_STANDING];
	bool is_open;
	int kind;
	int r = sql_row(s, sql_bind_int(s, 1, order_seq), e);

	if (r <= 0)
		return r < 0 ? r : err_set(e, -ENOENT, "there is no such order");
	is_open = sqlite3_column_int(s, 0);
	kind = sqlite3_column_int(s, 1);
	sqlite3_reset(s);
	if (is_open)
		return err_set(e, -EBUSY, "the order has not ended yet");
	if (kind == EVENT_ORDER_ARCHIVED)
		return err_set(e, -EXDEV, "the order was archived");
	return kind ? err_set(e, -EALREADY, "the order was erased before") : 0;
}

static int read_events(struct removal *m, int64_t order_seq, struct event_list *list, struct err *e)
{
	sqlite3_stmt *s = m->stmts[REMOVAL_EVENTS];
	int bad = sql_bind_int(s, 1, order_seq), r;

	while ((r = sql_row(s, bad, e)) > 0) {
		r = row_event(s, list, NULL, e);
		if (r < 0) {
			sqlite3_reset(s);
			return r;
		}
	}
	return r;
}

static int reduce_event(struct removal *m, const struct event *ev, enum event_kind kind,
	struct arena *arena, struct buf *kept, struct err *e)
{
	sqlite3_stmt *s = m->stmts[REMOVAL_REDUCE];
	struct event remains;

	if (remains_of(ev, kind, arena, &remains) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	buf_clear(&m->text);
	event_encode(&remains, &m->text);
	kept_add(kept, ev->order_seq, ev->seq, buf_view(&m->text));
	if (m->text.failed || kept->failed)
		return err_set(e, -ENOMEM, "out of memory");
	return sql_run(s, sql_bind_int(s, 1, ev->seq) | sql_bind_str(s, 2, buf_view(&m->text)), e);
}

int removal_reduce(struct removal *m, struct projection *p, int64_t order_seq, enum event_kind kind,
	struct buf *kept, struct err *e)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event_list list;
	int r;

	event_list_init(&list, &arena);
	r = read_events(m, order_seq, &list, e);
	for (const struct event *ev = list.first; ev && r == 0; ev = ev->next)
		r = reduce_event(m, ev, kind, &arena, kept, e);
	CRASH_POINT("reduced");
	/* What the events said led to: only now, since other orders may have led to it too. */
	for (const struct event *ev = list.first; ev && r == 0; ev = ev->next)
		r = projection_forget(p, ev, e);
	return r;
}
