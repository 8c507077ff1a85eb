/* Reading for the net loop: jobs that run on a thread with its own view of the journal, so that the loop never
 * waits for the disk. */
#pragma once

#include <event2/event.h>
#include <stdatomic.h>

#include "base/queue.h"
#include "journal/reader.h"

struct reading;

/* One job; embedded in what it works for. */
struct read_job {
	struct queue_node node;
	/* When it is true by its turn, `run` is passed over. Borrowed until `done`; NULL: never. */
	const atomic_bool *is_unwanted;
	void (*run)(struct read_job *job, struct reader *r); /* [reader thread] */
	void (*done)(struct read_job *job);		     /* [net loop] frees the job */
};

int reading_create(struct event_base *base, const char *journal_path, struct pipeline_set *set,
	struct reading **ret, struct err *e);
/* [net loop] Jobs are done in the order they come. */
void reading_submit(struct reading *rd, struct read_job *job);
/* [net loop] How many are not done yet. */
size_t reading_waiting(const struct reading *rd);
/* What is being read fails, and so does what waits. */
void reading_interrupt(struct reading *rd);
/* Does the jobs that are there, then ends; their `done` is called before it returns. */
void reading_destroy(struct reading *rd);
