/* Journals made anew from their own events. */
#include "journal/rebuild.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/mem.h"
#include "journal/copy.h"
#include "journal/fold_thread.h"
#include "journal/generation.h"
#include "journal/head.h"
#include "journal/lock.h"
#include "journal/schema.h"
#include "journal/settle.h"
#include "journal/walk.h"

/* --- in place --- */

struct rebuild {
	int lock_fd;
	sqlite3 *from, *to; /* the same file: as it was, and as it becomes */
	struct pipeline_set set;
	struct folding folding;
	struct buf indices;
};

static int begin(struct rebuild *b, const char *path, struct replay_report *report, struct err *e)
{
	int r = journal_lock(path, &b->lock_fd, e);

	if (r == 0 && access(path, F_OK) < 0)
		r = err_set(e, -errno, "'%s': %s", path, strerror(errno));
	if (r == 0)
		r = sql_open(path, SQL_WRITE, &b->to, e);
	if (r == 0)
		r = settle_log(b->to, e);
	if (r == 0)
		r = schema_migrate(b->to, e);
	if (r == 0)
		r = chain_open(path, &report->chain, &b->from, e);
	if (r == 0)
		generations_read(b->from, &b->set);
	if (r == 0)
		r = sql_exec(b->to, "BEGIN IMMEDIATE", e);
	if (r == 0)
		r = schema_drop_indices(b->to, &b->indices, e);
	if (r == 0)
		r = sql_exec(b->to,
			"DELETE FROM orders; DELETE FROM product_blocks; DELETE FROM state;"
			" DELETE FROM idempotency; DELETE FROM generations",
			e);
	return r == 0 ? folding_init(&b->folding, b->to, &b->set, e) : r;
}

static int end(struct rebuild *b, struct err *e)
{
	int r = folding_end(&b->folding, e);

	if (r == 0)
		r = sql_exec(b->to, b->indices.data, e);
	folding_fini(&b->folding); /* statements keep a transaction open */
	b->folding = (struct folding){.n_broken = b->folding.n_broken};
	return r == 0 ? sql_exec(b->to, "COMMIT", e) : r;
}

static void rebuild_fini(struct rebuild *b)
{
	folding_fini(&b->folding);
	sqlite3_close(b->from);
	sqlite3_close(b->to); /* rolls back what is not committed */
	if (b->lock_fd >= 0)
		close(b->lock_fd);
	buf_fini(&b->indices);
	pipeline_set_fini(&b->set);
}

int journal_rebuild(const char *path, const struct journal_watch *watch, struct replay_report *ret,
	struct err *e)
{
	struct rebuild b = {.lock_fd = -1};
	int r;

	*ret = (struct replay_report){0};
	r = begin(&b, path, ret, e);
	if (r == 0)
		r = fold_chain(b.from, &b.folding, watch, &ret->chain, e);
	if (r == 0)
		r = end(&b, e);
	ret->n_broken = b.folding.n_broken;
	rebuild_fini(&b);
	return r;
}

/* --- as it was --- */

int journal_until(const char *path, int64_t until_seq, const char *to,
	const struct journal_watch *watch, struct verify_report *ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	const struct verify_request request = {.until = until_seq, .watch = watch};
	struct journal_copy *copy = NULL;
	struct pipeline_set set = {0};
	int r = chain_open(path, ret, &db, e);

	if (r == 0)
		r = journal_copy_begin(to, &set, &copy, e);
	if (r == 0)
		r = chain_walk(
			db, &request, &(struct chain_visitor){journal_copy_on_row, copy}, ret, e);
	if (r == 0 && !ret->n_events)
		r = err_set(e, -ENOENT, "there is no event so early");
	if (r == 0)
		r = journal_copy_finish(copy, e);
	else
		journal_copy_abort(copy);
	pipeline_set_fini(&set);
	return r;
}

int journal_seq_at(const char *path, int64_t wall_us, int64_t *ret_seq, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = schema_open(path, &db, e);

	if (r == 0)
		r = sql_prepare(
			db, "SELECT ifnull(max(seq), 0) FROM events WHERE time_us <= ?1", &s, e);
	if (r == 0)
		r = sql_row(s, sql_bind_int(s, 1, wall_us), e);
	if (r < 0)
		return r;
	*ret_seq = sqlite3_column_int64(s, 0);
	return 0;
}

int journal_head(const char *path, struct chain_head *ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	int r = schema_open(path, &db, e);

	return r == 0 ? head_read(db, ret, e) : r;
}
