/* Archives: orders that have ended, moved with their proof from the journal into a file of their own.
 *
 * An archive is an SQLite file with the journal's tables. `events` has every event from the first of its orders to the
 * last, and the one before; of its orders whole rows, of all else header, digest and hash without payload and salt: so
 * the chain can be walked in it from one end to the other, and its hashes are those of the journal. `orders` has its
 * orders, `generations` their pipelines. meta.archive: {"from", "to", "orders", "before"}.
 *
 * In the journal these orders keep what remains.h says, with an event order_archived for each, and one event
 * orders_archived {"file", "sha256", "from", "to", "orders", "before"} before them.
 *
 * An order that is erased in an archive becomes there what the orders of others are: header, digest and hash.
 * meta.erased/ID: {"at", "reason"}. */
#pragma once

#include "base/digest.h"
#include "base/id.h"
#include "journal/sql.h"
#include "journal/watch.h"

struct archive_range {
	int64_t before_us; /* orders that ended before that */
	int64_t n;	   /* of them */
	int64_t from, to;  /* seqs of their first and last events; 0: none */
	int64_t n_left;	   /* ended before, but erased or archived already */
};

/* What would be archived. Reads only. */
int archive_look(const char *journal_path, struct archive_range *range, struct err *e);

/* Writes the archive of the range, so that it is durable when this returns, and its SHA-256 in hex. The file must not
 * be there. -EEXIST: it is. Leaves nothing behind on failure. */
int archive_write(const char *journal_path, const char *path, const struct archive_range *range,
	const struct journal_watch *watch, char ret_sha256[65], struct err *e);

/* Takes away from the journal what the archive has: in batches, each of them whole, each order once. What is
 * interrupted leaves orders either archived or as they were. `reason` and `name` stand in the events. */
struct journal;
int archive_remove(struct journal *j, const char *path, const struct archive_range *range,
	const char *name, const char *sha256, const char *reason, const struct journal_watch *watch,
	struct err *e);

/* What the journal says of an archive, and it of itself. */
struct archive_report {
	int64_t seq;	    /* of the journal's orders_archived */
	int64_t n_erased;   /* of its orders */
	bool is_as_written; /* byte by byte */
};

/* Whether the archive, whose chain was verified, is the journal's: its ends are the journal's events, it has all orders
 * that it was written with but those erased in it, and when there are none of these it is the very file. -EBADMSG. */
int archive_compare(
	const char *path, const char *journal_path, struct archive_report *ret, struct err *e);
/* Erases what the archive has of an order, for good, and notes it there. -ENOENT: it does not have it (any more). */
int archive_erase(const char *path, const struct id *id, const char *reason, struct err *e);
/* SHA-256 of the file, in hex. */
int archive_digest(const char *path, char ret[DIGEST_TEXT_SIZE], struct err *e);
