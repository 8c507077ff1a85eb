/* The live room: commits come in from the sequencer and go to those who watch. When it cannot keep up it drops
 * batches, never holds the sequencer, and lets everybody read the journal instead (P13). */
#include "base/mem.h"
#include "net/live_room.h"

static const struct timeval beat = {.tv_sec = 15};

static void on_feed(evutil_socket_t fd, short events, void *arg)
{
	struct live_room *room = arg;
	struct queue_node *n = queue_take(&room->feed, 0);

	(void)fd, (void)events;
	while (n) {
		struct feed_batch *batch = (struct feed_batch *)n;

		n = n->next;
		atomic_fetch_sub(&room->n_feed, 1);
		followers_feed(room, batch);
		for (const struct event *ev = batch->events.first; ev; ev = ev->next)
			if (ev->order_seq)
				watches_feed(room, ev);
		feed_batch_free(batch);
	}
	if (!atomic_exchange(&room->has_gap, false))
		return;
	followers_reload(room);
	watches_reload(room);
}

static void on_beat(evutil_socket_t fd, short events, void *arg)
{
	(void)fd, (void)events;
	followers_beat(arg);
}

void live_feed(struct live_room *room, struct feed_batch *batch)
{
	if (atomic_load(&room->n_watchers) == 0) {
		feed_batch_free(batch);
		return;
	}
	if (atomic_load(&room->n_feed) >= FEED_BACKLOG_MAX) {
		atomic_store(&room->has_gap, true);
		queue_poke(&room->feed); /* the loop may have emptied it just now */
		feed_batch_free(batch);
		return;
	}
	atomic_fetch_add(&room->n_feed, 1);
	queue_push(&room->feed, &batch->node);
}

int live_create(struct app *app, struct live_room **ret, struct err *e)
{
	struct live_room *room = calloc(1, sizeof *room);

	if (!room)
		return err_set(e, -ENOMEM, "no memory to start");
	room->app = app;
	if (queue_init(&room->feed, true) < 0) {
		free(room);
		return err_set(e, -ENOMEM, "cannot make a queue");
	}
	room->on_feed =
		event_new(app->base, room->feed.event_fd, EV_READ | EV_PERSIST, on_feed, room);
	room->on_beat = event_new(app->base, -1, EV_PERSIST, on_beat, room);
	if (!room->on_feed || !room->on_beat || event_add(room->on_feed, NULL) < 0 ||
		event_add(room->on_beat, &beat) < 0) {
		live_free(room);
		return err_set(e, -ENOMEM, "no memory to start");
	}
	*ret = room;
	return 0;
}

int live_start(
	struct live_room *room, const char *journal_path, struct pipeline_set *set, struct err *e)
{
	return reading_create(room->app->base, journal_path, set, &room->reading, e);
}

void live_close_all(struct live_room *room)
{
	room->is_closing = true;
	watches_close(room);
	followers_close(room);
}

void live_stop(struct live_room *room)
{
	if (room)
		reading_destroy(steal_ptr(room->reading));
}

void live_free(struct live_room *room)
{
	struct queue_node *n = room ? queue_take(&room->feed, 0) : NULL;

	while (n) {
		struct queue_node *next = n->next;

		feed_batch_free((struct feed_batch *)n);
		n = next;
	}
	if (!room)
		return;
	if (room->on_feed)
		event_free(room->on_feed);
	if (room->on_beat)
		event_free(room->on_beat);
	queue_fini(&room->feed);
	free(room);
}

bool live_refuses(const struct live_room *room, struct http_request *req)
{
	bool is_full = live_watchers(room) >= room->app->limits.http.connections;

	/* More than can be connected: most have gone, and wait only for the journal to be read. */
	if (room->is_closing || is_full)
		http_problem(req, 503,
			is_full ? "too many watchers wait for the journal to be read"
				: "Stageline is stopping");
	return room->is_closing || is_full;
}

int64_t live_watchers(const struct live_room *room)
{
	return atomic_load(&room->n_watchers);
}
