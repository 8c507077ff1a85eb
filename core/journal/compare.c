/* Projections against events: everything is projected once more, into a scratch database, by the
 * code that the writer uses, and compared row by row. */
#include <inttypes.h>

#include "base/mem.h"
#include "journal/fold_thread.h"
#include "journal/generation.h"
#include "journal/schema.h"
#include "journal/verify.h"
#include "journal/walk.h"

struct replay {
	sqlite3 *live, *scratch;
	struct folding folding;
	struct replay_report *report;
};

static const struct table {
	const char *name, *columns, *key;
	int n_key; /* columns of the key, the first ones of the row */
} tables[] = {
	{"orders", "*", "seq", 1},
	{"product_blocks", "*", "product, block", 2},
	{"state", "*", "key", 1},
	{"idempotency", "*", "key", 1},
	{"generations", "*", "digest", 1},
};

/* What the tables themselves are: the text of each is that of the migrations. */
static const struct table schema_table = {"sqlite_schema", "name, type, tbl_name, sql", "name", 1};

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

static int compare_values(sqlite3_stmt *a, sqlite3_stmt *b, int column)
{
	struct str x, y;
	int order;

	if (sqlite3_column_type(a, column) == SQLITE_INTEGER &&
		sqlite3_column_type(b, column) == SQLITE_INTEGER) {
		int64_t i = sqlite3_column_int64(a, column), k = sqlite3_column_int64(b, column);

		return (i > k) - (i < k);
	}
	x = sql_str(a, column);
	y = sql_str(b, column);
	order = memcmp(x.n ? x.p : "", y.n ? y.p : "", x.n < y.n ? x.n : y.n);
	return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* Which row comes first; 0: both are of one key. */
static int compare_keys(const struct table *t, sqlite3_stmt *live, sqlite3_stmt *made)
{
	int order = 0;

	for (int i = 0; i < t->n_key && !order; i++)
		order = compare_values(live, made, i);
	return order;
}

static int one_alone(const struct table *t, sqlite3_stmt *row, const char *what, struct err *e)
{
	struct str key = value_text(row, 0);

	return err_set(e, -EBADMSG, "%s, row %.*s: %s", t->name, (int)key.n, key.p, what);
}

static int compare_rows(const struct table *t, sqlite3_stmt *live, sqlite3_stmt *made,
	int64_t *n_rows, struct err *e)
{
	for (;;) {
		int a = sql_row(live, 0, e);
		int b = a < 0 ? a : sql_row(made, 0, e);
		int order, r;

		if (b < 0 || (!a && !b))
			return b;
		order = a && b ? compare_keys(t, live, made) : a ? -1 : 1;
		if (order < 0)
			return one_alone(t, live, "no event gives it", e);
		if (order > 0)
			return one_alone(t, made, "missing", e);
		r = compare_row(t, live, made, e);
		if (r < 0)
			return r;
		++*n_rows;
	}
}

static int compare_table(struct replay *p, const struct table *t, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *live = NULL;
	_cleanup_(sql_finalizep) sqlite3_stmt *made = NULL;
	char text[128];
	int r;

	sqlite3_snprintf(
		sizeof text, text, "SELECT %s FROM %s ORDER BY %s", t->columns, t->name, t->key);
	r = sql_prepare(p->live, text, &live, e);
	if (r == 0)
		r = sql_prepare(p->scratch, text, &made, e);
	if (r == 0)
		r = compare_rows(t, live, made, &p->report->n_rows, e);
	p->report->is_difference = r == -EBADMSG;
	return r;
}

/* Rows can be right where an index that leads to them is not. */
static int check_file(struct replay *p, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct str says;
	int r = sql_prepare(p->live, "PRAGMA integrity_check(1)", &s, e);

	if (r == 0)
		r = sql_row(s, 0, e);
	if (r < 0)
		return r;
	says = r ? sql_str(s, 0) : STR("no answer");
	if (str_is(says, "ok"))
		return 0;
	p->report->is_difference = true;
	return err_set(e, -EBADMSG, "the file is damaged: %.*s", (int)says.n, says.p);
}

static int open_scratch(struct replay *p, struct err *e)
{
	_cleanup_(buf_fini) struct buf indices = {0};
	int r = sql_open(NULL, SQL_SCRATCH, &p->scratch, e);

	if (r == 0)
		r = schema_migrate(p->scratch, e);
	if (r == 0)
		r = compare_table(p, &schema_table, e);
	if (r == 0)
		r = schema_drop_indices(p->scratch, &indices, e); /* nobody looks anything up */
	return r == 0 ? sql_exec(p->scratch, "BEGIN", e) : r;
}

static int replay(struct replay *p, const char *path, struct pipeline_set *set,
	const struct journal_watch *watch, struct err *e)
{
	int r = chain_open(path, &p->report->chain, &p->live, e);

	if (r == 0)
		generations_read(p->live,
			set); /* behind a gap, events may name one whose own event is missing */
	if (r == 0)
		r = open_scratch(p, e);
	if (r == 0)
		r = folding_init(&p->folding, p->scratch, set, e);
	if (r == 0)
		r = fold_chain(p->live, &p->folding, watch, &p->report->chain, e);
	if (r == 0)
		r = folding_end(&p->folding, e);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(tables); i++)
		r = compare_table(p, &tables[i], e);
	return r == 0 ? check_file(p, e) : r;
}

int journal_replay(const char *path, struct pipeline_set *set, const struct journal_watch *watch,
	struct replay_report *ret, struct err *e)
{
	struct replay p = {.report = ret};
	int r;

	*ret = (struct replay_report){0};
	r = replay(&p, path, set, watch, e);
	ret->n_broken = p.folding.n_broken;
	folding_fini(&p.folding);
	sqlite3_close(p.scratch);
	sqlite3_close(p.live);
	return r;
}

void replay_report_fini(struct replay_report *r)
{
	verify_report_fini(&r->chain);
}

int journal_compare(const char *path, struct pipeline_set *set, struct err *e)
{
	_cleanup_(replay_report_fini) struct replay_report report;

	return journal_replay(path, set, NULL, &report, e);
}
