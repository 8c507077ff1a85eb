/* Projections against events: everything is projected once more, into a scratch database, by the
 * code that the writer uses, and compared row by row. */
#include <inttypes.h>
#include <search.h>

#include "base/mem.h"
#include "journal/generation.h"
#include "journal/projection.h"
#include "journal/row.h"
#include "journal/schema.h"
#include "journal/verify.h"
#include "model/apply.h"
#include "model/migrate.h"
#include "model/remains.h"

enum { FLUSH_EVENTS = 1000 }; /* between flushes of the state and of the arena */

struct rebuild {
	sqlite3 *live, *scratch;
	struct pipeline_set *set;
	struct projection projection;
	void *open; /* tsearch() tree of orders that are not terminal, by seq */
	struct err *e;
	int failed;
};

/* --- the orders being folded --- */

static int by_seq(const void *a, const void *b)
{
	int64_t x = ((const struct order *)a)->seq, y = ((const struct order *)b)->seq;

	return (x > y) - (x < y);
}

/* Where the tree keeps the order. */
static struct order **find_open(struct rebuild *b, int64_t order_seq)
{
	struct order key = {.seq = order_seq};

	return tfind(&key, &b->open, by_seq);
}

static void free_order(void *o)
{
	order_free(o);
}

static int create_order(struct rebuild *b, const struct event *ev)
{
	_cleanup_(order_freep) struct order *o = NULL;
	const struct pipeline *p = pipeline_set_find(b->set, ev->generation);
	int r;

	if (!p)
		return err_set(b->e, -EPROTO, "event %" PRId64 ": generation %.*s was never loaded",
			ev->seq, (int)ev->generation.n, ev->generation.p);
	o = order_new(p);
	r = o ? apply(o, ev) : -ENOMEM;
	if (r < 0)
		return err_set(b->e, r, "event %" PRId64 ": %s", ev->seq, strerror(-r));
	if (!tsearch(o, &b->open, by_seq))
		return err_set(b->e, -ENOMEM, "out of memory");
	steal_ptr(o);
	return 0;
}

static int fold_one(struct rebuild *b, const struct event *ev)
{
	struct order **slot, *o;
	int r;

	if (ev->kind == EVENT_ORDER_CREATED)
		return create_order(b, ev);
	if (event_is_removal(ev->kind)) /* the order has ended: its row alone changes */
		return 0;
	slot = find_open(b, ev->order_seq);
	r = slot ? fold(slot, ev, b->set) : -EPROTO;
	if (r < 0)
		return err_set(b->e, r, "event %" PRId64 " (%.*s) does not fit its order", ev->seq,
			(int)ev->type.n, ev->type.p);
	o = *slot;
	if (!order_is_terminal(o))
		return 0;
	r = projection_order(&b->projection, o, b->e);
	tdelete(o, &b->open, by_seq);
	order_free(o);
	return r;
}

static void put_open(const void *node, VISIT visit, void *rebuild)
{
	struct rebuild *b = rebuild;

	if ((visit == postorder || visit == leaf) && b->failed == 0)
		b->failed = projection_order(&b->projection, *(struct order *const *)node, b->e);
}

/* --- projecting --- */

static int project(struct rebuild *b, sqlite3_stmt *s, struct arena *arena)
{
	struct event_list list;
	const struct pipeline *p;
	struct event *ev;
	int r;

	event_list_init(&list, arena);
	r = row_event(s, &list, &ev, b->e);
	if (r == 0 && ev->kind == EVENT_PIPELINE_LOADED &&
		!pipeline_set_find(b->set, ev->generation))
		r = generation_add(b->set, ev->generation, ev->text, &p, b->e);
	if (r == 0)
		r = projection_event(&b->projection, ev, b->e);
	if (r == 0 && ev->order_seq)
		r = fold_one(b, ev);
	if (r == 0 && ev->seq % FLUSH_EVENTS == 0)
		r = projection_flush(&b->projection, b->e);
	if (ev && ev->seq % FLUSH_EVENTS == 0)
		arena_fini(arena);
	return r;
}

static int project_all(struct rebuild *b)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	_cleanup_(arena_fini) struct arena arena = {0};
	int r = sql_prepare(
		b->live, "SELECT " ROW_COLUMNS " FROM events e ORDER BY e.seq", &s, b->e);

	if (r < 0)
		return r;
	while ((r = sql_row(s, 0, b->e)) > 0) {
		r = project(b, s, &arena);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	twalk_r(b->open, put_open, b);
	return b->failed < 0 ? b->failed : projection_flush(&b->projection, b->e);
}

/* --- comparing --- */

static const struct table {
	const char *name, *key;
} tables[] = {
	{"orders", "seq"},
	{"product_blocks", "product, block"},
	{"state", "key"},
	{"idempotency", "key"},
	{"generations", "digest"},
};

static struct str value_text(sqlite3_stmt *s, int column)
{
	struct str text = {(const char *)sqlite3_column_text(s, column),
		(size_t)sqlite3_column_bytes(s, column)};

	return text.p ? text : STR("NULL");
}

static bool values_differ(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
	return sqlite3_column_type(a, column) != sqlite3_column_type(b, column) ||
	       !str_eq(sql_str(a, column), sql_str(b, column));
}

static int compare_row(const struct table *t, sqlite3_stmt *live, sqlite3_stmt *made, struct err *e)
{
	for (int i = 0; i < sqlite3_column_count(live); i++) {
		struct str is, should, row;

		if (!values_differ(live, made, i))
			continue;
		row = value_text(live, 0);
		is = value_text(live, i);
		should = value_text(made, i);
		return err_set(e, -EBADMSG, "%s, row %.*s: %s is '%.*s', the events give '%.*s'",
			t->name, (int)row.n, row.p, sqlite3_column_name(live, i), (int)is.n, is.p,
			(int)should.n, should.p);
	}
	return 0;
}

static int compare_rows(
	const struct table *t, sqlite3_stmt *live, sqlite3_stmt *made, struct err *e)
{
	int r, a, b;

	for (;;) {
		a = sql_row(live, 0, e);
		b = a < 0 ? a : sql_row(made, 0, e);
		if (a < 0 || b < 0)
			return a < 0 ? a : b;
		if (!a && !b)
			return 0;
		if (a != b) {
			struct str row = value_text(a ? live : made, 0);

			return err_set(e, -EBADMSG, "%s, row %.*s: %s", t->name, (int)row.n, row.p,
				a ? "no event gives it" : "missing");
		}
		r = compare_row(t, live, made, e);
		if (r < 0)
			return r;
	}
}

static int compare_table(struct rebuild *b, const struct table *t)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *live = NULL;
	_cleanup_(sql_finalizep) sqlite3_stmt *made = NULL;
	char text[128];
	int r;

	sqlite3_snprintf(sizeof text, text, "SELECT * FROM %s ORDER BY %s", t->name, t->key);
	r = sql_prepare(b->live, text, &live, b->e);
	if (r == 0)
		r = sql_prepare(b->scratch, text, &made, b->e);
	return r < 0 ? r : compare_rows(t, live, made, b->e);
}

static int rebuild(struct rebuild *b)
{
	int r = schema_check(b->live, b->e);

	if (r == 0)
		r = sql_exec(b->live, "BEGIN", b->e);
	if (r == 0)
		r = sql_open(NULL, SQL_SCRATCH, &b->scratch, b->e);
	if (r == 0)
		r = schema_migrate(b->scratch, b->e);
	if (r == 0)
		r = sql_exec(b->scratch, "BEGIN", b->e);
	if (r == 0)
		r = projection_init(&b->projection, b->scratch, b->e);
	if (r == 0)
		r = project_all(b);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(tables); i++)
		r = compare_table(b, &tables[i]);
	return r;
}

int journal_compare(const char *path, struct pipeline_set *set, struct err *e)
{
	struct rebuild b = {.set = set, .e = e};
	int r = sql_open(path, SQL_READ, &b.live, e);

	if (r == 0)
		r = rebuild(&b);
	tdestroy(b.open, free_order);
	projection_fini(&b.projection);
	sqlite3_close(b.scratch);
	sqlite3_close(b.live);
	return r;
}
