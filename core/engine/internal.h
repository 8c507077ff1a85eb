/* What the files of the engine share. Not for other rooms. */
#pragma once

#include <semaphore.h>

#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/live.h"
#include "engine/timers.h"
#include "journal/journal.h"
#include "model/decide.h"

enum { BATCH_MAX = 512 }; /* commands and verdicts of one commit */

struct engine {
	struct engine_options options;
	struct pipeline_set *set;
	struct journal *journal;
	struct reader *reader; /* the sequencer's own */
	struct bus *bus;
	struct live live;
	struct timers timers;
	struct generation *generations; /* newest first; grows only, [sequencer] */
	struct generation *current;

	struct queue commands, verdicts; /* a push of verdicts pokes `commands` */
	pthread_t thread;
	bool has_thread;
	atomic_bool is_stopping; /* no more dispatching */
	sem_t stopped;		 /* posted once when the sequencer has seen it */
	atomic_bool is_ending;	 /* take what is there, commit, end */

	/* trouble with the disk */
	pthread_mutex_t trouble_lock;
	struct err trouble;	   /* why nothing is accepted; code 0: all is well */
	int64_t try_again_ms;	   /* [sequencer] monotonic */
	int64_t trouble_logged_ms; /* [sequencer] */
	bool is_trouble_said;	   /* [sequencer] and not yet that it is over */

	/* written by the sequencer, read by any thread */
	atomic_llong n_orders[ORDER_CLASSES], last_seq, n_commits, n_events, commit_us;
};

/* One batch: what is decided together and committed together. [sequencer] */
struct batch {
	struct feed_batch *feed;
	struct live_order *dirty;
	bool is_begun;
	struct command *commands; /* handled or to be handled; answered after the commit */
	struct task *tasks;	  /* likewise; freed after the commit */
	struct timer *timers;	  /* taken for this batch */
	size_t n_timers;
};

/* sequencer.c */
void *sequencer_run(void *engine);
int batch_append(struct engine *en, struct batch *b, struct event_list *list, struct err *e);
int batch_commit(struct engine *en, struct batch *b, struct err *e);

/* handle.c: one command, verdict or timer */
int handle_command(struct engine *en, struct batch *b, struct command *c, struct err *e);
int handle_verdict(struct engine *en, struct batch *b, const struct task *t, struct err *e);
int handle_timer(struct engine *en, struct batch *b, const struct timer *t, struct err *e);
/* Appends and applies `list` to the order, and whatever follows by itself. */
int order_advance(struct engine *en, struct batch *b, struct live_order *lo,
	struct event_list *list, struct err *e);

/* dispatch.c: from what waits to what is out */
struct generation *engine_generation(struct engine *en, const struct pipeline *p);
/* Puts what the order waits for into lines and timers. -ENOMEM. */
int dispatch_line_up(struct engine *en, struct live_order *lo);
/* Publishes what waits and has room. False: had to leave off, call again soon. */
bool dispatch_run(struct engine *en);
/* Attempts that are out past their deadline: their verdicts, linked by node. */
struct task *dispatch_timeouts(struct engine *en, int64_t now_ms);
int64_t dispatch_next_deadline(struct engine *en);
/* Puts a stage's entry into its line, when it still stands so. */
int dispatch_due(struct engine *en, const struct timer *t);
