/* Rows of events: kept until there is a block of them, then inserted by one statement. */
#include "journal/event_rows.h"

#include "base/mem.h"

/* OR FAIL: what fails here fails the batch, so that SQLite need not remember how to take back half a block. */
#define COLUMNS                                                                                    \
	"INSERT OR FAIL INTO events(seq, time_us, order_seq, kind, type, stage, attempt, id, "     \
	"salt, "                                                                                   \
	"payload,"                                                                                 \
	" digest, hash) VALUES"
#define ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
enum { N_COLUMNS = 12 };

static const char one[] = COLUMNS ROW;
static const char block[] = COLUMNS ROW "," ROW "," ROW "," ROW "," ROW "," ROW "," ROW "," ROW;

_Static_assert(ROWS_AT_ONCE == 8, "as many rows as `block` has");

int event_rows_init(struct event_rows *r, sqlite3 *db, struct err *e)
{
	int n;

	*r = (struct event_rows){0};
	n = sql_prepare(db, one, &r->one, e);
	return n == 0 ? sql_prepare(db, block, &r->block, e) : n;
}

void event_rows_fini(struct event_rows *r)
{
	sqlite3_finalize(r->one);
	sqlite3_finalize(r->block);
	arena_fini(&r->arena);
}

void event_rows_drop(struct event_rows *r)
{
	r->n = 0;
	arena_clear(&r->arena);
}

static int bind(sqlite3_stmt *s, size_t index, const struct event_row *row)
{
	int at = (int)index * N_COLUMNS;

	return sql_bind_int(s, at + 1, row->seq) | sql_bind_int(s, at + 2, row->time_us) |
	       sql_bind_seq(s, at + 3, row->order_seq) | sql_bind_int(s, at + 4, row->kind) |
	       sql_bind_str(s, at + 5, row->type) | sql_bind_str(s, at + 6, row->stage) |
	       sql_bind_int(s, at + 7, row->attempt) |
	       sql_bind_blob(s, at + 8, row->has_id ? row->id.bytes : NULL, sizeof row->id) |
	       sql_bind_blob(s, at + 9, row->has_salt ? row->salt : NULL, sizeof row->salt) |
	       sql_bind_str(s, at + 10, row->payload) |
	       sql_bind_blob(s, at + 11, row->digest, sizeof row->digest) |
	       sql_bind_blob(s, at + 12, row->hash, sizeof row->hash);
}

static int insert_block(struct event_rows *r, struct err *e)
{
	int bad = 0;

	for (size_t i = 0; i < ROWS_AT_ONCE; i++)
		bad |= bind(r->block, i, &r->rows[i]);
	return sql_run(r->block, bad, e);
}

int event_rows_flush(struct event_rows *r, struct err *e)
{
	int n = 0;

	if (r->n == ROWS_AT_ONCE)
		n = insert_block(r, e);
	else
		for (size_t i = 0; i < r->n && n == 0; i++)
			n = sql_run(r->one, bind(r->one, 0, &r->rows[i]), e);
	if (n == 0)
		event_rows_drop(r);
	return n;
}

int event_rows_add(struct event_rows *r, const struct event *ev, const uint8_t *salt,
	struct str payload, const uint8_t *digest, const uint8_t *hash, struct err *e)
{
	struct event_row *row = &r->rows[r->n];

	*row = (struct event_row){.seq = ev->seq,
		.time_us = ev->time_us,
		.order_seq = ev->order_seq,
		.kind = ev->kind,
		.attempt = ev->attempt,
		.has_id = ev->kind == EVENT_ORDER_CREATED,
		.has_salt = salt != NULL,
		.id = ev->order_id};
	if (!arena_copy(&r->arena, ev->type, &row->type) ||
		!arena_copy(&r->arena, ev->stage, &row->stage) ||
		!arena_copy(&r->arena, payload, &row->payload))
		return err_set(e, -ENOMEM, "out of memory");
	if (salt)
		memcpy(row->salt, salt, sizeof row->salt);
	memcpy(row->digest, digest, sizeof row->digest);
	memcpy(row->hash, hash, sizeof row->hash);
	r->n++;
	return r->n == ROWS_AT_ONCE ? event_rows_flush(r, e) : 0;
}
