/* The bus carries tasks out to workers and verdicts back. It is only transport: what is lost in it is
 * published again from the journal.
 *
 * A stage is named by pipeline generation and index. A stage's tasks that are out (published and not
 * answered) are limited; the rest waits in the journal. */
#pragma once

#include "model/task.h"

struct bus;

/* In-memory bus. `on_verdicts` gets answered tasks [worker], linked by `node`, and takes them. */
int bus_create(void (*on_verdicts)(void *arg, struct task *first), void *arg, struct bus **ret);
/* Everybody who uses it has stopped. Frees tasks that nobody took. */
void bus_destroy(struct bus *b);

/* Workers of one stage: `on_tasks` gets tasks [sequencer] and takes them; at most `max_out` are out. One thread at a
 * time subscribes and unsubscribes; the others go on meanwhile. */
int bus_subscribe(struct bus *b, const struct pipeline *p, size_t stage, size_t max_out,
	void (*on_tasks)(void *arg, struct task *first), void *arg);
/* The workers of that generation have ended; nothing of it is published or answered any more. */
void bus_unsubscribe(struct bus *b, const struct pipeline *p);

/* How many more tasks the stage takes now. [sequencer] */
size_t bus_room(struct bus *b, const struct pipeline *p, size_t stage);
/* Takes a list of tasks of one stage, at most bus_room() of them. [sequencer] */
void bus_publish(struct bus *b, struct task *first);
/* Takes answered tasks of one stage, linked by `node`. [worker] */
void bus_answer(struct bus *b, struct task *first);
