/* The floor under throughput: only the SQLite work of the orders that a journal holds, by one thread. Their rows
 * are read into memory, then written into a new file by the journal's own statements: same tables, same pragmas,
 * same order, batches of the size that the daemon had. No hashing, no JSON, no decisions.
 *
 *   floor JOURNAL NEW ORDERS BATCH     prints {"orders":…,"events":…,"batches":…,"seconds":…} */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "journal/checkpoint.h"
#include "journal/event_rows.h"
#include "journal/gather.h"
#include "journal/projection.h"
#include "journal/schema.h"

/* An event with what the chain and the encoding made of it. */
struct written {
	struct event event;
	struct str payload, salt, digest, hash;
};

struct floor {
	struct arena arena;
	int64_t *orders; /* seqs, ascending */
	struct written *events;
	size_t n_orders, n_events;
	struct event_rows rows;
	struct projection projection;
	sqlite3_stmt *begin, *commit;
	int wal_pages;
};

static void need(bool is_well, const char *what, const struct err *e)
{
	if (is_well)
		return;
	fprintf(stderr, "floor: %s: %s\n", what, e ? err_text(e) : "");
	exit(1);
}

/* --- reading --- */

static struct str column(struct floor *f, sqlite3_stmt *s, int i)
{
	struct str copy;

	need(arena_copy(&f->arena, sql_str(s, i), &copy), "no memory", NULL);
	return copy;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *text)
{
	struct err e = {0};
	sqlite3_stmt *s;
	int r = sql_prepare(db, text, &s, &e);

	need(r == 0, text, &e);
	return s;
}

static bool next_row(sqlite3_stmt *s, int bad)
{
	struct err e = {0};
	int r = sql_row(s, bad, &e);

	need(r >= 0, "a row cannot be read", &e);
	return r > 0;
}

/* The first orders that are completed. */
static void read_orders(struct floor *f, sqlite3 *db, size_t max)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = prepare(
		db, "SELECT seq FROM orders WHERE status = 'completed' ORDER BY seq LIMIT ?1");
	int bad = sql_bind_int(s, 1, (int64_t)max);

	f->orders = arena_alloc(&f->arena, (max + 1) * sizeof *f->orders);
	need(f->orders, "no memory", NULL);
	while (next_row(s, bad))
		f->orders[f->n_orders++] = sqlite3_column_int64(s, 0);
	need(f->n_orders, "no completed orders", NULL);
}

static int compare_seqs(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* As the command that placed the order brings them. */
static const struct order_facts *read_facts(struct str body)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	struct order_facts *facts = NULL;

	need(json_parse(body, JSON_DEPTH_MAX, &json, NULL) == 0 &&
			order_facts_of(json, &facts) == 0,
		"an order cannot be read", NULL);
	return facts;
}

static void read_event(struct floor *f, sqlite3_stmt *s)
{
	struct written *w = &f->events[f->n_events++];
	struct event *ev = &w->event;
	struct str id = sql_str(s, 7);

	*ev = (struct event){.seq = sqlite3_column_int64(s, 0),
		.time_us = sqlite3_column_int64(s, 1),
		.order_seq = sqlite3_column_int64(s, 2),
		.kind = (enum event_kind)sqlite3_column_int(s, 3),
		.type = column(f, s, 4),
		.stage = column(f, s, 5),
		.attempt = (uint32_t)sqlite3_column_int64(s, 6)};
	if (id.n == sizeof ev->order_id)
		memcpy(&ev->order_id, id.p, sizeof ev->order_id);
	w->salt = column(f, s, 8);
	w->payload = column(f, s, 9);
	w->digest = column(f, s, 10);
	w->hash = column(f, s, 11);
	need(event_decode(w->payload, ev, &f->arena) == 0, "an event cannot be read", NULL);
	if (ev->kind == EVENT_ORDER_CREATED)
		ev->facts = read_facts(ev->body);
	/* The new file starts with nothing in stock. */
	for (size_t i = 0; i < ev->n_effects; i++)
		ev->effects[i].floor = EFFECT_NO_FLOOR;
}

static void read_events(struct floor *f, sqlite3 *db)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = prepare(db,
		"SELECT seq, time_us, order_seq, kind, type, stage, attempt, id, salt, payload,"
		" digest, hash FROM events WHERE order_seq <= ?1 ORDER BY seq");
	_cleanup_(sql_finalizep) sqlite3_stmt *count =
		prepare(db, "SELECT count(*) FROM events WHERE order_seq <= ?1");
	int64_t last = f->orders[f->n_orders - 1];
	int bad = sql_bind_int(s, 1, last);

	next_row(count, sql_bind_int(count, 1, last));
	f->events =
		arena_alloc(&f->arena, (size_t)sqlite3_column_int64(count, 0) * sizeof *f->events);
	need(f->events, "no memory", NULL);
	while (next_row(s, bad)) {
		int64_t seq = sqlite3_column_int64(s, 2);

		if (bsearch(&seq, f->orders, f->n_orders, sizeof seq, compare_seqs))
			read_event(f, s);
	}
}

/* --- writing --- */

static int on_wal(void *arg, sqlite3 *db, const char *name, int n_pages)
{
	(void)db, (void)name;
	((struct floor *)arg)->wal_pages = n_pages;
	return SQLITE_OK;
}

static int write_event(struct floor *f, const struct written *w, struct err *e)
{
	int r = event_rows_add(&f->rows, &w->event, (const uint8_t *)w->salt.p, w->payload,
		(const uint8_t *)w->digest.p, (const uint8_t *)w->hash.p, e);

	return r < 0 ? r : projection_event(&f->projection, &w->event, e);
}

/* The row of an order is written again when it ends. */
static int write_ends(
	struct floor *f, const struct written *first, const struct written *end, struct err *e)
{
	static const struct pipeline none;
	int r = 0;

	for (; first < end && r == 0; first++) {
		const struct event *ev = &first->event;
		struct order o = {.seq = ev->order_seq,
			.pipeline = &none,
			.phase = ORDER_COMPLETED,
			.updated_us = ev->time_us,
			.completed_us = ev->time_us};

		if (ev->kind == EVENT_ORDER_COMPLETED)
			r = projection_order(&f->projection, &o, e);
	}
	return r;
}

static void write_batch(
	struct floor *f, sqlite3 *db, const struct written *first, const struct written *end)
{
	struct err e = {0};
	int r;

	if (f->wal_pages >= LOG_PAGES) {
		f->wal_pages = 0;
		sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	}
	r = sql_run(f->begin, 0, &e);
	for (const struct written *w = first; w < end && r == 0; w++)
		r = write_event(f, w, &e);
	if (r == 0)
		r = write_ends(f, first, end, &e);
	if (r == 0)
		r = event_rows_flush(&f->rows, &e);
	if (r == 0)
		r = projection_flush(&f->projection, &e);
	if (r == 0)
		r = sql_run(f->commit, 0, &e);
	need(r == 0, "a batch cannot be written", &e);
}

/* `batch`: events per commit, a mean: the rest is carried over to the next one. Returns the commits. */
static size_t write_all(struct floor *f, sqlite3 *db, double batch)
{
	size_t n = 0, from = 0;

	while (from < f->n_events) {
		size_t to = (size_t)((double)++n * batch);

		to = to > f->n_events ? f->n_events : to;
		if (to > from)
			write_batch(f, db, f->events + from, f->events + to);
		from = to;
	}
	return n;
}

static sqlite3 *make(struct floor *f, const char *path)
{
	struct err e = {0};
	sqlite3 *db;
	int r;

	unlink(path);
	r = sql_open(path, SQL_WRITE, &db, &e);
	if (r == 0)
		r = schema_migrate(db, &e);
	if (r == 0)
		r = event_rows_init(&f->rows, db, &e);
	if (r == 0)
		r = projection_init(&f->projection, db, &e);
	need(r == 0, path, &e);
	f->begin = prepare(db, "BEGIN IMMEDIATE");
	f->commit = prepare(db, "COMMIT");
	need(gather_log(db, &e) == 0, path, &e);
	sqlite3_wal_hook(db, on_wal, f);
	return db;
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
	need(sql_open(argv[1], SQL_READ, &old, &e) == 0, argv[1], &e);
	read_orders(&f, old, strtoull(argv[3], NULL, 10));
	read_events(&f, old);
	sqlite3_close(old);
	new = make(&f, argv[2]);
	start_us = clock_mono_us();
	n = write_all(&f, new, strtod(argv[4], NULL));
	printf("{\"orders\":%zu,\"events\":%zu,\"batches\":%zu,\"seconds\":%.6f}\n", f.n_orders,
		f.n_events, n, (double)(clock_mono_us() - start_us) / 1e6);
	sqlite3_finalize(f.begin);
	sqlite3_finalize(f.commit);
	event_rows_fini(&f.rows);
	projection_fini(&f.projection);
	sqlite3_close(new);
	arena_fini(&f.arena);
	return 0;
}
