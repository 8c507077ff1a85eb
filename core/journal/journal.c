/* The writer: batches of events, their chain, and the projections that commit with them. Reading
 * for others is reader.c's; what follows from an event is projection.c's. */
#include "journal/journal.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash_point.h"
#include "base/mem.h"
#include "journal/checkpoint.h"
#include "journal/event_rows.h"
#include "journal/gather.h"
#include "journal/lock.h"
#include "journal/projection.h"
#include "journal/removal.h"
#include "journal/schema.h"
#include "journal/settle.h"

enum {
	FILE_MODE = 0600, /* orders are personal data */
};

enum statement { BEGIN, COMMIT, ROLLBACK, FIND_ID, FIND_KEY, FIND_CURRENT, STATEMENTS };

static const char *const texts[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[FIND_ID] = "SELECT seq FROM orders WHERE id = ?1",
	[FIND_KEY] = "SELECT order_seq FROM idempotency WHERE key = ?1",
	[FIND_CURRENT] = "SELECT digest FROM generations ORDER BY seq DESC LIMIT 1",
};

struct head {
	int64_t seq;
	uint8_t hash[CHAIN_HASH_SIZE];
};

struct journal {
	sqlite3 *db;
	int lock_fd; /* flock()ed as long as this writer lives */
	char *path;
	sqlite3_stmt *stmts[STATEMENTS];
	struct event_rows rows;
	struct projection projection;
	struct salt_cache salts;
	struct removal removal;
	struct chain chain;
	struct buf payload;		   /* of the event being appended */
	struct head head, committed;	   /* the last event: of the open batch, on disk */
	struct checkpointer *checkpointer; /* NULL: this thread does it */
	bool is_open;			   /* a batch is */
	int log_pages; /* after the last commit; 0: not known since a checkpoint */
	bool has_leftovers,
		had_leftovers; /* bytes that were removed may be in the WAL: as written, as committed */
	struct err failed;     /* why the open batch cannot be committed */
	struct err broken;     /* why nothing can be written any more */
};

/* --- open and close --- */

/* SQLite would create it for everyone to read. */
static int create_private(const char *path, struct err *e)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);

	if (fd < 0)
		return errno == EEXIST ? 0 : err_set(e, -errno, "'%s': %s", path, strerror(errno));
	close(fd);
	return 0;
}

static int read_head(struct journal *j, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct str hash;
	int r = sql_prepare(j->db, "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1", &s, e);

	if (r == 0)
		r = sql_row(s, 0, e);
	if (r <= 0)
		return r;
	hash = sql_str(s, 1);
	if (hash.n != CHAIN_HASH_SIZE)
		return err_set(e, -EINVAL, "event %" PRId64 " has no hash",
			(int64_t)sqlite3_column_int64(s, 0));
	j->head.seq = sqlite3_column_int64(s, 0);
	memcpy(j->head.hash, hash.p, CHAIN_HASH_SIZE);
	return 0;
}

static int on_wal(void *arg, sqlite3 *db, const char *name, int n_pages)
{
	struct journal *j = arg;

	(void)db;
	(void)name;
	j->log_pages = n_pages;
	return SQLITE_OK;
}

static int open_tables(struct journal *j, struct err *e)
{
	int r = sql_open(j->path, SQL_WRITE, &j->db, e);

	if (r == 0)
		r = settle_log(j->db, e);
	if (r == 0)
		r = schema_migrate(j->db, e);
	if (r == 0)
		r = sql_prepare_all(j->db, texts, STATEMENTS, j->stmts, e);
	if (r == 0)
		r = event_rows_init(&j->rows, j->db, e);
	if (r == 0)
		r = projection_init(&j->projection, j->db, e);
	if (r == 0)
		r = salt_cache_init(&j->salts, j->db, e);
	if (r == 0)
		r = removal_init(&j->removal, j->db, e);
	if (r == 0)
		r = read_head(j, e); /* with it the log is open */
	if (r == 0)
		r = gather_log(j->db, e);
	if (r == 0)
		sqlite3_wal_hook(j->db, on_wal, j);
	return r;
}

static bool has_log(const struct journal *j)
{
	struct journal_size size;

	journal_measure(j, &size);
	return size.wal_bytes > 0;
}

int journal_open(const char *path, struct journal **ret, struct err *e)
{
	_cleanup_(journal_closep) struct journal *j = calloc(1, sizeof *j);
	int r;

	if (!j)
		return err_set(e, -ENOMEM, "out of memory");
	j->lock_fd = -1;
	j->path = strdup(path);
	if (!j->path || chain_init(&j->chain) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	r = journal_lock(path, &j->lock_fd, e);
	/* Whoever died here may have left some. */
	j->has_leftovers = j->had_leftovers = has_log(j);
	if (r == 0)
		r = create_private(path, e);
	if (r < 0)
		return r;
	r = open_tables(j, e);
	if (r < 0)
		return err_wrap(e, r, "journal '%s'", path);
	j->committed = j->head;
	*ret = steal_ptr(j);
	return 0;
}

void journal_close(struct journal *j)
{
	struct err why = {0};

	if (!j)
		return;
	if (j->is_open)
		journal_rollback(j);
	if (checkpointer_stop(j->checkpointer, &why) < 0)
		j->broken = why;
	removal_fini(&j->removal);
	salt_cache_fini(&j->salts);
	projection_fini(&j->projection);
	event_rows_fini(&j->rows);
	sql_finalize_all(j->stmts, STATEMENTS);
	/* The last close checkpoints: not after a failed fsync. */
	if (j->db && j->broken.code)
		sqlite3_db_config(j->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(j->db);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	chain_fini(&j->chain);
	buf_fini(&j->payload);
	free(j->path);
	free(j);
}

/* --- batches --- */

int journal_check(const struct journal *j, struct err *e)
{
	if (!j->broken.code)
		return 0;
	return err_set(e, -EIO, "the journal takes no more until the next start: %s",
		err_text(&j->broken));
}

static int check(const struct journal *j, struct err *e)
{
	int r = journal_check(j, e);

	return r == 0 && j->failed.code ? err_set(e, j->failed.code, "%s", err_text(&j->failed))
					: r;
}

static int fail_batch(struct journal *j, const struct err *reason, struct err *e)
{
	j->failed = *reason;
	return err_set(e, reason->code, "%s", reason->text);
}

bool journal_has_leftovers(const struct journal *j)
{
	return j->has_leftovers && !j->broken.code;
}

int journal_scrub(struct journal *j, struct err *e)
{
	int r = check(j, e), code;

	assert(!j->is_open);
	if (r < 0 || !j->has_leftovers)
		return r;
	CRASH_POINT("scrub");
	sqlite3_busy_timeout(j->db, 0); /* readers come and go: it is tried again */
	code = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (code != SQLITE_OK) {
		struct err why = {0};

		r = sql_error(j->db, &why, "checkpoint");
		sqlite3_busy_timeout(j->db, SQL_BUSY_MS);
		if (r == -ENOSPC || r == -EBUSY || r == -ENOMEM)
			return -EAGAIN;
		j->broken = why;
		return check(j, e);
	}
	sqlite3_busy_timeout(j->db, SQL_BUSY_MS);
	j->log_pages = 0;
	j->has_leftovers = j->had_leftovers = false;
	return 0;
}

/* The log's pages go to the main file: here, after the last batch has been answered. */
static int checkpoint(struct journal *j, struct err *e)
{
	struct err why = {0};
	int r = CHECKPOINT_YOURS, left;

	if (j->log_pages < LOG_PAGES)
		return 0;
	if (j->checkpointer)
		r = checkpointer_turn(j->checkpointer, j->log_pages, &why);
	if (r == CHECKPOINT_YOURS) {
		j->log_pages = 0;
		r = checkpoint_run(j->db, &left, &why);
	}
	if (r >= 0)
		return 0;
	j->broken = why;
	return check(j, e);
}

int journal_start_checkpoints(struct journal *j, struct err *e)
{
	return checkpointer_start(j->path, &j->checkpointer, e);
}

int journal_begin(struct journal *j, struct err *e)
{
	int r;

	assert(!j->is_open);
	r = check(j, e);
	if (r == 0)
		r = checkpoint(j, e);
	if (r == 0)
		r = sql_run(j->stmts[BEGIN], 0, e);
	j->is_open = r == 0;
	return r;
}

/* The salt that the event's digest takes: new for an order and for what is about none. */
static int salt_of(
	struct journal *j, const struct event *ev, uint8_t salt[CHAIN_SALT_SIZE], struct err *e)
{
	int r = 0;

	if (!chain_has_own_salt(ev->kind, ev->order_seq)) {
		if (!salt_cache_has(&j->salts, ev->order_seq))
			r = event_rows_flush(&j->rows, e); /* the order may be of this batch */
		if (r == 0)
			r = salt_cache_get(&j->salts, ev->order_seq, salt, e);
		return r == -ENODATA ? -EPROTO : r; /* an order without one takes no more events */
	}
	id_random(salt, CHAIN_SALT_SIZE);
	if (ev->kind == EVENT_ORDER_CREATED)
		salt_cache_put(&j->salts, ev->order_seq, salt);
	return 0;
}

/* Extends the chain and writes the event's row. */
static int append(struct journal *j, const struct event *ev, struct err *e)
{
	bool has_salt = chain_has_own_salt(ev->kind, ev->order_seq);
	uint8_t salt[CHAIN_SALT_SIZE], digest[CHAIN_HASH_SIZE];
	int r = salt_of(j, ev, salt, e);

	if (r < 0)
		return r;
	buf_clear(&j->payload);
	event_encode(ev, &j->payload);
	if (j->payload.failed)
		return err_set(e, -ENOMEM, "out of memory");
	r = chain_digest(&j->chain, salt, buf_view(&j->payload), digest);
	if (r == 0)
		r = chain_hash(&j->chain, j->head.hash, ev, digest, j->head.hash);
	if (r < 0)
		return err_set(e, r, "out of memory");
	j->head.seq = ev->seq;
	return event_rows_add(&j->rows, ev, has_salt ? salt : NULL, buf_view(&j->payload), digest,
		j->head.hash, e);
}

int journal_append(struct journal *j, struct event *ev, struct err *e)
{
	struct err why = {0};
	int r;

	assert(j->is_open || j->broken.code);
	r = check(j, e);
	if (r < 0)
		return r;
	ev->seq = j->head.seq + 1;
	if (ev->kind == EVENT_ORDER_CREATED)
		ev->order_seq = ev->seq;
	r = append(j, ev, &why);
	CRASH_POINT("append");
	if (r == 0)
		r = projection_event(&j->projection, ev, &why);
	if (r < 0) {
		err_wrap(&why, r, "event %" PRId64 " (%.*s)", ev->seq, (int)ev->type.n, ev->type.p);
		return fail_batch(j, &why, e);
	}
	return 0;
}

static int reduce(struct journal *j, struct event *ev, struct buf *kept, struct err *e)
{
	int r = removal_reduce(&j->removal, &j->projection, ev->order_seq, ev->kind, kept, e);

	if (r < 0)
		return err_wrap(
			e, r, "removing what the order of event %" PRId64 " said", ev->order_seq);
	salt_cache_forget(&j->salts, ev->order_seq);
	j->has_leftovers = true;
	ev->kept = buf_view(kept);
	return 0;
}

/* Nothing was done, and the batch goes on. */
static bool is_refusal(int r)
{
	return r == -ENOENT || r == -EBUSY || r == -EALREADY || r == -EXDEV;
}

int journal_remove(struct journal *j, struct event *ev, struct err *e)
{
	_cleanup_(buf_fini) struct buf kept = {0};
	struct err why = {0};
	int r;

	assert(j->is_open || j->broken.code);
	r = check(j, e);
	if (r < 0)
		return r;
	r = event_rows_flush(&j->rows, &why); /* the order, or its removal, may be of this batch */
	if (r == 0)
		r = removal_check(&j->removal, ev->order_seq, &why);
	if (is_refusal(r)) {
		*e = why;
		return r;
	}
	if (r == 0)
		r = reduce(j, ev, &kept, &why);
	if (r < 0)
		return fail_batch(j, &why, e);
	r = journal_append(j, ev, e);
	ev->kept = (struct str){0};
	return r;
}

int journal_put_order(struct journal *j, const struct order *o, struct err *e)
{
	struct err why = {0};
	int r;

	assert(j->is_open || j->broken.code);
	r = check(j, e);
	if (r < 0)
		return r;
	r = projection_order(&j->projection, o, &why);
	return r < 0 ? fail_batch(j, &why, e) : 0;
}

int journal_commit(struct journal *j, struct err *e)
{
	struct err why = {0};
	int r;

	assert(j->is_open || j->broken.code);
	r = check(j, e);
	if (r < 0)
		return r;
	r = event_rows_flush(&j->rows, &why);
	if (r == 0)
		r = projection_flush(&j->projection, &why);
	if (r < 0)
		return fail_batch(j, &why, e);
	CRASH_POINT("commit");
	r = sql_run(j->stmts[COMMIT], 0, &why);
	CRASH_POINT("committed");
	if (r < 0) {
		/* A write that found no room was never synced: all else may be half on disk. */
		if (r != -ENOSPC)
			j->broken = why;
		return fail_batch(j, &why, e);
	}
	j->committed = j->head;
	j->had_leftovers = j->has_leftovers;
	j->is_open = false;
	return 0;
}

void journal_rollback(struct journal *j)
{
	if (!j->is_open)
		return;
	/* SQLite has rolled back by itself after some failures. */
	if (!sqlite3_get_autocommit(j->db))
		sql_run(j->stmts[ROLLBACK], 0, NULL);
	event_rows_drop(&j->rows);
	projection_drop(&j->projection);
	salt_cache_clear(&j->salts);
	j->head = j->committed;
	j->has_leftovers = j->had_leftovers;
	j->failed = (struct err){0};
	j->is_open = false;
}

/* --- looking at what is written --- */

int64_t journal_last_seq(const struct journal *j)
{
	return j->head.seq;
}

static int find_seq(sqlite3_stmt *s, int bad, int64_t *ret_seq)
{
	int r = sql_row(s, bad, NULL);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret_seq = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

int journal_find_order(struct journal *j, const struct id *id, int64_t *ret_seq)
{
	sqlite3_stmt *s = j->stmts[FIND_ID];

	return find_seq(s, sql_bind_blob(s, 1, id->bytes, sizeof id->bytes), ret_seq);
}

int journal_find_key(struct journal *j, struct str key, int64_t *ret_seq)
{
	sqlite3_stmt *s = j->stmts[FIND_KEY];

	return find_seq(s, sql_bind_str(s, 1, key), ret_seq);
}

int journal_state_number(void *journal, struct str key, int64_t *ret)
{
	struct journal *j = journal;

	return state_number(&j->projection.state, key, ret, NULL);
}

int journal_has_state(struct journal *j, struct str key)
{
	return state_has(&j->projection.state, key, NULL);
}

bool journal_is_current(struct journal *j, struct str digest)
{
	sqlite3_stmt *s = j->stmts[FIND_CURRENT];
	bool is_current;

	if (sql_row(s, 0, NULL) <= 0)
		return false;
	is_current = str_eq(sql_str(s, 0), digest);
	sqlite3_reset(s);
	return is_current;
}

void journal_measure(const struct journal *j, struct journal_size *ret)
{
	char wal[4096];
	struct stat st;

	*ret = (struct journal_size){0};
	if (stat(j->path, &st) == 0)
		ret->file_bytes = st.st_size;
	snprintf(wal, sizeof wal, "%s-wal", j->path);
	if (stat(wal, &st) == 0)
		ret->wal_bytes = st.st_size;
}
