/* Server-sent events of the daemon, followed: a connection that is lost is made again. */
#pragma once

#include "cli/remote.h"

enum { HTTP_BUSY = 503 }; /* full, starting or stopping */

struct stream {
	struct remote *remote;
	void (*where)(void *arg, struct buf *path); /* writes the path, for each connection anew */
	/* Takes `data`. `is_reset`: the event is none of the journal, but says where it goes on. */
	void (*on_event)(void *arg, cJSON *data, bool is_reset);
	void (*on_tick)(void *arg);	  /* ten times a second */
	bool (*is_over)(const void *arg); /* it has enough */
	void *arg;
	bool was_there; /* somebody has answered before: from now on no answer is a loss */
	size_t n_drawn; /* lines that stand on the screen, for stream_redraw() */

	bool is_lost;	 /* for stream.c */
	struct buf text; /* for stream.c: came, and is not taken yet */
};

/* Until it is over (0), or a signal ended it (-EINTR). -EIO: it could not begin, and a person was told. */
int stream_follow(struct stream *s);
/* Between two tries: says that the connection is lost, once, and waits a second. */
void stream_pause(struct stream *s);
void stream_fini(struct stream *s);

/* Goes back to where the last picture began; what is printed next, `n_lines`, stands in its place. */
void stream_redraw(struct stream *s, size_t n_lines);
