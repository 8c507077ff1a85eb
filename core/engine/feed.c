/* The feed: making and freeing the batches. */
#include "engine/feed.h"

struct feed_batch *feed_batch_new(void)
{
	struct feed_batch *b = calloc(1, sizeof *b);

	if (b)
		event_list_init(&b->events, &b->arena);
	return b;
}

void feed_batch_free(struct feed_batch *b)
{
	if (!b)
		return;
	arena_fini(&b->arena);
	free(b);
}
