/* What the files of the pool of processes share: children.c is the supervisor, children_turns.c gives tasks out,
 * children_death.c is about the end of a process, child_link.c about one that lives. */
#pragma once

#include <poll.h>

#include "base/queue.h"
#include "stage/autopsy.h"
#include "stage/host.h"
#include "stage/later.h"
#include "stage/pool.h"
#include "stage/process.h"
#include "stage/tickets.h"
#include "stage/wire.h"

enum child_state {
	CHILD_NONE,
	CHILD_STARTING, /* START is sent, READY has not come */
	CHILD_READY,
	CHILD_ENDING, /* killed, or said that it leaves: gets nothing more */
};

/* One process and what it was given. [supervisor] */
struct child_link {
	enum child_state state;
	struct process process;
	struct task_list pipe; /* given to it, the oldest first: that one it is working on */
	struct task_list
		mine; /* to be given to it: it ran their turns before, and may remember them */
	uint64_t n_given, n_answered;
	uint64_t n_begun;      /* once it has ended */
	int64_t head_since_us; /* the oldest one's call began, as far as can be told */
	int64_t kill_ms;       /* SIGKILL then; INT64_MAX: no */
	int64_t started_ms;
	pid_t pid;
	bool is_new;	  /* has not been ready */
	bool is_recalled; /* keeps what it has begun, and ends then */
	bool is_timed_out;
	bool is_leaving; /* by its own will: `last_words` */
	char last_words[POOL_TEXT_MAX];
	struct module_map modules;
	struct autopsy autopsy;
};

struct pool {
	const struct pool_kind *kind;
	struct instance *instance;
	void (*on_verdicts)(void *arg, struct task *first);
	void *arg;
	pthread_t supervisor;
	struct pollfd *fds; /* room for one poll() */
	struct queue incoming;
	atomic_bool is_stopping;
	size_t max_children;

	/* [supervisor] */
	struct task_list ready, finished;
	struct later later;
	struct tickets tickets; /* of all that were given out and have no verdict yet */
	size_t n_wanted;	/* children: grows with the demand */
	size_t n_lost;		/* that ended and have not been replaced */
	unsigned n_failures;	/* starts in a row */
	int64_t next_start_ms;	/* not before */
	int64_t call_us;	/* of a call, on average */
	bool has_said_lacks;
	bool has_answered; /* any process, any task */
	bool is_waking;	   /* the stage wakes its tasks: its processes hold what these wait for */

	pthread_mutex_t lock; /* what is shown */
	struct pool_counts counts;
	struct pool_health health;

	struct child_link children[];
};

/* What a process of the stage is told first. */
struct wire_start child_link_words(
	const struct pipeline *p, size_t stage, const struct plugin *plugin);
/* Starts a process and sends it START. */
int child_link_start(struct pool *p, struct child_link *c, struct err *e);
/* Gives it a task. */
void child_link_give(struct pool *p, struct child_link *c, struct task *t);
/* The task has not been begun after all. */
void child_link_untouched(struct task *t);
/* Takes back what it has not begun, into `ready`. */
void child_link_recall(struct pool *p, struct child_link *c);
/* Takes what it has said; answered tasks go to `finished` or `later`. */
void child_link_hear(struct pool *p, struct child_link *c);
/* Ends it: politely with a look at where it is, then for good. */
void child_link_end(struct child_link *c, bool is_polite);

/* How many processes are in that state. */
size_t children_count(const struct pool *p, enum child_state state);
/* No process can be started: the next one later and later. */
void children_back_off(struct pool *p, const char *why);
/* It has ended: says why, charges the call that was going on, gives back the others. */
void children_bury(struct pool *p, struct child_link *c);

/* Gives ready tasks to processes that may take some. */
void children_give_out(struct pool *p);
/* Tasks whose time has come go on, or are finished when their time is up. */
void children_take_due(struct pool *p, int64_t now_ms);
/* Ends processes whose call, start or end takes too long. */
void children_end_overdue(struct pool *p, int64_t now_ms);
/* Takes back what waits behind a call that takes longer than expected. */
void children_recall_slow(struct pool *p, int64_t now_ms);
/* When one of these has something to do; INT64_MAX: never. */
int64_t children_next_ms(const struct pool *p);
