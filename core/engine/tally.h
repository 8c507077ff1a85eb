/* What a stage has done since the start, under its name: its figures go on when the pipeline is loaded anew.
 * [sequencer] writes, any thread reads. */
#pragma once

#include "base/histogram.h"
#include "model/event.h"
#include "model/task.h"

struct tally {
	struct tally *next;
	char *name;
	/* events */
	atomic_llong n_done, n_failed, n_retried, n_held, n_undone;
	/* attempts that came back: of runs and of undos */
	atomic_llong verdicts[2][VERDICT_KINDS];
	struct histogram run_us;  /* of an attempt, from its first call to its verdict */
	struct histogram wait_us; /* from being due to going out */
	/* of processes that have ended with their generation [loader] */
	atomic_llong n_crashes, n_restarts;
};

/* The tally of that name, made when it is not in the list yet; NULL without memory. */
struct tally *tally_get(struct tally **list, const char *name);
/* An attempt of it came back with this verdict. */
void tally_verdict(struct tally *t, const struct task *task);
/* A verdict became an event of that kind. */
void tally_outcome(struct tally *t, enum event_kind kind);
void tally_free_all(struct tally **list);
