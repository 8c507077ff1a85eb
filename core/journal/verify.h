/* Whether a journal is what it says: its chain, and its projections against its events. For tools and
 * tests; both open the file read-only and may run beside a writer, of one moment. */
#pragma once

#include "model/pipeline.h"

/* Walks the hash chain. *ret_last: the last event. -EBADMSG: `e` names the first wrong event (changed,
 * deleted, inserted, reordered). What is cut off at the end leaves a whole chain that is shorter. */
int journal_verify(const char *path, int64_t *ret_last, struct err *e);

/* Folds all events into projections in a scratch database and compares every row with the live one
 * (P3). Generations go to `set`. -EBADMSG: `e` names the first difference; -EPROTO: an event that cannot
 * be folded. */
int journal_compare(const char *path, struct pipeline_set *set, struct err *e);
