/* What the files of the engine share. Not for other rooms. */
#pragma once

#include <semaphore.h>

#include "engine/attempts.h"
#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/live.h"
#include "engine/quarantine.h"
#include "engine/timers.h"
#include "engine/upkeep.h"
#include "journal/journal.h"
#include "model/decide.h"

enum { BATCH_MAX = 512 }; /* commands and verdicts of one commit */

/* The loader: a thread on which pipelines are loaded and generations that are over are taken down, since both run
 * the plugins' own code. */
struct reload {
	pthread_t thread;
	atomic_bool has_thread;
	struct queue jobs;	    /* COMMAND_RELOAD */
	struct generation *retired; /* to be taken down; under the engine's generations_lock */
	atomic_bool is_ending;
	atomic_bool is_waiting; /* a command of the loader's is with the sequencer */
	bool is_adopted;	/* [sequencer] until `answered` is posted: how that went */
	sem_t answered;
	int64_t again_ms; /* [sequencer] when to look again for what can be taken down; 0: no need */
};

/* What has arrived and is not in a batch yet. [sequencer] */
struct backlog {
	struct queue_node *commands, *verdicts;
};

struct engine {
	struct engine_options options;
	struct pipeline_set *set;
	bool is_show;	  /* only shows: most of what follows is empty */
	bool is_outlived; /* by workers elsewhere: what is out may be done after its end */
	struct journal *journal;
	struct reader *reader; /* the sequencer's own */
	struct bus *bus;
	struct live live;
	struct quarantine quarantine; /* orders that nobody works on; not in `live` */
	struct timers timers;
	struct attempts attempts;
	struct upkeep upkeep;
	struct line
		awaited; /* runs that had begun before the last start and whose orders turn round */
	struct line suspects;	  /* attempts to be tried alone, before anything else */
	struct line_entry trying; /* the suspect that is out; order_seq 0: none */
	/* [sequencer] changes them, with the lock held; who is another thread holds it to look. What a stage lacked the
	 * loader makes, also with the lock held. */
	pthread_mutex_t generations_lock;
	struct generation *generations; /* newest first */
	struct generation *current;
	_Atomic(const struct pipeline *) pipeline; /* the current one, for any thread */
	struct tally *tallies;			   /* newest first; under the generations_lock */
	struct reload reload;

	struct queue commands, verdicts; /* a push of verdicts pokes `commands` */
	struct backlog backlog;
	struct buf order_text, results_text; /* [sequencer] of the task being made */
	uint64_t random;		     /* [sequencer] for jitter */
	bool must_read_pauses; /* [sequencer] it is not known which stages are paused */
	bool is_caught_up;     /* [sequencer] what was answered before its start has been handled */
	bool must_line_up; /* [sequencer] for want of memory an order in `live` stands in no line yet */
	int64_t again_ms; /* [sequencer] when the last dispatch wants to be called again */
	pthread_t thread;
	bool has_thread;
	bool has_started;	 /* and has not stopped in good order */
	atomic_bool is_stopping; /* no more dispatching */
	sem_t stopped;		 /* posted once when the sequencer has seen it */
	atomic_bool is_ending;	 /* take what is there, commit, end */

	/* trouble with the disk */
	pthread_mutex_t trouble_lock;
	struct err trouble;	   /* why nothing is accepted; code 0: all is well */
	int64_t try_again_ms;	   /* [sequencer] monotonic; INT64_MAX: not before the next start */
	int64_t trouble_logged_ms; /* [sequencer] */
	bool is_trouble_said;	   /* [sequencer] and not yet that it is over */

	/* written by the sequencer, read by any thread */
	atomic_ullong n_turns;
	atomic_llong n_orders[ORDER_CLASSES], last_seq, n_commits, n_events, commit_us, n_set_aside;
	struct histogram commit_took_us, batch_events;
};

/* Keys of the state that are Stageline's own; which stages are paused is among them. */
#define STATE_OWN    "stageline/"
#define STATE_PAUSED STATE_OWN "paused/"

/* One batch: what is decided together and committed together. [sequencer] */
struct batch {
	struct feed_batch *feed;
	struct live_order *dirty;
	bool is_begun;
	bool has_pauses;	    /* a stage was paused or resumed */
	struct generation *adopted; /* becomes current; NULL: none does */
	struct command *commands;   /* handled or to be handled; answered after the commit */
	struct task *tasks;	    /* likewise; freed after the commit */
	struct timer *timers;	    /* taken for this batch */
	size_t n_timers;
};

/* engine.c */
struct engine *engine_new(const struct engine_options *options, struct pipeline_set *set);
/* Counts the orders of the journal. At start. */
int engine_count(struct engine *en, struct err *e);

/* show.c: answers the command with a no */
void engine_show_refuse(struct engine *en, struct command *c);

/* engine.c: generation_create(), with tallies. */
int engine_make_generation(struct engine *en, const struct pipeline *p, bool is_strict,
	struct generation **ret, struct err *e);

/* stats.c */
/* The generation is about to leave the list: what its processes have counted stays. Under the generations_lock. */
void stats_keep(struct generation *g);

/* batch.c: one batch from the first event to the release */
/* Time, randomness and state for a decision. */
struct decide_env engine_env(struct engine *en);
int batch_append(struct engine *en, struct batch *b, struct event_list *list, struct err *e);
/* Appends the one event of `list`, a removal, and takes away what its order said. As journal_remove(): after -ENOENT,
 * -EBUSY, -EALREADY and -EXDEV the batch goes on. */
int batch_remove(struct engine *en, struct batch *b, struct event_list *list, struct err *e);
/* Appends and applies `list` to the order, and whatever follows by itself. */
int order_advance(struct engine *en, struct batch *b, struct live_order *lo,
	struct event_list *list, struct err *e);
int batch_commit(struct engine *en, struct batch *b, struct err *e);
/* After the commit: orders are lined up, commands answered, tasks freed. */
void batch_release(struct engine *en, struct batch *b);
/* At its end, and whatever became of it: the feed, if there is one, is handed on. */
void batch_feed(struct engine *en, struct batch *b);
/* Instead of it: nothing of it has happened, and attempts whose verdicts are in it are out again. */
void batch_undo(struct engine *en, struct batch *b);
/* Undoes it; the journal is in trouble: commands are told why, verdicts and timers come again. */
void batch_abort(struct engine *en, struct batch *b, const struct err *why);
/* Its commands are answered with the reason. */
void batch_refuse(struct engine *en, struct batch *b, const struct err *why);
/* Its verdicts are nobody's any more. */
void batch_drop_tasks(struct engine *en, struct batch *b);
void batch_answer(struct engine *en, struct batch *b);
/* The journal takes no more until the next start: then nothing may go out either, since what the last commit decided
 * may be on the disk though it failed. */
bool batch_was_last(struct engine *en);
/* Nothing stood in the way: people are let in again. Only a commit shows that it is over. */
void batch_clear_trouble(struct engine *en, bool has_written);
typedef int batch_work(
	struct engine *en, struct batch *b, const int64_t *seqs, int n, struct err *e);
/* Has `work` done in a batch of its own, commits and releases it, or rolls it back. Before the thread runs. */
int batch_do(struct engine *en, batch_work *work, const int64_t *seqs, int n, struct err *e);

/* quarantine.c: what concerns one order alone stops that one alone */
/* As live_get(). An order that cannot be read is set aside; one that is set aside is not there: -ENOENT. */
int quarantine_get(struct engine *en, int64_t seq, struct live_order **ret, struct err *e);
/* Instead of batch_release(): what fails for one item of the batch alone is found by trying each alone; its
 * order is set aside, or it is a command and is refused. Anything else aborts the batch. */
void quarantine_batch(struct engine *en, struct batch *b, const struct err *why);
/* batch_do(), and when it fails for one of `seqs` alone, its order is set aside and the others are done.
 * `order_of` gives its order; NULL: they are orders. */
int quarantine_do(struct engine *en, batch_work *work, const int64_t *seqs, int n,
	int64_t (*order_of)(struct engine *en, int64_t seq), struct err *e);

/* sequencer.c */
/* Handles what is in the batch, commits and releases it; or whatever is to happen instead. batch_feed() is left to do. */
void batch_try(struct engine *en, struct batch *b);
void *sequencer_run(void *engine);

/* recover.c: at start */
int recover(struct engine *en, struct err *e);

/* people.c: the commands after the placing */
/* The command's order in memory; without one the command is answered and *ret is NULL. */
int people_find_order(struct engine *en, struct command *c, struct live_order **ret, struct err *e);
/* `why` NULL: because it is not open. A terminal order came into memory for its refusal only. */
int people_refuse_order(
	struct engine *en, struct live_order *lo, struct command *c, int r, const char *why);
int people_cancel(struct engine *en, struct batch *b, struct command *c, struct err *e);
int people_release(struct engine *en, struct batch *b, struct command *c, struct err *e);
int people_signal(struct engine *en, struct batch *b, struct command *c, struct err *e);
int people_pause(struct engine *en, struct batch *b, struct command *c, struct err *e);
int people_resume(struct engine *en, struct batch *b, struct command *c, struct err *e);
int people_adjust(struct engine *en, struct batch *b, struct command *c, struct err *e);

/* erase.c */
int people_erase(struct engine *en, struct batch *b, struct command *c, struct err *e);
/* As batch_remove(). -EBUSY also: it is of the open batch. */
int erase_order(struct engine *en, struct batch *b, int64_t order_seq, struct str reason,
	struct str message, struct err *e);

/* migrate.c */
int people_migrate(struct engine *en, struct batch *b, struct command *c, struct err *e);

/* reload.c */
int reload_init(struct reload *rl);
void reload_fini(struct reload *rl, struct bus *bus);
int reload_start(struct engine *en); /* the thread */
void reload_stop(
	struct engine *en); /* before the sequencer ends; nothing becomes current any more */
/* Journals that the pipeline became current, and the keys of the state that are new with it. */
int reload_append(struct engine *en, struct batch *b, const struct pipeline *p, struct err *e);
int reload_adopt(struct engine *en, struct batch *b, struct command *c, struct err *e);
/* It is journaled: new orders take it. */
void reload_adopted(struct engine *en, struct generation *g);
/* Before commands are answered: tells the loader when one of them is its own. */
void reload_on_answers(struct engine *en, const struct command *first);
/* What the loader does; without its thread whoever has the sequencer's. */
/* The generation at run time, all its stages made: one that is there still, or a new one. *ret_is_new: the caller's. */
int reload_make(struct engine *en, const struct pipeline *p, struct generation **ret,
	bool *ret_is_new, struct err *e);
/* Lends the command to the sequencer, which makes the generation current or not: reload.is_adopted. */
void reload_offer(struct engine *en, struct command *c, struct generation *g);
/* It did not become current. */
void reload_give_up(struct engine *en, struct generation *g, bool is_new);
/* Ends and frees what reload_retire() handed over. */
void reload_take_down(struct engine *en);
/* Hands generations that are over to the loader. Returns when to look again (monotonic). */
int64_t reload_retire(struct engine *en);
/* Makes the generations that unfinished orders are on, and counts these. At start. */
int reload_open_generations(struct engine *en, struct err *e);

/* handle.c: one command, verdict or timer */
int handle_command(struct engine *en, struct batch *b, struct command *c, struct err *e);
int handle_verdict(struct engine *en, struct batch *b, struct task *t, struct err *e);
int handle_timer(struct engine *en, struct batch *b, const struct timer *t, struct err *e);

/* dispatch.c: from what waits to what goes out */
/* Puts what the order waits for into lines and timers. -ENOMEM. */
int dispatch_line_up(struct engine *en, struct live_order *lo);
/* Publishes what waits and may go out. Returns when to call again even if nothing comes (monotonic). */
int64_t dispatch_run(struct engine *en);
/* Puts a stage's entry into its line, when it still stands so. */
int dispatch_due(struct engine *en, const struct timer *t);

/* out.c: what is out with workers */
/* The generation at run time; NULL when no unfinished order is on it. */
struct generation *engine_generation(struct engine *en, const struct pipeline *p);
struct stage_runtime *engine_runtime(struct engine *en, const struct order *o, size_t stage);
/* Pauses and resumes the stages of all generations as the state says. After a failure nothing goes out until it has
 * been read. */
int engine_read_pauses(struct engine *en);
struct task *out_make_task(struct engine *en, const struct order *o, size_t stage);
/* Whether the attempt is out now. */
bool out_has(struct engine *en, const struct line_entry *entry);
/* The attempt of a verdict is not out any more. */
void out_back(struct engine *en, struct order *o, struct task *t);
/* What its verdict says is journaled: the stage's figures and its gate hear of it. Not before, for it is decided again
 * when the batch fails. */
void out_count(struct engine *en, const struct task *t);
/* It is out again: its verdict could not be journaled and comes once more. */
void out_again(struct engine *en, struct task *t);
/* Its attempts that had begun before the last start and are over without having gone out again. */
void out_forget_begun(struct engine *en, struct order *o);
/* The attempt of an order that is set aside is not over: the next start finds its mark. */
void out_keep_mark(struct engine *en, struct task *t);
/* Nobody waits for the order's attempts any more. */
void out_forget(struct engine *en, struct order *o);
/* Drops answered entries from the head of the stage's line, or all of them when they are the most. */
void out_sweep(struct engine *en, struct stage_runtime *rt);
/* Attempts that are out past their deadline: their verdicts, linked by node. */
struct task *out_timeouts(struct engine *en, int64_t now_ms);
int64_t out_next_deadline(struct engine *en);
