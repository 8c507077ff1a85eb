/* Journals made anew from their own events: in place, or as they were at an earlier moment. */
#pragma once

#include "journal/verify.h"

/* Replaces every row that follows from events by what they give, in one transaction: all or nothing. -EBUSY: a daemon
 * has the journal. -EBADMSG: an event is wrong, and nothing was changed. */
int journal_rebuild(const char *path, const struct journal_watch *watch, struct replay_report *ret,
	struct err *e);

/* Makes the new file `to` with the events up to and including `until_seq`. -ENOENT: there is no event before it. */
int journal_until(const char *path, int64_t until_seq, const char *to,
	const struct journal_watch *watch, struct verify_report *ret, struct err *e);
/* The last event that is not later than the wall time; 0: there is none. */
int journal_seq_at(const char *path, int64_t wall_us, int64_t *ret_seq, struct err *e);
/* The last event and its hash; seq 0: there is none. */
int journal_head(const char *path, struct chain_head *ret, struct err *e);
