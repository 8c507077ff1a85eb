/* Following the whole journal by WebSocket or server-sent events: from a seq on, first out of the journal, then
 * with the commits as they come. Whoever falls behind reads the journal again. */
#include "base/log.h"
#include "base/mem.h"
#include "net/live_room.h"

enum { PAGE = 256, PAUSE_BYTES = 128 * 1024, PAUSE_MS = 50 };

struct follower {
	struct follower *next, **slot;
	struct live_room *room;
	struct ws *ws;		    /* either */
	struct http_stream *stream; /* or */
	struct event *pause;	    /* until a slow client has taken what waits for it */
	int64_t after;		    /* it has everything up to this seq */
	bool is_live;		    /* gets commits as they come; else reads the journal */
	bool is_reading;
	atomic_bool is_gone; /* freed when its job comes back */
};

struct page_job {
	struct read_job job;
	struct follower *follower;
	int64_t after, read_to, last;
	struct arena arena;
	struct event_list events;
	int result;
	struct err err;
};

static void follower_free(struct follower *f)
{
	*f->slot = f->next;
	if (f->next)
		f->next->slot = f->slot;
	if (f->pause)
		event_free(f->pause);
	atomic_fetch_sub(&f->room->n_watchers, 1);
	free(f);
}

static void on_close(void *arg)
{
	struct follower *f = arg;

	f->is_gone = true;
	f->ws = NULL;
	f->stream = NULL;
}

static void free_when_gone(struct follower *f)
{
	if (f->is_gone && !f->is_reading)
		follower_free(f);
}

/* --- sending --- */

static void event_text(const struct event *ev, struct buf *out)
{
	event_json(ev, &(struct json_writer){out, false});
}

/* `json` is the event as text. False: it was not sent, or the follower is gone. */
static bool send_event(struct follower *f, int64_t seq, struct str json)
{
	_cleanup_(buf_fini) struct buf text = {0};

	if (f->ws)
		buf_text(&text, "{\"type\":\"event\",\"event\":");
	else
		buf_fmt(&text, "id: %lld\ndata: ", (long long)seq);
	buf_str(&text, json);
	buf_text(&text, f->ws ? "}" : "\n\n");
	if (text.failed) {
		f->is_live = false; /* reads it again */
		return false;
	}
	if (f->ws)
		ws_send(f->ws, buf_view(&text));
	else if (f->stream)
		http_stream_send(f->stream, buf_view(&text));
	if (!f->is_gone)
		f->after = seq;
	return !f->is_gone;
}

/* --- reading the journal --- */

static void run_page(struct read_job *job, struct reader *r)
{
	struct page_job *p = CONTAINER_OF(job, struct page_job, job);

	event_list_init(&p->events, &p->arena);
	p->result = reader_begin(r, &p->last, &p->err);
	if (p->result < 0)
		return;
	p->result = reader_events(r, &p->read_to, PAGE, &p->events, &p->err);
	reader_end(r);
}

static void done_page(struct read_job *job);

static void read_page(struct follower *f)
{
	struct page_job *p;

	if (f->is_reading || f->is_gone)
		return;
	f->is_live = false;
	p = calloc(1, sizeof *p);
	if (!p)
		return; /* again with the next commit or beat */
	p->job = (struct read_job){.run = run_page, .done = done_page, .is_unwanted = &f->is_gone};
	p->result = -ECANCELED;
	p->follower = f;
	p->after = p->read_to = f->after;
	f->is_reading = true;
	reading_submit(f->room->reading, &p->job);
}

static size_t unsent(const struct follower *f)
{
	return f->ws ? ws_unsent(f->ws) : f->stream ? http_stream_unsent(f->stream) : 0;
}

/* A client that reads slower than the disk gives, or gets much at once, is not pushed over its limit. */
static bool has_enough(const struct follower *f)
{
	size_t limit = (size_t)f->room->app->limits.http.backlog_bytes / 4;

	return unsent(f) >= (limit < PAUSE_BYTES ? limit : PAUSE_BYTES);
}

static void read_on(struct follower *f)
{
	static const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};

	f->is_live = false;
	if (!has_enough(f))
		read_page(f);
	else
		event_add(f->pause, &pause);
}

static void on_pause_over(evutil_socket_t fd, short events, void *arg)
{
	(void)fd, (void)events;
	read_on(arg);
}

static void send_page(struct follower *f, const struct page_job *p)
{
	const struct event *ev;

	for (ev = p->events.first; ev && !has_enough(f); ev = ev->next) {
		_cleanup_(buf_fini) struct buf json = {0};

		event_text(ev, &json);
		if (json.failed || !send_event(f, ev->seq, buf_view(&json)))
			return;
	}
	if (!ev)
		f->after = p->read_to; /* past those that are damaged */
}

/* It has seen events that this journal does not have, so it knew another one: it goes on from here. */
static void send_reset(struct follower *f, int64_t last_seq)
{
	_cleanup_(buf_fini) struct buf text = {0};

	f->after = last_seq;
	if (f->ws)
		buf_fmt(&text, "{\"type\":\"reset\",\"last_seq\":%lld}", (long long)last_seq);
	else
		buf_fmt(&text, "event: reset\nid: %lld\ndata: {\"last_seq\":%lld}\n\n",
			(long long)last_seq, (long long)last_seq);
	if (text.failed)
		return;
	if (f->ws)
		ws_send(f->ws, buf_view(&text));
	else if (f->stream)
		http_stream_send(f->stream, buf_view(&text));
}

/* Ends it from this side; it comes back when it wants to. */
static void follower_end(struct follower *f, int code, const char *reason)
{
	if (f->ws)
		ws_close(f->ws, code, reason);
	if (f->stream)
		http_stream_end(f->stream);
	on_close(f);
}

static void done_page(struct read_job *job)
{
	struct page_job *p = CONTAINER_OF(job, struct page_job, job);
	struct follower *f = p->follower;

	f->is_reading = false;
	if (p->result < 0 && !f->is_gone) {
		log_error("a follower cannot be served: %s", err_text(&p->err));
		follower_end(f, WS_CLOSE_INTERNAL, "the journal cannot be read");
	}
	if (!f->is_gone && p->after > p->last)
		send_reset(f, p->last);
	else if (!f->is_gone)
		send_page(f, p);
	/* Live from here on: a commit that came meanwhile is not adjacent to `after` and is read then. */
	f->is_live = !f->is_gone && p->result >= 0 && f->after >= p->last;
	if (!f->is_live && !f->is_gone)
		read_on(f);
	arena_fini(&p->arena);
	free(p);
	free_when_gone(f);
}

/* --- what comes --- */

static void feed_one(struct follower *f, const struct feed_batch *batch)
{
	for (const struct event *ev = batch->events.first; ev; ev = ev->next) {
		_cleanup_(buf_fini) struct buf json = {0};

		if (ev->seq <= f->after)
			continue;
		if (ev->seq != f->after + 1 || has_enough(f)) {
			read_on(f); /* something between is missing, or it is slow */
			return;
		}
		event_text(ev, &json);
		if (json.failed || !send_event(f, ev->seq, buf_view(&json)))
			return;
	}
}

void followers_feed(struct live_room *room, const struct feed_batch *batch)
{
	struct follower *f, *next;

	for (f = room->followers; f; f = next) {
		next = f->next;
		if (f->is_live)
			feed_one(f, batch);
		else if (!event_pending(f->pause, EV_TIMEOUT, NULL))
			read_page(f);
		free_when_gone(f);
	}
}

void followers_reload(struct live_room *room)
{
	for (struct follower *f = room->followers; f; f = f->next)
		if (f->is_live)
			read_page(f);
}

/* A comment now and then shows both sides that a silent stream still lives. */
void followers_beat(struct live_room *room)
{
	struct follower *f, *next;

	for (f = room->followers; f; f = next) {
		next = f->next;
		if (f->stream)
			http_stream_send(f->stream, STR(": still here\n\n"));
		free_when_gone(f);
	}
}

void followers_close(struct live_room *room)
{
	struct follower *f, *next;

	for (f = room->followers; f; f = next) {
		next = f->next;
		follower_end(f, WS_CLOSE_GOING_AWAY, "Stageline is stopping");
		free_when_gone(f);
	}
}

/* --- arriving --- */

static bool after_of(struct live_room *room, struct http_request *req, int64_t *ret)
{
	struct str last_id = http_header(req, "Last-Event-ID");
	struct engine_stats stats;
	char digits[24];

	engine_stats(room->app->engine, &stats);
	*ret = stats.last_seq;
	if (!last_id.p)
		return app_query_int(req, "after", 0, INT64_MAX, *ret, ret);
	if (!last_id.n || last_id.n >= 19 || strspn(last_id.p, "0123456789") < last_id.n) {
		http_problem(req, 400, "Last-Event-ID must be the seq of an event");
		return false;
	}
	memcpy(digits, last_id.p, last_id.n);
	digits[last_id.n] = '\0';
	*ret = strtoll(digits, NULL, 10);
	return true;
}

static struct follower *follower_new(struct live_room *room, int64_t after)
{
	struct follower *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	*f = (struct follower){
		.next = room->followers, .slot = &room->followers, .room = room, .after = after};
	f->pause = event_new(room->app->base, -1, 0, on_pause_over, f);
	if (!f->pause) {
		free(f);
		return NULL;
	}
	if (f->next)
		f->next->slot = &f->next;
	room->followers = f;
	atomic_fetch_add(&room->n_watchers, 1);
	return f;
}

/* A follower for the request, or NULL and the request is answered. */
static struct follower *arrive(struct live_room *room, struct http_request *req)
{
	struct follower *f;
	int64_t after;

	if (live_refuses(room, req) || !after_of(room, req, &after))
		return NULL;
	f = follower_new(room, after);
	if (!f)
		http_problem(req, 503, "no memory");
	return f;
}

void route_watch_events(void *arg, struct http_request *req)
{
	struct follower *f = arrive(((struct app *)arg)->live, req);

	if (!f)
		return;
	f->ws = ws_accept(req, on_close, f);
	if (f->ws)
		read_page(f);
	else
		follower_free(f);
}

void route_stream_events(void *arg, struct http_request *req)
{
	struct follower *f = arrive(((struct app *)arg)->live, req);

	if (!f)
		return;
	f->stream = http_stream_start(req, "text/event-stream", on_close, f);
	if (!f->stream) {
		follower_free(f);
		return;
	}
	http_stream_send(f->stream, STR("retry: 2000\n\n"));
	if (!f->is_gone)
		read_page(f);
	free_when_gone(f);
}
