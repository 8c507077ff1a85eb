/* A folding with a thread of its own: one thread reads, checks and decodes rows, the other folds them. */
#pragma once

#include "journal/chain_row.h"
#include "journal/folding.h"

struct fold_thread;

/* `f` is the thread's until fold_thread_end(). */
int fold_thread_start(struct folding *f, struct fold_thread **ret, struct err *e);
/* Hands over a row, waiting for room; `fold_thread` as in verify_request. -ECANCELED: the folding has failed. */
int fold_thread_row(
	void *fold_thread, const struct chain_row *row, bool is_after_gap, struct err *e);
/* Waits for what was handed over, and ends the thread. Its failure, if it has failed. */
int fold_thread_end(struct fold_thread *t, struct err *e);
