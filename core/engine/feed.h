/* The feed: what one commit made true, handed from the sequencer to whoever shows it live. */
#pragma once

#include "base/queue.h"
#include "model/event.h"

struct feed_batch {
	struct queue_node node;
	struct arena arena;	  /* owns the events and their strings */
	struct event_list events; /* oldest first, with their seq */
};

struct feed_batch *feed_batch_new(void);
void feed_batch_free(struct feed_batch *b);
