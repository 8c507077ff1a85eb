/* The bus carries tasks out to workers and verdicts back. It is only transport: what is lost in it is
 * published again from the journal.
 *
 * A stage is named by pipeline generation and index. A stage's tasks that are out (published and not
 * answered) are limited; the rest waits in the journal. Lost calls do not count: their attempts are over. */
#pragma once

#include "model/task.h"

#define BUS_CLOGGED SIZE_MAX
#define BUS_STALLED (SIZE_MAX - 1)

/* Who runs a stage's tasks in this process. */
struct bus_workers {
	/* Takes tasks, linked by `node`. Does not block. */
	void (*on_tasks)(void *arg, struct task *first);
	/* How many more tasks would begin at once, and how many wait for that. BUS_CLOGGED: none does until a lost call
	 * comes back; BUS_STALLED: until a process can be started. */
	size_t (*places)(void *arg, size_t *ret_n_waiting);
	/* As pool_ask(). NULL: an attempt has had its time when its stage's timeout has passed. */
	int64_t (*ask)(void *arg, const struct task *about, int64_t now_ms, struct task **ret);
	/* How many of the tasks are in lost calls, whose number the threads limit. NULL: none. */
	size_t (*n_lost)(void *arg);
	void *arg;
};

/* How the bus fares. */
struct bus_state {
	const char *kind; /* "memory", "redis" */
	bool is_connected;
	char trouble[256]; /* why it is not, or what else is wrong; "": nothing */
};

struct bus {
	const struct bus_ops *ops;
};

/* One transport; the functions below say what each promises. */
struct bus_ops {
	int (*start)(struct bus *b);
	void (*stop)(struct bus *b);
	void (*destroy)(struct bus *b);
	int (*subscribe)(struct bus *b, const struct pipeline *p, size_t stage, size_t max_out,
		const struct bus_workers *workers);
	void (*quiet)(struct bus *b, const struct pipeline *p);
	void (*unsubscribe)(struct bus *b, const struct pipeline *p);
	size_t (*room)(struct bus *b, const struct pipeline *p, size_t stage);
	void (*publish)(struct bus *b, struct task *first);
	void (*answer)(struct bus *b, struct task *first);
	void (*settle)(struct bus *b, struct task *t);
	int64_t (*ask)(struct bus *b, const struct task *t, int64_t now_ms);
	bool (*has_caught_up)(struct bus *b);
	void (*state)(struct bus *b, struct bus_state *ret);
	void (*describe_workers)(struct bus *b, struct buf *out);
	int (*n_workers)(struct bus *b, const struct pipeline *p, size_t stage);
};

/* In-memory bus. `on_verdicts` gets answered tasks [worker], linked by `node`, and takes them. */
int bus_create_memory(
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct bus **ret);

/* Everything that was there is subscribed: from now on verdicts come. Negative errno. */
static inline int bus_start(struct bus *b)
{
	return b->ops->start ? b->ops->start(b) : 0;
}

/* The workers here have ended. Lets what they answered get to where it goes, as far as that takes no long time;
 * no verdict comes after it. */
static inline void bus_stop(struct bus *b)
{
	if (b && b->ops->stop)
		b->ops->stop(b);
}

/* Everybody who uses it has stopped. Frees tasks that nobody took. */
static inline void bus_destroy(struct bus *b)
{
	if (b)
		b->ops->destroy(b);
}

/* A stage is there: at most `max_out` of its tasks are out. `workers` is copied; NULL: nobody runs it in this
 * process, which a bus in memory cannot do without. One thread at a time subscribes and unsubscribes; the others go
 * on meanwhile. -ENOMEM. */
static inline int bus_subscribe(struct bus *b, const struct pipeline *p, size_t stage,
	size_t max_out, const struct bus_workers *workers)
{
	return b->ops->subscribe(b, p, stage, max_out, workers);
}

/* The workers of that generation are about to end: they get no more tasks once it returns. */
static inline void bus_quiet(struct bus *b, const struct pipeline *p)
{
	if (b->ops->quiet)
		b->ops->quiet(b, p);
}

/* They have ended; nothing of that generation is published or answered any more. */
static inline void bus_unsubscribe(struct bus *b, const struct pipeline *p)
{
	b->ops->unsubscribe(b, p);
}

/* How many more tasks the stage takes now. [sequencer] */
static inline size_t bus_room(struct bus *b, const struct pipeline *p, size_t stage)
{
	return b->ops->room(b, p, stage);
}

/* Takes a list of tasks of one stage, at most bus_room() of them. Does not block. [sequencer] */
static inline void bus_publish(struct bus *b, struct task *first)
{
	b->ops->publish(b, first);
}

/* Takes answered tasks of one stage, linked by `node`. Does not block. [worker] */
static inline void bus_answer(struct bus *b, struct task *first)
{
	b->ops->answer(b, first);
}

/* What the verdict says is on disk, or it is nobody's: it need not come again. [sequencer] */
static inline void bus_settle(struct bus *b, struct task *t)
{
	if (t->carrier)
		b->ops->settle(b, t);
}

/* Whether the attempt that `t` names, out and without a verdict, has had its time: 0; else when to ask again
 * (monotonic): whoever runs it sees to it, or its verdict is on its way. Of `t` its pipeline, stage, order, attempt
 * and undo are read. [sequencer] */
static inline int64_t bus_ask(struct bus *b, const struct task *t, int64_t now_ms)
{
	return b->ops->ask(b, t, now_ms);
}

/* Whether every verdict has been handed over that stood there when the bus was started. NULL is handed over when it becomes
 * so. [sequencer] */
static inline bool bus_has_caught_up(struct bus *b)
{
	return !b->ops->has_caught_up || b->ops->has_caught_up(b);
}

/* Any thread. */
static inline void bus_state(struct bus *b, struct bus_state *ret)
{
	b->ops->state(b, ret);
}

/* The workers that are known, as members of a JSON array; empty when the bus has none but this process. Any
 * thread. */
static inline void bus_describe_workers(struct bus *b, struct buf *out)
{
	if (b->ops->describe_workers)
		b->ops->describe_workers(b, out);
}

/* How many workers (processes) take tasks of that stage; -1: not known now. Any thread. */
static inline int bus_n_workers(struct bus *b, const struct pipeline *p, size_t stage)
{
	return b->ops->n_workers(b, p, stage);
}
