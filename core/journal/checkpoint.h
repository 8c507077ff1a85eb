/* Checkpoints: the log's pages go into the main file, so that the log can begin anew. The writer has a thread for
 * them, so that no batch waits while pages are written and synced.
 *
 * The log begins anew only at a moment when all of it has been moved, which the thread never sees under load: it
 * moves what it finds, again when much has come meanwhile, and the writer moves the few pages that are left. The
 * thread and the writer never do so at once; what a failed checkpoint means is the writer's to say. */
#pragma once

#include "journal/sql.h"

enum {
	LOG_PAGES = 4000,     /* in the log, before they are moved */
	LOG_PAGES_MAX = 8000, /* the writer waits for the thread, so that the log stays bounded */
};

/* Moves what is in the log. `ret_left`: pages that came meanwhile, or that a reader still needs there. A full disk,
 * no memory or a busy reader only puts it off: 0. Any other errno is the disk's, and final. */
int checkpoint_run(sqlite3 *db, int *ret_left, struct err *e);

struct checkpointer;

/* The thread, with a connection of its own to `path`. -ENOMEM, -EAGAIN, -EIO. */
int checkpointer_start(const char *path, struct checkpointer **ret, struct err *e);
/* Waits for what it is at. NULL is fine. Negative errno: a checkpoint of it failed, and nobody has been told. */
int checkpointer_stop(struct checkpointer *c, struct err *e);

enum checkpoint_turn { CHECKPOINT_LATER, CHECKPOINT_YOURS };

/* [writer] Between two batches, for a log of `n_pages`, which are LOG_PAGES or more: has the thread begin, and hears
 * how it went. CHECKPOINT_YOURS: the thread is done and idle; the writer moves what is left. Negative errno: the
 * thread's checkpoint failed. */
int checkpointer_turn(struct checkpointer *c, int n_pages, struct err *e);
