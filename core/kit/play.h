/* A case played: the real engine, journal and decisions on a virtual clock, one order, and stages that do what
 * the case says. In a process of its own: the clock and the ids are the process's. */
#pragma once

#include "engine/engine.h"
#include "journal/reader.h"
#include "kit/cases.h"

enum { PLAY_PENDING_MAX = 4 * PIPELINE_STAGES_MAX, PLAY_TURNS_MAX = 200000 };

/* A task that is with its stage. */
struct play_pending {
	struct task *task;
	int64_t due_us; /* monotonic */
};

/* How far one act is. */
struct play_act {
	bool is_due, is_done;
	int64_t at_us;
};

struct play {
	const struct pipeline *pipeline;
	const struct order_case *c;
	struct plugin_folders folders;
	struct yaml_faults *faults; /* what became otherwise than the case says */
	char *note;		    /* of subprocess.h */

	struct worker_source workers;
	struct pipeline_set set;
	struct engine *engine;
	struct bus *bus;
	struct instance *instances[PIPELINE_STAGES_MAX]; /* of the real stages */
	uint32_t calls[PIPELINE_STAGES_MAX][2];		 /* run, undo; turns are not counted */
	struct play_pending pending[PLAY_PENDING_MAX];
	size_t n_pending;

	struct play_act acts[CASE_PEOPLE_MAX];
	size_t n_unanswered;
	bool is_placed;
	struct id order_id;

	/* what became of it */
	struct feed_batch *batches;  /* own the events */
	const struct event **events; /* of the order, oldest first */
	size_t n_events, events_cap;
	bool has_no_memory;
	struct reader *reader;
	struct order *order; /* at the end; NULL: it was not placed */
};

/* Plays the case in `folder`, which is empty. `pipeline` is taken. Faults of the case itself (refused acts and
 * the like) go to p->faults. 0, or why it could not be played. `p` is to be freed in any case. */
int play_run(struct play *p, struct pipeline *pipeline, const char *folder, struct err *e);
void play_fini(struct play *p);

/* compare.c: a fault for each expectation that is not met. -ENOMEM, or the state cannot be read. */
int play_compare(struct play *p, struct err *e);

/* play_stages.c */
int play_stages_open(struct play *p, const struct pipeline *pipeline, struct err *e);
int play_subscribe(void *play, struct bus *bus, const struct pipeline *p, size_t stage);
/* Hands back what is due. Whether there was something. */
bool play_stages_deliver(struct play *p);
/* When the next is due; INT64_MAX: none. */
int64_t play_stages_next_us(const struct play *p);
void play_stages_fini(struct play *p);

/* play_people.c */
/* Sends the state before the start, and the order. -ENOMEM. */
int play_people_begin(struct play *p);
/* An event of the order was committed. */
void play_people_saw(struct play *p, const struct event *ev);
/* Does what is due. Whether there was something. */
bool play_people_act(struct play *p);
int64_t play_people_next_us(const struct play *p);
void play_people_heard(struct play *p, struct command *c);
/* Faults for what was never done. */
void play_people_end(struct play *p);
