/* Archives: orders that have ended, moved with their proof from the journal into a file of their own.
 *
 * An archive is an SQLite file with the journal's tables. `events` has every event from the first of its orders to the
 * last, and the one before; of its orders whole rows, of all else header, digest and hash without payload and salt: so
 * the chain can be walked in it from one end to the other, and its hashes are those of the journal. `orders` has its
 * orders, `generations` their pipelines. meta.archive: {"from", "to", "orders", "before"}.
 *
 * In the journal these orders keep what remains.h says, with an event order_archived for each, and one event
 * orders_archived {"file", "sha256", "from", "to", "orders", "before"} before them. */
#pragma once

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
