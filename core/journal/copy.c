/* A journal that comes to be from the events of another. */
#include "journal/copy.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/new_file.h"
#include "journal/schema.h"

struct journal_copy {
	struct new_file file;
	sqlite3 *db;
	sqlite3_stmt *insert;
	struct folding folding;
	struct buf indices; /* SQL that makes them */
	struct chain chain;
	int64_t last_seq;
	uint8_t last_hash[CHAIN_HASH_SIZE];
};

static int open_tables(struct journal_copy *c, struct pipeline_set *set, struct err *e)
{
	int r = sql_open(c->file.partial, SQL_BULK, &c->db, e);

	if (r == 0)
		r = schema_migrate(c->db, e);
	if (r == 0)
		r = schema_drop_indices(c->db, &c->indices, e);
	if (r == 0)
		r = sql_exec(c->db, "BEGIN", e);
	if (r == 0)
		r = sql_prepare(c->db,
			"INSERT INTO events(" CHAIN_ROW_COLUMNS
			") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			&c->insert, e);
	return r == 0 ? folding_init(&c->folding, c->db, set, e) : r;
}

int journal_copy_begin(
	const char *path, struct pipeline_set *set, struct journal_copy **ret, struct err *e)
{
	_cleanup_(journal_copy_abortp) struct journal_copy *c = calloc(1, sizeof *c);
	int r;

	if (!c || chain_init(&c->chain) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	r = new_file_begin(&c->file, path, e);
	if (r == 0)
		r = open_tables(c, set, e);
	if (r < 0)
		return r;
	*ret = steal_ptr(c);
	return 0;
}

static int insert(struct journal_copy *c, const struct chain_row *row, struct err *e)
{
	sqlite3_stmt *s = c->insert;

	return sql_run(s,
		sql_bind_int(s, 1, row->ev.seq) | sql_bind_int(s, 2, row->ev.time_us) |
			sql_bind_seq(s, 3, row->ev.order_seq) | sql_bind_int(s, 4, row->kind) |
			sql_bind_str(s, 5, row->ev.type) | sql_bind_str(s, 6, row->ev.stage) |
			sql_bind_int(s, 7, row->ev.attempt) |
			sql_bind_blob(s, 8, row->id.p, row->id.n) |
			sql_bind_blob(s, 9, row->salt.p, row->salt.n) |
			sql_bind_str(s, 10, row->payload) |
			sql_bind_blob(s, 11, row->digest.p, row->digest.n) |
			sql_bind_blob(s, 12, row->hash.p, row->hash.n),
		e);
}

int journal_copy_row(
	struct journal_copy *c, const struct chain_row *row, bool is_after_gap, struct err *e)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event_list list;
	struct event *ev;
	int r;

	event_list_init(&list, &arena);
	if (is_after_gap)
		folding_break(&c->folding);
	r = insert(c, row, e);
	if (r == 0)
		r = chain_row_event(row, &list, &ev, e);
	if (r == 0)
		r = folding_event(&c->folding, ev, e);
	if (r < 0)
		return r;
	c->last_seq = row->ev.seq;
	memcpy(c->last_hash, row->hash.p, CHAIN_HASH_SIZE);
	return 0;
}

int journal_copy_on_row(void *copy, const struct chain_row *row, bool is_after_gap, struct err *e)
{
	return journal_copy_row(copy, row, is_after_gap, e);
}

int journal_copy_append(struct journal_copy *c, struct event *ev, struct err *e)
{
	_cleanup_(buf_fini) struct buf payload = {0};
	uint8_t salt[CHAIN_SALT_SIZE], digest[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE];
	struct chain_row row;
	int r;

	ev->seq = c->last_seq + 1;
	event_encode(ev, &payload);
	if (payload.failed)
		return err_set(e, -ENOMEM, "out of memory");
	id_random(salt, sizeof salt);
	r = chain_digest(&c->chain, salt, buf_view(&payload), digest);
	if (r == 0)
		r = chain_hash(&c->chain, c->last_hash, ev, digest, hash);
	if (r < 0)
		return err_set(e, r, "out of memory");
	row = (struct chain_row){.ev = *ev,
		.kind = ev->kind,
		.salt = {(const char *)salt, sizeof salt},
		.payload = buf_view(&payload),
		.digest = {(const char *)digest, sizeof digest},
		.hash = {(const char *)hash, sizeof hash}};
	return journal_copy_row(c, &row, false, e);
}

int64_t journal_copy_broken(const struct journal_copy *c, struct id *ids, size_t max)
{
	for (size_t i = 0; i < max && i < FOLDING_BROKEN_MAX && (int64_t)i < c->folding.n_broken;
		i++)
		ids[i] = c->folding.broken[i];
	return c->folding.n_broken;
}

int64_t journal_copy_open_before(
	const struct journal_copy *c, int64_t seq, struct id *ids, size_t max)
{
	return folding_open_before(&c->folding, seq, ids, max);
}

sqlite3 *journal_copy_db(struct journal_copy *c)
{
	return c->db;
}

/* --- the end --- */

static int close_tables(struct journal_copy *c, struct err *e)
{
	int r = folding_end(&c->folding, e);

	folding_fini(&c->folding);
	c->folding = (struct folding){0};
	sqlite3_finalize(c->insert);
	c->insert = NULL;
	if (r == 0 && c->indices.len)
		r = sql_exec(c->db, c->indices.data, e);
	if (r == 0)
		r = sql_exec(c->db, "COMMIT", e);
	if (r == 0)
		r = sql_exec(c->db, "PRAGMA journal_mode=WAL", e);
	if (r == 0 && sqlite3_close(c->db) != SQLITE_OK)
		r = sql_error(c->db, e, "close");
	else if (r == 0)
		c->db = NULL;
	return r;
}

int journal_copy_finish(struct journal_copy *c, struct err *e)
{
	int r = close_tables(c, e);

	if (r == 0)
		r = new_file_publish(&c->file, e);
	if (r < 0)
		err_wrap(e, r, "'%s'", c->file.path);
	journal_copy_abort(c);
	return r;
}

void journal_copy_abort(struct journal_copy *c)
{
	if (!c)
		return;
	folding_fini(&c->folding);
	sqlite3_finalize(c->insert);
	sqlite3_close(c->db);
	new_file_fini(&c->file);
	chain_fini(&c->chain);
	buf_fini(&c->indices);
	free(c);
}
