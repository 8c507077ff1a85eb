/* The tables of a journal file. `events` is the truth; every other table is a projection of it and
 * can be rebuilt. Each migration runs once, in order, and is never edited after a release. */
#include "journal/schema.h"

#include <inttypes.h>

#include "base/mem.h"

#define APPLICATION_ID 0x5354474c /* "STGL" */

static const char *const migrations[] = {
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"

	/* order_seq: seq of the order's order_created; NULL when not about an order.
	 * id: of the order, on order_created. salt: on order_created and on events without an
	 * order. Once erased or archived, salt is NULL and payload the remains (model/remains.h). */
	"CREATE TABLE events("
	" seq INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, order_seq INTEGER,"
	" kind INTEGER NOT NULL, type TEXT NOT NULL, stage TEXT, attempt INTEGER NOT NULL,"
	" id BLOB, salt BLOB, payload TEXT, digest BLOB NOT NULL, hash BLOB NOT NULL);"
	"CREATE INDEX events_order ON events(order_seq) WHERE order_seq IS NOT NULL;"

	/* seq: of its order_created. body_seq: the event that holds the current body. email: lower
	 * case, for searching. stage: the one that holds it. The indices end in seq, the
	 * rowid. */
	"CREATE TABLE orders("
	" seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, status TEXT NOT NULL,"
	" is_open INTEGER NOT NULL, generation TEXT NOT NULL, email TEXT, body_seq INTEGER NOT "
	"NULL,"
	" created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL, completed_us INTEGER,"
	" total_minor INTEGER, error TEXT, last_seq INTEGER NOT NULL, stage TEXT);"
	"CREATE INDEX orders_status ON orders(status);"
	"CREATE INDEX orders_held ON orders(stage, error) WHERE status = 'on_hold';"
	"CREATE INDEX orders_open ON orders(is_open) WHERE is_open = 1;"
	"CREATE INDEX orders_email ON orders(email) WHERE email IS NOT NULL;"

	/* Every product that an order's body has named. */
	"CREATE TABLE order_products("
	" product TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(product, seq)) WITHOUT ROWID;"

	"CREATE TABLE state(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE idempotency("
	" key TEXT PRIMARY KEY, order_seq INTEGER NOT NULL) WITHOUT ROWID;"
	/* seq: when it was loaded last. The highest is the current one. */
	"CREATE TABLE generations("
	" digest TEXT PRIMARY KEY, seq INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;",

	/* 2: the row of an order under way says nothing of what moves, which its events tell: it is
	 * written when the order is placed and when it ends, not at every step. status: NULL while
	 * it is under way, else on_hold or a terminal word; updated_us, error, stage go with it.
	 * Completed orders, which nearly all are, have no entry in orders_status.
	 *
	 * product_blocks: every product that the body of an order with seq / 64 = block has named;
	 * which orders of a block those are, their bodies tell. */
	"DROP INDEX orders_status; DROP INDEX orders_held; DROP INDEX orders_open;"
	"DROP INDEX orders_email; ALTER TABLE orders RENAME TO orders_1;"
	"CREATE TABLE orders("
	" seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, status TEXT,"
	" is_open INTEGER NOT NULL, generation TEXT NOT NULL, email TEXT,"
	" body_seq INTEGER NOT NULL, created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL,"
	" completed_us INTEGER, total_minor INTEGER, error TEXT, stage TEXT);"
	"INSERT INTO orders SELECT seq, id, iif(is_open = 0 OR status = 'on_hold', status, NULL),"
	" is_open, generation, email, body_seq, created_us,"
	" iif(is_open = 0 OR status = 'on_hold', updated_us, created_us), completed_us,"
	" total_minor, iif(is_open = 0 OR status = 'on_hold', error, NULL), stage FROM orders_1;"
	"DROP TABLE orders_1;"
	"CREATE INDEX orders_status ON orders(status) WHERE status <> 'completed';"
	"CREATE INDEX orders_held ON orders(stage, error) WHERE status = 'on_hold';"
	"CREATE INDEX orders_open ON orders(is_open) WHERE is_open = 1;"
	"CREATE INDEX orders_email ON orders(email) WHERE email IS NOT NULL;"
	"CREATE TABLE product_blocks("
	" product TEXT NOT NULL, block INTEGER NOT NULL, PRIMARY KEY(product, block)) WITHOUT "
	"ROWID;"
	"INSERT INTO product_blocks SELECT DISTINCT product, seq / 64 FROM order_products;"
	"DROP TABLE order_products;",

	/* 3: removed_seq: the event since which the order's events are only remains (order_erased,
	 * order_archived); NULL: they say all. */
	"ALTER TABLE orders ADD COLUMN removed_seq INTEGER;",

	/* 4: addresses by runs of 32,768 seqs, so that a new order's entry goes among those of its own
	 * run, which are few pages, however many orders there are (EMAIL_RUN_BITS). */
	"DROP INDEX orders_email;"
	"CREATE INDEX orders_email ON orders(seq >> 15, email) WHERE email IS NOT NULL;",
};

enum { VERSION = ARRAY_LEN(migrations) };

/* 0 for an empty database. */
static int version_of(sqlite3 *db, int64_t *ret, struct err *e)
{
	int64_t id, n_tables;
	int r = sql_number(db, "PRAGMA application_id", 0, &id, e);

	if (r == 0)
		r = sql_number(db, "SELECT count(*) FROM sqlite_schema", 0, &n_tables, e);
	if (r < 0)
		return r;
	if (id == 0 && n_tables == 0) {
		*ret = 0;
		return 0;
	}
	if (id != APPLICATION_ID)
		return err_set(e, -EINVAL, "not a Stageline journal");
	r = sql_number(db, "SELECT value FROM meta WHERE key = 'schema'", 0, ret, e);
	if (r == 0 && *ret > VERSION)
		return err_set(e, -EPROTO,
			"made by a newer version of Stageline (schema %" PRId64 ", known: %d)",
			*ret, (int)VERSION);
	return r;
}

static int migrate_from(sqlite3 *db, int64_t version, struct err *e)
{
	char mark[160];

	for (int64_t i = version; i < VERSION; i++) {
		int r = sql_exec(db, migrations[i], e);

		if (r < 0)
			return err_wrap(e, r, "migration to schema %" PRId64, i + 1);
	}
	sqlite3_snprintf(sizeof mark, mark,
		"PRAGMA application_id=%d; REPLACE INTO meta VALUES('schema', %d)", APPLICATION_ID,
		(int)VERSION);
	return sql_exec(db, mark, e);
}

int schema_migrate(sqlite3 *db, struct err *e)
{
	int64_t version = 0;
	int r = version_of(db, &version, e);

	if (r < 0 || version == VERSION)
		return r;
	r = sql_exec(db, "BEGIN IMMEDIATE", e);
	if (r < 0)
		return r;
	r = migrate_from(db, version, e);
	if (r == 0)
		r = sql_exec(db, "COMMIT", e);
	if (r < 0 && !sqlite3_get_autocommit(db))
		sql_exec(db, "ROLLBACK", NULL);
	return r;
}

int schema_check(sqlite3 *db, struct err *e)
{
	int64_t version = 0;
	int r = version_of(db, &version, e);

	if (r < 0)
		return r;
	if (version != VERSION)
		return err_set(e, -EPROTO,
			"schema %" PRId64 " is old: start the daemon once to bring it to %d",
			version, (int)VERSION);
	return 0;
}

int schema_open(const char *path, sqlite3 **ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	int r = sql_open(path, SQL_READ, &db, e);

	if (r == 0)
		r = schema_check(db, e);
	if (r == 0)
		r = sql_exec(db, "BEGIN", e);
	if (r < 0)
		return err_wrap(e, r, "journal '%s'", path);
	*ret = steal_ptr(db);
	return 0;
}

int schema_drop_indices(sqlite3 *db, struct buf *ret, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	_cleanup_(buf_fini) struct buf drop = {0};
	int r = sql_prepare(db,
		"SELECT name, sql FROM sqlite_schema WHERE type = 'index'"
		" AND sql IS NOT NULL AND tbl_name <> 'events'",
		&s, e);

	if (r < 0)
		return r;
	while ((r = sql_row(s, 0, e)) > 0) {
		buf_text(&drop, "DROP INDEX ");
		buf_str(&drop, sql_str(s, 0));
		buf_char(&drop, ';');
		buf_str(ret, sql_str(s, 1));
		buf_char(ret, ';');
	}
	if (r == 0 && (drop.failed || ret->failed))
		r = err_set(e, -ENOMEM, "out of memory");
	return r < 0 || !drop.len ? r : sql_exec(db, drop.data, e);
}
