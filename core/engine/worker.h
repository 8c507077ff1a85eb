/* A worker on its own: pools for the generations that a coordinator elsewhere publishes, and no journal. */
#pragma once

#include "bus/redis.h"
#include "stage/stage.h"

struct worker_options {
	const struct redis_options *redis;
	const char *pipeline;  /* its name; NULL: the only one that there is */
	struct sl_list stages; /* by name; none: all of them */
	struct plugin_folders folders;
}; /* all borrowed for the worker's life */

struct worker;

int worker_create(const struct worker_options *options, struct worker **ret, struct err *e);
/* Looks which generations there are now, makes and ends stages accordingly. To be called again and again. -EINVAL: it
 * cannot know which pipeline is meant. What cannot be made is logged, and tried again later. */
int worker_look(struct worker *w, struct err *e);
/* Lets running attempts end, sends what they said, gives back what has not begun; then frees it. NULL is fine. */
void worker_end(struct worker *w);
