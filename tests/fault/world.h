/* A small world around the real engine: time, workers, a disk and a client, all played from one seed, in
 * one thread. The same seed gives the same run. */
#pragma once

#include "engine/engine.h"
#include "engine/internal.h"

enum {
	ORDERS_MAX = 40,   /* placed in one run */
	COMMANDS_MAX = 64, /* waiting for an answer */
	TASKS_MAX = 512,   /* with workers, copies included */
	STAGES_MAX = 6,
	STOCK = 12,
	ASKED_MAX = 128, /* commands of people in one run */
	MARKS_BYTES = (ATTEMPTS_MAX + 1) * sizeof(struct attempt_slot),
};

/* One order as the client knows it. */
struct placed {
	char *body;
	char key[24];	    /* of its Idempotency-Key; empty: none */
	bool is_accepted;   /* the client heard a yes */
	bool may_be_erased; /* its key with it: nobody places it again */
	struct id id;
};

/* A verdict that is on its way back. */
struct pending {
	struct task *task;
	size_t stage;	 /* world_stage() */
	int64_t work_us; /* monotonic: it is done then; 0: it has been done */
	int64_t due_us;	 /* monotonic, not before */
	bool is_copy;	 /* the bus does not count it */
	bool is_ghost;	 /* of an earlier life: its task has no pipeline */
	char generation[PIPELINE_DIGEST_SIZE];
};

/* What became of one stage of one order outside: receivers honour the idempotency key. */
struct outside {
	struct id order;
	size_t stage; /* world_stage() */
	bool is_done, is_undone;
	uint32_t n_handed_out[2]; /* attempts of run and undo that a worker got */
	uint32_t n_left[2];	  /* that left the engine, in its death, too */
	uint32_t refused[2];	  /* the last that it said no to, as to whoever asks again */
	long n_stops[2];	  /* the world's, when it got the last */
	int64_t not_before_us[2]; /* monotonic: it goes out again, or its wait ends by itself */
};

/* One thing that people asked for. Its number is in the reason, or in a signal's body. */
struct asked {
	enum command_kind kind;
	struct id order;
	size_t stage; /* that is paused or resumed */
	int number;   /* the same again: a signal that is repeated with its key */
	bool is_yes;  /* the answer */
	bool is_no;   /* not for want of disk or memory: nothing happened */
};

/* A generation that is offered to the engine, until that has answered. */
struct offer {
	struct generation *generation; /* NULL: none is */
	bool is_new, is_answered;
};

struct world {
	uint64_t seed, random;
	int64_t mono_us, wall_ahead_us;
	char path[128], attempts_path[144];
	struct worker_source workers;
	struct pipeline_set set;
	struct engine *engine;
	bool is_dying;	  /* nothing that the engine says gets out any more */
	bool is_draining; /* verdicts are good from now on */
	bool has_trouble; /* an operation of the disk or an allocation failed for good */
	struct asked asked[ASKED_MAX];
	size_t n_asked;
	size_t variant; /* which of its pipelines the file has */
	struct offer offer;
	long n_reloads;
	bool is_paused
		[STAGES_MAX]; /* by world_stage(); the answer to a pause was yes, and nobody asked to resume */
	bool may_be_paused[STAGES_MAX]; /* somebody asked for a pause since it was last resumed */
	bool is_resuming[STAGES_MAX];	/* somebody waits for the answer */
	struct placed placed[ORDERS_MAX];
	size_t n_placed;
	struct command *commands[COMMANDS_MAX];
	size_t n_commands;
	bool is_full;
	bool has_elsewhere; /* workers are elsewhere, and outlive the process */
	struct task *sent;  /* in this turn */
	struct pending pending[TASKS_MAX];
	size_t n_pending;
	struct outside outside[ORDERS_MAX * STAGES_MAX];
	size_t n_outside;
	int64_t last_seen_seq; /* of the feed, in this life */
	int64_t next_turn_ms;
	long n_steps, n_lives, n_faults, n_ghosts;
	long n_stops; /* after which what was out goes on as the same attempt */
};

/* Sets up an empty disk in `folder` and starts. `is_full`: with what seeds that are kept from once do not have. */
void world_init(struct world *w, uint64_t seed, const char *folder, bool is_full);
void world_fini(struct world *w);

uint64_t world_random(struct world *w);
/* From 0 to n - 1. */
uint64_t world_below(struct world *w, uint64_t n);
bool world_one_in(struct world *w, uint64_t n);

/* client.c */
/* Places a new order, or an earlier one once more with its key. */
void world_place(struct world *w);
/* Sends it: its answer will be looked for. Takes it. */
void world_send(struct world *w, struct command *c);
void world_on_answers(void *world, struct command *first);
void world_on_commit(void *world, struct feed_batch *batch);

/* people.c */
/* Somebody cancels, releases, answers, pauses, resumes or adjusts. */
void world_ask(struct world *w);
/* Somebody cancels every order of which an attempt is out. */
void world_cancel_begun(struct world *w);
/* Asks to resume every stage that may be paused. */
void world_resume_all(struct world *w);
void world_heard(struct world *w, struct asked *a, const struct command *c);
/* Nobody will hear the answers that are on their way. */
void world_forget_asking(struct world *w);
/* Somebody moves an order to the current generation. */
void world_migrate(struct world *w);
/* Somebody has an order erased. */
void world_erase(struct world *w);

/* generations.c */
/* The file is written and loaded anew, as the loader does it. */
void world_reload(struct world *w);
void world_reloaded(struct world *w, const struct command *c);
/* After each turn, and before the process dies. */
void world_after_step(struct world *w);
void world_forget_offer(struct world *w);
bool world_is_idle(void *arg, const struct pipeline *p);
/* What the file says. */
struct pipeline *world_read_file(struct world *w);
/* A stage's number and name: the same in all generations. */
size_t world_stage(const struct world *w, const char *name);
const char *world_stage_name(size_t stage);

/* One turn of the engine at the present moment. */
void world_step(struct world *w);
void world_pass(struct world *w, int64_t us);
/* Faults end; everything goes on until nothing is left to do. */
void world_drain(struct world *w);

/* workers.c */
int world_subscribe(void *world, struct bus *bus, const struct pipeline *p, size_t stage);
/* What the turn sent out begins. */
void world_begin_tasks(struct world *w);
/* Does what is due to be done. */
void world_work(struct world *w);
/* Hands back what is due; with `is_impatient` one that is not due yet, too. */
void world_deliver(struct world *w, bool is_impatient);
/* Workers elsewhere go on and answer the next life. */
void world_make_ghosts(struct world *w);
/* What became of that stage of that order; empty when no worker ever got it. */
const struct outside *world_outside(const struct world *w, const struct id *order, size_t stage);
/* Of the events of this life, since the wall clock may have jumped while there was none. */
void world_keep_due_time(struct world *w, const struct event *ev);
void world_forget_due_times(struct world *w);

/* marks.c: the file of attempts on the played disk */
void world_format_marks(void);
void world_read_marks(const struct world *w, char out[MARKS_BYTES]);
void world_write_marks(const struct world *w, const char marks[MARKS_BYTES]);
/* The power was gone: of each page there is what was synced, or what was written since, by a bit of `chance`; and the
 * machine has booted anew. */
void world_lose_marks(const struct world *w, uint64_t chance);

/* process.c */
int world_start(struct world *w, struct err *e);
/* Nothing of what was in the process is left, nor on its way to it but from workers elsewhere. */
void world_forget_everything(struct world *w);
/* The process dies: without power loss everything written is still there. */
void world_die(struct world *w, bool is_power_loss);
/* It stops in good order: what is out is cut off. */
void world_stop(struct world *w);
/* The process dies in the middle of its next turn's n-th write, or right behind its commit. */
void world_die_within(struct world *w);
/* One turn, with what people ask just then, finds no room. */
void world_waste_turn(struct world *w);
/* Writes find no room for a while; or one operation fails for good. */
void world_fill_disk(struct world *w, bool is_full);
void world_break_disk(struct world *w);
/* One turn in which an allocation fails. */
void world_want_memory(struct world *w);

/* promises.c */
/* Everything that must hold after a drain. */
void world_check(struct world *w);
/* The process alone died, or stopped in good order: what the start behind event `seq` charged, a worker had got. */
void world_check_charges(struct world *w, int64_t seq);

/* memory.c */
/* Between turns: the orders are as the journal has them, and who had begun is known. */
void world_check_memory(struct world *w);
/* After a drain: no attempt is out. */
void world_check_slots(const struct world *w);

/* The run broke a promise: says so with its seed and ends the process. */
void world_fail(const struct world *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
