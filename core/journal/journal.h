/* The journal's writer: one SQLite file, one writer, group commit. [sequencer]
 *
 * A batch is begin, any number of appends and order rows, commit. Nothing of a batch is visible or
 * durable before the commit returns 0; then all of it is (synchronous=FULL, WAL).
 *
 * After a failed commit the journal is broken: the same data is never tried again (a failed fsync
 * may have dropped the pages). Every later call gives -EIO and the first reason, until the process
 * is restarted. -ENOSPC is not final, from the commit neither: what found no room was not synced.
 * Roll back, and try again when there is space.
 *
 * A batch in which any call failed cannot be committed; every batch that is not committed ends with
 * journal_rollback(). */
#pragma once

#include "model/order.h"

struct journal;

/* Opens or creates `path`, migrates its schema, takes the lock that keeps a second writer out.
 * -EBUSY: another process writes it. -EPROTO: made by a newer version. -EIO, -EINVAL: damaged. */
int journal_open(const char *path, struct journal **ret, struct err *e);
void journal_close(struct journal *j);

static inline void journal_closep(struct journal **j)
{
	journal_close(*j);
}

/* -EIO and why: it is broken, and what the last commit wrote may be on the disk or not. */
int journal_check(const struct journal *j, struct err *e);

/* From now on a thread moves the log's pages to the main file; without it each few thousand pages a batch waits for
 * that. Not twice. -ENOMEM, -EAGAIN, -EIO. */
int journal_start_checkpoints(struct journal *j, struct err *e);

int journal_begin(struct journal *j, struct err *e);

/* Appends one event: gives it its seq (and, for order_created, its order_seq), extends the hash
 * chain, applies its effects to `state`, records key and generation. Borrows `ev`. */
int journal_append(struct journal *j, struct event *ev, struct err *e);

/* Appends `ev`, an order_erased or order_archived, and takes away what the order's earlier events said (remains.h):
 * payloads, salt, key, address, products. -ENOENT. -EBUSY: it has not ended. -EALREADY: it was erased before. -EXDEV: it
 * was archived. After these four nothing has happened and the batch goes on. */
int journal_remove(struct journal *j, struct event *ev, struct err *e);

/* Writes the order's row in `orders`, after its events: once per batch for an order that was or is on hold
 * or has ended. */
int journal_put_order(struct journal *j, const struct order *o, struct err *e);

int journal_commit(struct journal *j, struct err *e);
void journal_rollback(struct journal *j);

/* Whether bytes that were removed may still be in the write-ahead log. */
bool journal_has_leftovers(const struct journal *j);
/* Between batches: writes the log back and cuts it off, so that they are in no file any more. -EAGAIN: somebody reads
 * just now, or there is no room; it is to be tried again. */
int journal_scrub(struct journal *j, struct err *e);

/* Reading what this writer has written, the open batch included. */
int64_t journal_last_seq(const struct journal *j);
/* The seq of the order with that id; -ENOENT. */
int journal_find_order(struct journal *j, const struct id *id, int64_t *ret_seq);
/* The seq of the order placed with that Idempotency-Key; -ENOENT. */
int journal_find_key(struct journal *j, struct str key, int64_t *ret_seq);
/* The number at a key of the state, 0 when absent; -EINVAL: not an integer. Fits decide_env. */
int journal_state_number(void *journal, struct str key, int64_t *ret);
/* 1, 0, or a negative errno: it cannot be read. */
int journal_has_state(struct journal *j, struct str key);
/* Whether the generation with that digest is the current one. */
bool journal_is_current(struct journal *j, struct str digest);

struct journal_size {
	int64_t file_bytes, wal_bytes;
};
/* What it takes on disk. Any thread. */
void journal_measure(const struct journal *j, struct journal_size *ret);
