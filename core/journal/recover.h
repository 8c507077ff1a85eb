/* Saving a damaged journal: a new one with every event of it that can be proven. */
#pragma once

#include "journal/verify.h"

enum { RECOVER_ORDERS_MAX = 100 };

struct recover_report {
	int64_t n_kept, n_missing;
	int64_t n_mended; /* events whose own hash or digest was damaged and follows from their neighbours */
	int64_t n_unplaced; /* rows behind the last event that nothing proves */
	int64_t n_generations; /* pipeline texts that were found beside their events, which are missing */
	struct chain_gaps gaps;
	struct chain_head last_saved; /* of the damaged journal */
	struct chain_head head;	      /* of the new one */
	int64_t n_broken;	      /* orders that lost events in a gap and cannot go on */
	struct id orders[RECOVER_ORDERS_MAX]; /* the first of them */
	int64_t n_unsure; /* orders under way of which nothing was saved behind the last gap: that may be all, or not */
	struct id unsure[RECOVER_ORDERS_MAX]; /* the first of them */
	int64_t n_headless; /* orders of which later events are there, but not their placing */
};
void recover_report_fini(struct recover_report *r);

/* Reads `damaged` page by page and makes the new file `path`. Every event that is kept follows by its hash from the one
 * before it, or, behind a gap, from the hash of a row that stands before it; what is missing is told by an event,
 * journal_recovered, which the new chain covers. -ENODATA: no event can be saved. */
int journal_recover(const char *damaged, const char *path, int64_t now_us,
	const struct journal_watch *watch, struct recover_report *ret, struct err *e);
