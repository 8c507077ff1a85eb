/* The reader's lists of orders: found by the index that fits, newest first, shown from row and
 * body. An order under way is folded: only its events say where it stands. */
#include <inttypes.h>

#include "base/mem.h"
#include "journal/projection.h"
#include "journal/reader_room.h"
#include "journal/row.h"

enum {
	LIST_MAX = 1000, /* rows of one list */
	/* So many matches are sorted or tried without a thought; where there are more, going
	 * through the orders from the newest on soon meets enough of them. */
	FEW = 20000,
	EMAIL_RUN_BITS = 15, /* of the seqs in a run of orders_email, as the schema says */
	/* Orders under way that one list folds in search of those at a stage. */
	FOLDS_MAX = 4000,
	FOLDS_AT_ONCE = 200,
};

/* What narrows the list, and the index that is walked. */
enum query_kind { QUERY_ALL, QUERY_ID, QUERY_EMAIL, QUERY_PRODUCT };
enum status_kind { STATUS_ALL, STATUS_SETTLED, STATUS_COMPLETED, STATUS_OPEN, STATUS_MOVING };
enum path { PATH_SEQ, PATH_STATUS, PATH_OPEN, PATH_ID, PATH_EMAIL, PATH_PRODUCT };

struct search {
	struct reader *r;
	enum status_kind status;
	const struct order_filter *filter;
	int64_t before;
	struct id id;
	struct str low; /* e-mail prefix or product */
	struct sql_range range;
	int64_t run; /* of orders_email that is walked */
	size_t limit;
	int64_t *seqs; /* found, newest first */
	size_t n;
};

static const char *const path_tables[] = {
	[PATH_SEQ] = "orders o NOT INDEXED",
	[PATH_STATUS] = "orders o INDEXED BY orders_status",
	[PATH_OPEN] = "orders o INDEXED BY orders_open",
	[PATH_ID] = "orders o",
	[PATH_EMAIL] = "orders o INDEXED BY orders_email",
	[PATH_PRODUCT] = "product_blocks p CROSS JOIN orders o"
			 " ON o.seq BETWEEN p.block * 64 AND p.block * 64 + 63",
};

static const enum path status_paths[] = {
	[STATUS_ALL] = PATH_SEQ,
	[STATUS_SETTLED] = PATH_STATUS,
	[STATUS_COMPLETED] = PATH_SEQ,
	[STATUS_OPEN] = PATH_OPEN,
	[STATUS_MOVING] = PATH_OPEN,
};

static const char *const status_conditions[] = {
	[STATUS_ALL] = "",
	[STATUS_SETTLED] = " AND o.status = :status AND o.status <> 'completed'",
	[STATUS_COMPLETED] = " AND o.status = 'completed'",
	[STATUS_OPEN] = " AND o.is_open = 1",
	[STATUS_MOVING] = " AND o.is_open = 1 AND o.status IS NULL",
};

/* Whether the body of the order names the product; its block says only that one of 64 may. A damaged one
 * names none. */
#define HAS_PRODUCT                                                                                \
	" AND EXISTS(SELECT 1 FROM events b, json_each(CASE WHEN json_valid(b.payload)"            \
	" THEN b.payload END, '$.order.items') i"                                                  \
	" WHERE b.seq = o.body_seq"                                                                \
	" AND CASE i.type WHEN 'object' THEN json_extract(i.value, '$.product_id') END = :low)"

_Static_assert(PRODUCT_BLOCK == 64, "as the statements here and the schema say");

static const char *query_condition(enum query_kind query, enum path path)
{
	static const char *const conditions[] = {
		[QUERY_ALL] = "",
		[QUERY_ID] = " AND o.id = :id",
		[QUERY_EMAIL] = " AND o.email >= :low AND o.email < :end",
		[QUERY_PRODUCT] = " AND EXISTS(SELECT 1 FROM product_blocks p"
				  " WHERE p.product = :low AND p.block = o.seq / 64)" HAS_PRODUCT,
	};

	if (path == PATH_PRODUCT)
		return " AND p.product = :low" HAS_PRODUCT;
	if (path == PATH_EMAIL)
		return " AND o.seq >> 15 = :run AND o.email >= :low AND o.email < :end";
	return conditions[query];
}

static int bind_parameter(sqlite3_stmt *s, int i, const struct search *q)
{
	const char *name = sqlite3_bind_parameter_name(s, i);

	if (strcmp(name, ":generation") == 0)
		return sql_bind_str(s, i, q->filter->generation);
	if (strcmp(name, ":status") == 0)
		return sql_bind_str(s, i, q->filter->status);
	if (strcmp(name, ":id") == 0)
		return sql_bind_blob(s, i, q->id.bytes, sizeof q->id.bytes);
	if (strcmp(name, ":low") == 0)
		return sql_bind_str(s, i, q->low);
	if (strcmp(name, ":end") == 0)
		return sql_bind_range_end(s, i, &q->range);
	if (strcmp(name, ":before") == 0)
		return sql_bind_int(s, i, q->before);
	if (strcmp(name, ":run") == 0)
		return sql_bind_int(s, i, q->run);
	return sql_bind_int(s, i, (int64_t)q->limit);
}

/* Whatever parameters the statement has. */
static int bind_search(sqlite3_stmt *s, const struct search *q)
{
	int bad = 0;

	for (int i = 1; i <= sqlite3_bind_parameter_count(s); i++)
		bad |= bind_parameter(s, i, q);
	return bad;
}

/* 1: at most FEW rows of `orders` match; 0: more; negative errno. */
static int is_few(const struct search *q, const char *condition, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	char text[256];
	int r;

	sqlite3_snprintf(sizeof text, text,
		"SELECT count(*) FROM (SELECT 1 FROM orders o WHERE 1%s LIMIT %d)", condition,
		(int)FEW + 1);
	r = sql_prepare(q->r->db, text, &s, e);
	if (r == 0)
		r = sql_row(s, bind_search(s, q), e);
	return r < 0 ? r : sqlite3_column_int64(s, 0) <= FEW;
}

static int choose_path(const struct search *q, enum query_kind query, enum path *ret, struct err *e)
{
	int few;

	*ret = status_paths[q->status];
	if (query == QUERY_ID)
		*ret = PATH_ID;
	if (query == QUERY_ALL || query == QUERY_ID)
		return 0;
	few = q->status == STATUS_ALL || q->status == STATUS_COMPLETED
		      ? 0
		      : is_few(q, status_conditions[q->status], e);
	if (few == 0)
		*ret = query == QUERY_EMAIL ? PATH_EMAIL : PATH_PRODUCT;
	return few < 0 ? few : 0;
}

static void add_found(struct search *q, int64_t seq)
{
	size_t at = q->n;

	while (at && q->seqs[at - 1] < seq)
		at--;
	if ((at && q->seqs[at - 1] == seq) || at == q->limit)
		return;
	if (q->n == q->limit)
		q->n--;
	memmove(q->seqs + at + 1, q->seqs + at, (q->n - at) * sizeof q->seqs[0]);
	q->seqs[at] = seq;
	q->n++;
}

/* Adds what the statement finds. */
static int find_rows(struct search *q, sqlite3_stmt *s, struct err *e)
{
	int bad = bind_search(s, q), r;

	while ((r = sql_row(s, bad, e)) > 0)
		add_found(q, sqlite3_column_int64(s, 0));
	return r;
}

/* The runs from the newest on: each has its orders together, and all of them are newer than those of the next.
 * Nothing else was looked for before. */
static int find_in_runs(struct search *q, sqlite3_stmt *s, struct err *e)
{
	int64_t last;
	int r = sql_number(q->r->db, "SELECT max(seq) FROM orders", 0, &last, e);

	q->run = (q->before <= last ? q->before : last) >> EMAIL_RUN_BITS;
	for (; r == 0 && q->run >= 0 && q->n < q->limit; q->run--)
		r = find_rows(q, s, e);
	return r;
}

/* Adds the newest matches to what is found already. */
static int find_by(struct search *q, enum query_kind query, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	const char *order;
	enum path path;
	char text[704];
	int r = choose_path(q, query, &path, e);

	if (r < 0)
		return r;
	order = path == PATH_PRODUCT ? "p.block DESC, o.seq" : "o.seq";
	sqlite3_snprintf(sizeof text, text,
		"SELECT o.seq FROM %s WHERE o.seq < :before%s%s%s%s ORDER BY %s DESC LIMIT :limit",
		path_tables[path], path == PATH_PRODUCT ? " AND p.block <= :before / 64" : "",
		status_conditions[q->status], query_condition(query, path),
		q->filter->generation.p ? " AND o.generation = :generation" : "", order);
	r = sql_prepare(q->r->db, text, &s, e);
	if (r < 0)
		return r;
	return path == PATH_EMAIL ? find_in_runs(q, s, e) : find_rows(q, s, e);
}

/* A query is an id, an e-mail address when it has an @, or else either the start of one or a
 * product. */
static int find(struct search *q, struct err *e)
{
	struct str query = q->filter->query;
	char low[SQL_PREFIX_MAX];
	int r;

	if (!query.n)
		return find_by(q, QUERY_ALL, e);
	if (id_parse(query, &q->id) == 0)
		return find_by(q, QUERY_ID, e);
	if (query.n >= SQL_PREFIX_MAX)
		return 0;
	facts_lower(query, low);
	q->low = (struct str){low, query.n};
	sql_range_of(q->low, &q->range);
	r = find_by(q, QUERY_EMAIL, e);
	if (r < 0 || memchr(query.p, '@', query.n))
		return r;
	q->low = query;
	return find_by(q, QUERY_PRODUCT, e);
}

/* --- showing what was found --- */

struct shown {
	struct reader *r;
	int (*on_row)(void *arg, const struct order_row *row);
	void *arg;
	struct str label; /* absent: all; else only orders that stand so */
	int n;
};

/* 1: shown, go on; 0: shown, and enough; 2: passed over. */
static int show_row(struct shown *shown, const struct order_row *row)
{
	if (shown->label.p && !str_eq(shown->label, row->status))
		return 2;
	shown->n++;
	return shown->on_row(shown->arg, row) == 0;
}

/* An order under way. */
static int show_moving(struct shown *shown, int64_t seq, struct err *e)
{
	_cleanup_(order_freep) struct order *o = NULL;
	struct order_row row = {.seq = seq};
	int r = reader_order(shown->r, seq, INT64_MAX, &o, NULL, e);

	if (r < 0)
		return r;
	row.id = o->id;
	row.status = str_of(order_status(o));
	row.body = str_of(o->body);
	row.error = str_of(order_error(o));
	row.created_us = o->created_us;
	row.updated_us = o->updated_us;
	return show_row(shown, &row);
}

/* What is on hold or has ended: the body is in the event that row_event() has read. */
static int show_settled(
	struct shown *shown, sqlite3_stmt *s, struct event_list *list, struct err *e)
{
	struct order_row row = {0};
	struct event *ev;
	struct str id = sql_str(s, ROW_N_COLUMNS + 1);
	int r = row_event(s, list, &ev, e);

	if (r < 0)
		return r;
	row.seq = sqlite3_column_int64(s, ROW_N_COLUMNS);
	if (id.n == sizeof row.id.bytes)
		memcpy(row.id.bytes, id.p, id.n);
	row.status = sql_str(s, ROW_N_COLUMNS + 2);
	row.body = ev->body;
	row.removed = ev->removed;
	row.error = sql_str(s, ROW_N_COLUMNS + 3);
	row.created_us = sqlite3_column_int64(s, ROW_N_COLUMNS + 4);
	row.updated_us = sqlite3_column_int64(s, ROW_N_COLUMNS + 5);
	row.completed_us = sqlite3_column_int64(s, ROW_N_COLUMNS + 6);
	return show_row(shown, &row);
}

static int show_found(struct shown *shown, int64_t seq, struct err *e)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	sqlite3_stmt *s = shown->r->stmts[READER_ROW];
	struct event_list list;
	int n;

	event_list_init(&list, &arena);
	n = sql_row(s, sql_bind_int(s, 1, seq), e);
	if (n < 0)
		return n;
	if (n == 0)
		return err_set(e, -EPROTO, "order %" PRId64 " has no body", seq);
	if (sql_str(s, ROW_N_COLUMNS + 2).p) {
		n = show_settled(shown, s, &list, e);
		sqlite3_reset(s);
		return n;
	}
	sqlite3_reset(s);
	return show_moving(shown, seq, e);
}

static int show(struct shown *shown, int64_t seq, struct err *e)
{
	int r = show_found(shown, seq, e);

	return reader_is_damaged(r) ? 2 : r;
}

/* A word that no settled order has is the label of a stage, or "compensating". */
static enum status_kind status_kind_of(struct str status)
{
	static const char *const settled[] = {"on_hold", "failed", "cancelled"};

	if (!status.n)
		return STATUS_ALL;
	if (str_is(status, "open"))
		return STATUS_OPEN;
	if (str_is(status, "completed"))
		return STATUS_COMPLETED;
	for (size_t i = 0; i < ARRAY_LEN(settled); i++)
		if (str_is(status, settled[i]))
			return STATUS_SETTLED;
	return STATUS_MOVING;
}

/* One page of what is found is shown. *ret_next: what was found last. 1: there may be more. */
static int list_page(struct search *q, struct shown *shown, int64_t *ret_next, struct err *e)
{
	int r = find(q, e);

	for (size_t i = 0; r >= 0 && i < q->n; i++) {
		*ret_next = q->seqs[i];
		r = show(shown, q->seqs[i], e);
		if (r == 0 || (r > 0 && (size_t)shown->n == q->filter->limit))
			return 0;
	}
	return r < 0 ? r : q->n == q->limit;
}

static int list_orders(struct search *q, struct shown *shown, int64_t *ret_next, struct err *e)
{
	size_t n_looked = 0;
	int r;

	do {
		q->n = 0;
		r = list_page(q, shown, ret_next, e);
		q->before = *ret_next;
		n_looked += q->n;
	} while (r > 0 && n_looked < FOLDS_MAX);
	/* All that was found was looked at, and it was not as much as was asked for. */
	if (r >= 0 && q->n < q->limit && (!q->n || *ret_next == q->seqs[q->n - 1]))
		*ret_next = 0;
	return r;
}

int reader_orders(struct reader *r, const struct order_filter *f,
	int (*on_row)(void *arg, const struct order_row *row), void *arg, int64_t *ret_next,
	struct err *e)
{
	struct order_filter filter = *f;
	enum status_kind status = status_kind_of(f->status);
	bool is_label = status == STATUS_MOVING;
	struct shown shown = {.r = r,
		.on_row = on_row,
		.arg = arg,
		.label = is_label ? f->status : (struct str){0}};
	struct search q = {.r = r, .status = status, .filter = &filter};
	_cleanup_(freep) int64_t *seqs = NULL;
	int n;

	filter.limit = f->limit < LIST_MAX ? f->limit : LIST_MAX;
	q.before = f->before > 0 ? f->before : INT64_MAX;
	q.limit = is_label ? FOLDS_AT_ONCE : filter.limit;
	q.seqs = seqs = calloc(q.limit + 1, sizeof *seqs);
	if (!seqs)
		return err_set(e, -ENOMEM, "out of memory");
	*ret_next = 0;
	n = list_orders(&q, &shown, ret_next, e);
	return n < 0 ? n : shown.n;
}

int reader_counts(struct reader *r, int (*on_count)(void *arg, struct str status, int64_t n),
	void *arg, struct err *e)
{
	sqlite3_stmt *s = r->stmts[READER_COUNTS];
	int n;

	while ((n = sql_row(s, 0, e)) > 0) {
		if (on_count(arg, sql_str(s, 0), sqlite3_column_int64(s, 1)) == 0)
			continue;
		sqlite3_reset(s);
		return 0;
	}
	return n;
}

static int list_seqs(sqlite3_stmt *s, int bad, int64_t *seqs, struct err *e)
{
	int r, n = 0;

	while ((r = sql_row(s, bad, e)) > 0)
		seqs[n++] = sqlite3_column_int64(s, 0);
	return r < 0 ? r : n;
}

int reader_unfinished(struct reader *r, int64_t after, int64_t *seqs, size_t limit, struct err *e)
{
	sqlite3_stmt *s = r->stmts[READER_UNFINISHED];

	return list_seqs(
		s, sql_bind_int(s, 1, after) | sql_bind_int(s, 2, (int64_t)limit), seqs, e);
}

int reader_of_generation(struct reader *r, struct str digest, int64_t after, int64_t *seqs,
	size_t limit, struct err *e)
{
	sqlite3_stmt *s = r->stmts[READER_OF_GENERATION];
	int bad = sql_bind_int(s, 1, after) | sql_bind_int(s, 2, (int64_t)limit) |
		  sql_bind_str(s, 3, digest);

	return list_seqs(s, bad, seqs, e);
}

int reader_open_generations(struct reader *r,
	int (*on_generation)(void *arg, struct str digest, int64_t n), void *arg, struct err *e)
{
	sqlite3_stmt *s = r->stmts[READER_OPEN_GENERATIONS];
	int n, result = 0;

	while (result == 0 && (n = sql_row(s, 0, e)) > 0)
		result = on_generation(arg, sql_str(s, 0), sqlite3_column_int64(s, 1));
	if (result < 0)
		sqlite3_reset(s);
	return result < 0 ? result : n;
}
