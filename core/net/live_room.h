/* What the live files share: the room where commits come in and watchers stand. Not for others. [net loop] */
#pragma once

#include <stdatomic.h>

#include "net/app.h"
#include "net/ws.h"

enum { WATCH_BUCKETS = 4096, FEED_BACKLOG_MAX = 256 };

struct watch;
struct follower;

struct live_room {
	struct app *app;
	struct reading *reading; /* of its own: catching up must not delay GET */
	struct queue feed;
	struct event *on_feed, *on_beat;
	atomic_llong n_watchers; /* [any thread] commits are dropped while it is 0 */
	atomic_size_t n_feed;	 /* batches in `feed` */
	atomic_bool has_gap;	 /* a batch was dropped: everybody looks into the journal */
	bool is_closing;
	struct watch *watches[WATCH_BUCKETS]; /* by order id */
	struct follower *followers;
};

/* Whether nobody can begin to watch just now; then the request is answered. */
bool live_refuses(const struct live_room *room, struct http_request *req);

/* watch.c: one order */
void watches_feed(struct live_room *room, const struct event *ev);
void watches_reload(struct live_room *room);
void watches_close(struct live_room *room);

/* follow.c: the whole journal */
void followers_feed(struct live_room *room, const struct feed_batch *batch);
void followers_reload(struct live_room *room);
void followers_beat(struct live_room *room);
void followers_close(struct live_room *room);
