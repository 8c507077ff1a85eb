/* Watching the pipeline file and the plugin folders, so that a change is taken up by itself. [net loop] */
#pragma once

#include <event2/event.h>

#include "stage/stage.h"

struct changes;

/* Calls back when the file, or an .so in one of the folders, was written, replaced or removed, and it has been quiet
 * for a moment since. Looks at the folders, so a file that an editor replaces by rename is still watched.
 * Borrows all it is given. -ENOENT and others of inotify: the file's folder cannot be watched. */
int changes_watch(struct event_base *base, const char *file, const struct plugin_folders *folders,
	void (*on_change)(void *arg), void *arg, struct changes **ret, struct err *e);
void changes_free(struct changes *c);
