/* The engine: one sequencer thread that takes commands and verdicts, decides, appends, commits once, and
 * only then releases answers, tasks and updates (P1, P5). */
#pragma once

#include "bus/redis.h"
#include "engine/command.h"
#include "engine/feed.h"
#include "engine/tally.h"
#include "stage/stage.h"

struct engine;

/* Who runs the tasks of a generation's stages instead of plugins and pools: tests. */
struct worker_source {
	/* Subscribes itself to the stage's tasks on the bus, and answers there. [sequencer]  -ENOMEM. */
	int (*subscribe)(void *arg, struct bus *bus, const struct pipeline *p, size_t stage);
	void *arg;
	bool is_outliving; /* they go on when the engine ends, as workers behind Redis do */
	/* Whether they have no task of that generation. NULL: generations stay until the end. [sequencer] */
	bool (*is_idle)(void *arg, const struct pipeline *p);
};

struct engine_options {
	const char *journal_path;
	const char *pipeline_path; /* what COMMAND_RELOAD reads; NULL where none comes */
	const char *attempts_path; /* which attempts are out, for the next start after a crash */
	struct plugin_folders folders; /* borrowed for the engine's life */
	int64_t erase_after_ms; /* orders are erased so long after they ended; 0: never by themselves */
	/* NULL: the bus in memory. Borrowed for the engine's life. */
	const struct redis_options *redis;
	/* For a worker alone: these stages (none: all), in the very builds of the generation. NULL: a coordinator. */
	const struct sl_list *only;
	size_t orders_in_memory; /* more unfinished orders than this are read again when needed */
	/* NULL: plugins and pools. Else the engine has no thread either: engine_step() is it. Borrowed. */
	const struct worker_source *workers;
	/* [sequencer] or, for COMMAND_RELOAD, the loader. Commands that are answered; the callee owns them again. */
	void (*on_answers)(void *arg, struct command *first);
	/* [sequencer] What was committed. Takes the batch. */
	void (*on_commit)(void *arg, struct feed_batch *batch);
	void *arg;
};

/* Opens the journal, makes `pipeline` (taken in any case) the current generation, loads every unfinished
 * order and starts working. */
int engine_start(const struct engine_options *options, struct pipeline_set *set,
	struct pipeline *pipeline, struct engine **ret, struct err *e);

/* For looking at a journal that nobody writes: its current generation is the pipeline, no stage runs, every command is
 * refused. Of the options it takes the journal's path and on_answers. To be freed like any other. */
int engine_show(const struct engine_options *options, struct pipeline_set *set, struct engine **ret,
	struct err *e);
#define ENGINE_SHOW_REASON "This is a read-only view of a journal: nothing can be changed here."

/* Any thread. Lent until it comes back through on_answers, which it always does. */
void engine_submit(struct engine *en, struct command *c);

/* One turn of an engine without a thread: takes what has arrived, commits, releases. Returns the monotonic
 * time in ms of its next turn when nothing arrives before; INT64_MAX: it waits for something. */
int64_t engine_step(struct engine *en);

/* Lets running attempts end and their verdicts be journaled, then ends the threads. What was queued stays
 * in the journal. on_answers and on_commit may be called until it returns. */
void engine_stop(struct engine *en);
void engine_free(struct engine *en);

/* --- what it is doing, for any thread --- */

struct engine_stats {
	int64_t accepted, completed, failed, cancelled,
		on_hold;   /* orders since the journal began */
	int64_t in_flight; /* unfinished orders, on_hold included */
	int64_t set_aside; /* of these: nobody works on them until the next start, which tries again */
	int64_t last_seq;
	int64_t commits, events; /* since start */
	int64_t commit_us;	 /* of the last commit */
};
void engine_stats(struct engine *en, struct engine_stats *ret);

struct engine_stage_stats {
	int64_t waiting, out;
	int64_t served_by; /* how many workers take its tasks; -1: not known */
	int64_t oldest_ms; /* how long the oldest waiting task has waited */
	int64_t done, failed, retried, held, undone; /* since start */
	const char *breaker;			     /* "closed", "open", "half_open" */
	bool is_paused;
	char trouble[256]; /* why its orders wait though nothing holds them; "": they need not */
	struct pool_counts pool;
	bool is_isolated; /* by processes: */
	struct pool_health health;
};
/* The current generation. */
const struct pipeline *engine_pipeline(struct engine *en);
/* Of a stage of a generation; zero when no unfinished order is on that one. */
void engine_stage_stats(
	struct engine *en, const struct pipeline *p, size_t stage, struct engine_stage_stats *ret);

struct engine_generation_stats {
	const struct pipeline *pipeline;
	bool is_current;
	int64_t orders; /* that are not finished */
};
/* The current generation and those that unfinished orders are on, newest first. Returns how many. */
size_t engine_generations(struct engine *en, struct engine_generation_stats *ret, size_t max);

/* A stage's gauges over all generations that have it. */
struct engine_stage_gauges {
	bool is_current; /* the current generation has it; breaker and is_paused are that one's */
	bool is_paused;
	int breaker;	  /* enum breaker_state: 0 closed, 1 open, 2 half open */
	bool has_trouble; /* it cannot run, in at least one of them */
	int64_t served_by; /* by how many workers, in the generation that has the fewest; -1: not known */
	int64_t waiting, out, oldest_ms;
	int64_t running, later, threads;
	int64_t crashes, restarts; /* of its processes, since start */
};
/* Each stage that was there since the start, in no order. `on_stage` must not call the engine. */
void engine_each_stage(struct engine *en,
	void (*on_stage)(void *arg, const struct tally *t, const struct engine_stage_gauges *g),
	void *arg);
/* Of each commit since the start. Live as long as the engine. */
const struct histogram *engine_commit_took_us(struct engine *en);
const struct histogram *engine_batch_events(struct engine *en);

/* How the bus fares. */
void engine_bus_state(struct engine *en, struct bus_state *ret);
/* The workers that are known beside this process, as members of a JSON array. */
void engine_describe_workers(struct engine *en, struct buf *out);

/* Whether the sequencer has made a turn since the call that set *turns; sees to it that it makes another one before the
 * next call. Of an engine without a sequencer: always. */
bool engine_has_turned(struct engine *en, uint64_t *turns);

/* False while nothing can be accepted, with the reason (a static or engine-owned text). */
bool engine_is_accepting(struct engine *en, struct err *why);
