/* The floor under throughput: only the SQLite work of the orders that a journal holds, by one thread. Their rows
 * are read into memory, then written into a new file as the journal's writer writes them: same tables, same
 * pragmas, same order, batches of the size that the daemon had. No hashing, no JSON, no decisions.
 *
 *   floor JOURNAL NEW ORDERS BATCH     prints {"orders":…,"events":…,"batches":…,"seconds":…}
 *
 * When the writer's statements change (journal.c, projection.c, state.c), these change too. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "journal/schema.h"
#include "journal/sql.h"
#include "model/event.h"

enum { CHECKPOINT_PAGES = 4000 /* as journal.c */, PRODUCTS_MAX = 4, KEYS_MAX = 64 };

struct order_rows {
	int64_t seq, total_minor;
	struct str id, generation, email, products[PRODUCTS_MAX];
	size_t n_products;
	int64_t completed_us; /* once the batches are there */
	struct order_rows *ended_next;
};

struct event_row {
	int64_t seq, time_us, order_seq, kind, attempt;
	struct str type, stage, id, salt, payload, digest, hash;
	struct order_rows *order;
	struct effect *effects;
	size_t n_effects;
};

struct key_row {
	struct str key;
	int64_t number;
	bool is_dirty;
};

struct floor {
	struct arena arena;
	struct order_rows *orders;
	struct event_row *events;
	struct key_row keys[KEYS_MAX];
	size_t n_orders, n_events, n_keys;
	struct order_rows *ended; /* in this batch */
	int wal_pages;
};

static void die(const char *what, const struct err *e)
{
	fprintf(stderr, "floor: %s: %s\n", what, e ? err_text(e) : "");
	exit(1);
}

static void *need(struct arena *a, size_t n)
{
	void *p = arena_alloc(a, n);

	if (!p)
		die("no memory", NULL);
	return p;
}

/* --- reading --- */

static struct str column(struct floor *f, sqlite3_stmt *s, int i)
{
	struct str copy;

	if (!arena_copy(&f->arena, sql_str(s, i), &copy))
		die("no memory", NULL);
	return copy;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text)
{
	struct err e = {0};
	sqlite3_stmt *s;

	if (sql_prepare(db, text, &s, &e) < 0)
		die(text, &e);
	return s;
}

static bool next_row(sqlite3_stmt *s, int bad)
{
	struct err e = {0};
	int r = sql_row(s, bad, &e);

	if (r < 0)
		die("a row cannot be read", &e);
	return r > 0;
}

static void read_products(struct floor *f, sqlite3_stmt *s, struct order_rows *o)
{
	int bad = sql_bind_int(s, 1, o->seq);

	while (next_row(s, bad))
		if (o->n_products < PRODUCTS_MAX)
			o->products[o->n_products++] = column(f, s, 0);
}

/* The first orders that are completed. */
static void read_orders(struct floor *f, sqlite3 *db, size_t max)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s =
		prepare(db, "SELECT seq, id, generation, email, total_minor FROM orders"
			    " WHERE status = 'completed' ORDER BY seq LIMIT ?1");
	_cleanup_(sql_finalizep) sqlite3_stmt *products =
		prepare(db, "SELECT json_extract(value, '$.product_id') FROM events,"
			    " json_each(payload, '$.order.items') WHERE seq = ?1");
	int bad = sql_bind_int(s, 1, (int64_t)max);

	f->orders = need(&f->arena, max * sizeof *f->orders);
	while (next_row(s, bad)) {
		struct order_rows *o = &f->orders[f->n_orders++];

		*o = (struct order_rows){.seq = sqlite3_column_int64(s, 0),
			.id = column(f, s, 1),
			.generation = column(f, s, 2),
			.email = column(f, s, 3),
			.total_minor = sqlite3_column_int64(s, 4)};
		read_products(f, products, o);
	}
}

static struct order_rows *find_order(const struct floor *f, int64_t seq)
{
	size_t low = 0, high = f->n_orders;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (f->orders[middle].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->n_orders && f->orders[low].seq == seq ? &f->orders[low] : NULL;
}

static void read_event(struct floor *f, sqlite3_stmt *s, struct order_rows *o)
{
	struct event_row *row = &f->events[f->n_events++];
	struct event ev = {.kind = (enum event_kind)sqlite3_column_int(s, 3)};

	*row = (struct event_row){.seq = sqlite3_column_int64(s, 0),
		.time_us = sqlite3_column_int64(s, 1),
		.order_seq = o->seq,
		.kind = ev.kind,
		.type = column(f, s, 4),
		.stage = column(f, s, 5),
		.attempt = sqlite3_column_int64(s, 6),
		.id = column(f, s, 7),
		.salt = column(f, s, 8),
		.payload = column(f, s, 9),
		.digest = column(f, s, 10),
		.hash = column(f, s, 11),
		.order = o};
	if (event_decode(row->payload, &ev, &f->arena) < 0)
		die("an event cannot be read", NULL);
	row->effects = ev.effects;
	row->n_effects = ev.n_effects;
}

static void read_events(struct floor *f, sqlite3 *db)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = prepare(db,
		"SELECT seq, time_us, order_seq, kind, type, stage, attempt, id, salt, payload,"
		" digest, hash FROM events WHERE order_seq <= ?1 ORDER BY seq");
	_cleanup_(sql_finalizep) sqlite3_stmt *count =
		prepare(db, "SELECT count(*) FROM events WHERE order_seq <= ?1");
	int64_t last = f->orders[f->n_orders - 1].seq;
	int bad = sql_bind_int(s, 1, last);

	next_row(count, sql_bind_int(count, 1, last));
	f->events = need(&f->arena, (size_t)sqlite3_column_int64(count, 0) * sizeof *f->events);
	while (next_row(s, bad)) {
		struct order_rows *o = find_order(f, sqlite3_column_int64(s, 2));

		if (o)
			read_event(f, s, o);
	}
}

/* --- writing --- */

enum statement { BEGIN, COMMIT, APPEND, NEW_ORDER, PUT_PRODUCT, PUT_ORDER, PUT_STATE, STATEMENTS };

static const char *const texts[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[APPEND] =
		"INSERT INTO events(seq, time_us, order_seq, kind, type, stage, attempt, id, salt,"
		" payload, digest, hash) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[NEW_ORDER] = "INSERT INTO orders(seq, id, status, is_open, generation, email, body_seq,"
		      " created_us, updated_us, total_minor)"
		      " VALUES(?1, ?2, NULL, 1, ?3, ?4, ?1, ?5, ?5, ?6)",
	[PUT_PRODUCT] = "INSERT INTO order_products VALUES(?1, ?2) ON CONFLICT DO NOTHING",
	[PUT_ORDER] = "UPDATE orders SET status = ?2, is_open = ?3, updated_us = ?4,"
		      " completed_us = ?5, error = ?6, stage = ?7 WHERE seq = ?1",
	[PUT_STATE] = "INSERT INTO state VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET value = ?2",
};

static void run(sqlite3_stmt *s, int bad)
{
	struct err e = {0};

	if (sql_run(s, bad, &e) < 0)
		die("a row cannot be written", &e);
}

static void put_new_order(sqlite3_stmt **stmts, const struct event_row *row)
{
	const struct order_rows *o = row->order;
	sqlite3_stmt *s = stmts[NEW_ORDER], *p = stmts[PUT_PRODUCT];

	run(s, sql_bind_int(s, 1, o->seq) | sql_bind_blob(s, 2, o->id.p, o->id.n) |
			sql_bind_str(s, 3, o->generation) | sql_bind_str(s, 4, o->email) |
			sql_bind_int(s, 5, row->time_us) | sql_bind_int(s, 6, o->total_minor));
	for (size_t i = 0; i < o->n_products; i++)
		run(p, sql_bind_str(p, 1, o->products[i]) | sql_bind_int(p, 2, o->seq));
}

static void put_event(sqlite3_stmt **stmts, const struct event_row *row)
{
	sqlite3_stmt *s = stmts[APPEND];

	run(s, sql_bind_int(s, 1, row->seq) | sql_bind_int(s, 2, row->time_us) |
			sql_bind_seq(s, 3, row->order_seq) | sql_bind_int(s, 4, row->kind) |
			sql_bind_str(s, 5, row->type) | sql_bind_str(s, 6, row->stage) |
			sql_bind_int(s, 7, row->attempt) |
			sql_bind_blob(s, 8, row->id.p, row->id.n) |
			sql_bind_blob(s, 9, row->salt.p, row->salt.n) |
			sql_bind_str(s, 10, row->payload) |
			sql_bind_blob(s, 11, row->digest.p, row->digest.n) |
			sql_bind_blob(s, 12, row->hash.p, row->hash.n));
	if (row->kind == EVENT_ORDER_CREATED)
		put_new_order(stmts, row);
}

/* Its row is written when it is placed and when it ends. */
static void note_end(struct floor *f, const struct event_row *row)
{
	struct order_rows *o = row->order;

	if (row->kind != EVENT_ORDER_COMPLETED)
		return;
	o->completed_us = row->time_us;
	o->ended_next = f->ended;
	f->ended = o;
}

static struct key_row *find_key(struct floor *f, struct str key)
{
	for (size_t i = 0; i < f->n_keys; i++)
		if (str_eq(f->keys[i].key, key))
			return &f->keys[i];
	if (f->n_keys == KEYS_MAX)
		die("more keys of the state than expected", NULL);
	f->keys[f->n_keys] = (struct key_row){.key = key};
	return &f->keys[f->n_keys++];
}

static void note_effects(struct floor *f, const struct event_row *row)
{
	for (size_t i = 0; i < row->n_effects; i++) {
		struct key_row *k = find_key(f, row->effects[i].key);

		k->number += row->effects[i].delta;
		k->is_dirty = true;
	}
}

static void put_ended_orders(struct floor *f, sqlite3_stmt *s)
{
	for (struct order_rows *o = f->ended; o; o = o->ended_next)
		run(s, sql_bind_int(s, 1, o->seq) | sql_bind_str(s, 2, STR("completed")) |
				sql_bind_int(s, 3, 0) | sql_bind_int(s, 4, o->completed_us) |
				sql_bind_int(s, 5, o->completed_us) |
				sql_bind_str(s, 6, (struct str){0}) |
				sql_bind_str(s, 7, (struct str){0}));
	f->ended = NULL;
}

static void put_state(struct floor *f, sqlite3_stmt *s)
{
	for (size_t i = 0; i < f->n_keys; i++) {
		struct key_row *k = &f->keys[i];
		char text[24];

		if (!k->is_dirty)
			continue;
		snprintf(text, sizeof text, "%" PRId64, k->number);
		run(s, sql_bind_str(s, 1, k->key) | sql_bind_str(s, 2, str_of(text)));
		k->is_dirty = false;
	}
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int n_pages)
{
	(void)db, (void)name;
	((struct floor *)arg)->wal_pages = n_pages;
	return SQLITE_OK;
}

static void write_batch(struct floor *f, sqlite3 *db, sqlite3_stmt **stmts, size_t from, size_t to)
{
	if (f->wal_pages >= CHECKPOINT_PAGES) {
		f->wal_pages = 0;
		sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	}
	run(stmts[BEGIN], 0);
	for (size_t i = from; i < to; i++) {
		put_event(stmts, &f->events[i]);
		note_end(f, &f->events[i]);
		note_effects(f, &f->events[i]);
	}
	put_ended_orders(f, stmts[PUT_ORDER]);
	put_state(f, stmts[PUT_STATE]);
	run(stmts[COMMIT], 0);
}

/* `batch`: events per commit, a mean: the rest is carried over to the next one. Returns the commits. */
static size_t write_all(struct floor *f, sqlite3 *db, double batch)
{
	sqlite3_stmt *stmts[STATEMENTS];
	struct err e = {0};
	size_t n = 0, from = 0;

	if (sql_prepare_all(db, texts, STATEMENTS, stmts, &e) < 0)
		die("the tables are others", &e);
	sqlite3_wal_hook(db, on_wal, f);
	while (from < f->n_events) {
		size_t to = (size_t)((double)++n * batch);

		to = to > f->n_events ? f->n_events : to;
		if (to > from)
			write_batch(f, db, stmts, from, to);
		from = to;
	}
	sql_finalize_all(stmts, STATEMENTS);
	return n;
}

int main(int argc, char **argv)
{
	struct floor f = {0};
	struct err e = {0};
	sqlite3 *old, *new;
	int64_t start_us;
	size_t n;

	if (argc != 5 || strtod(argv[4], NULL) < 1) {
		fprintf(stderr, "usage: floor JOURNAL NEW ORDERS BATCH\n");
		return 2;
	}
	if (sql_open(argv[1], SQL_READ, &old, &e) < 0)
		die("open", &e);
	read_orders(&f, old, strtoull(argv[3], NULL, 10));
	if (!f.n_orders)
		die("no completed orders", NULL);
	read_events(&f, old);
	sqlite3_close(old);
	unlink(argv[2]);
	if (sql_open(argv[2], SQL_WRITE, &new, &e) < 0 || schema_migrate(new, &e) < 0)
		die("make", &e);
	start_us = clock_mono_us();
	n = write_all(&f, new, strtod(argv[4], NULL));
	printf("{\"orders\":%zu,\"events\":%zu,\"batches\":%zu,\"seconds\":%.6f}\n", f.n_orders,
		f.n_events, n, (double)(clock_mono_us() - start_us) / 1e6);
	sqlite3_close(new);
	arena_fini(&f.arena);
	return 0;
}
