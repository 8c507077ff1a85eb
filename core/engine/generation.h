/* A generation at run time: per stage its instance, its pool of workers, what waits and what is out. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "bus/bus.h"
#include "engine/gate.h"
#include "engine/tally.h"
#include "stage/stage.h"

struct engine_options;

/* One attempt that waits for room, or is out. */
struct line_entry {
	int64_t order_seq;
	int64_t at_ms; /* monotonic: waiting since, or out until */
	uint32_t attempt;
	uint16_t stage;
	bool undo;
	uint8_t moves; /* of the order then: the stage is counted in that generation */
};

/* A queue of entries, oldest first. */
struct line {
	struct line_entry *ring;
	size_t first, n, cap; /* cap is a power of two or 0 */
};

int line_push(struct line *l, struct line_entry entry); /* -ENOMEM */
struct line_entry *line_at(struct line *l, size_t i);
void line_drop(struct line *l, size_t n);
/* The first entry gets a later time and moves behind those that are earlier. */
void line_postpone(struct line *l, int64_t at_ms);
void line_fini(struct line *l);

struct stage_runtime {
	struct instance *instance; /* NULL: its plugin could not be loaded, tasks wait */
	struct pool *pool;
	char *trouble;	      /* why there is none; NULL: there is */
	struct tally *tally;  /* of all generations' stages of that name; borrowed */
	struct gate gate;     /* [sequencer] */
	struct line waiting;  /* [sequencer] */
	struct task *leaving; /* [sequencer] taken from there, not published yet */
	struct line out; /* [sequencer] by deadline; holds answered ones until they are swept */
	/* written by the sequencer, read by any thread */
	atomic_llong n_waiting, n_out, oldest_since_ms;
	atomic_int breaker; /* enum breaker_state */
	atomic_bool is_paused;
};

struct generation {
	struct generation *next;
	const struct pipeline *pipeline;
	/* Held to change instance, pool and trouble of its stages, and to look at them from another thread; NULL: there
	 * is none. Borrowed. */
	pthread_mutex_t *lock;
	atomic_llong n_open; /* [sequencer] writes: unfinished orders */
	bool is_wanted;	     /* is becoming the current one; under the engine's generations_lock */
	struct stage_runtime stages[];
};

/* Loads plugins, makes instances and pools, and subscribes them to the bus; or has `workers` subscribe, when
 * the options name some. With `is_strict` a stage that cannot be made is an error; without, its tasks wait,
 * and the reason is logged. */
int generation_create(const struct pipeline *p, const struct engine_options *options,
	struct bus *bus, bool is_strict, struct generation **ret, struct err *e);
/* Tries again to make the stages that could not be made. *ret_is_any: one was. Negative errno, and why the first of
 * them cannot be made now: one cannot. One thread at a time; `e` may be NULL. */
int generation_try_again(struct generation *g, const struct engine_options *options,
	struct bus *bus, bool *ret_is_any, struct err *e);
/* Whether attempts of the stage go out. [sequencer] */
void generation_pause(struct generation *g, size_t stage, bool is_paused);
/* Whether no code of its stages runs, or will without a new task. */
bool generation_is_idle(const struct generation *g);
/* Ends the pools: running attempts end first. */
void generation_stop(struct generation *g, struct bus *bus);
void generation_free(struct generation *g);
