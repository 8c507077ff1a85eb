/* Watching one order: the order is folded here once from the journal and then from the commits as they come,
 * and everybody who watches it gets each state with the event that made it. */
#include "base/log.h"
#include "base/mem.h"
#include "model/apply.h"
#include "net/live_room.h"

struct subscriber {
	struct subscriber *next, **slot;
	struct live_room *room;
	struct watch *watch;
	struct ws *ws;
};

/* Requests that wait until the order is read. */
struct newcomer {
	struct newcomer *next;
	struct http_request *req;
};

struct watch {
	struct watch *next; /* in its bucket */
	struct live_room *room;
	struct id id;
	struct order *order; /* NULL until it is read */
	int64_t seen_seq;    /* last event that came while it was being read */
	bool is_reading, is_stale;
	bool is_busy; /* somebody up the stack still uses it */
	struct subscriber *subscribers;
	struct newcomer *newcomers;
};

struct watch_job {
	struct read_job job;
	struct watch *watch;
	struct id id;
	struct order *order;
	int result;
	struct err err;
};

static struct watch **bucket_of(struct live_room *room, const struct id *id)
{
	uint32_t h;

	memcpy(&h, id->bytes + 12, sizeof h); /* the random end of the id */
	return &room->watches[h % WATCH_BUCKETS];
}

static struct watch *watch_find(struct live_room *room, const struct id *id)
{
	struct watch *w = *bucket_of(room, id);

	while (w && !id_eq(&w->id, id))
		w = w->next;
	return w;
}

static struct watch *watch_get(struct live_room *room, const struct id *id)
{
	struct watch **bucket = bucket_of(room, id), *w = watch_find(room, id);

	if (w)
		return w;
	w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	*w = (struct watch){.next = *bucket, .room = room, .id = *id};
	*bucket = w;
	return w;
}

static void free_when_unused(struct watch *w)
{
	struct watch **slot = bucket_of(w->room, &w->id);

	if (w->is_busy || w->is_reading || w->subscribers || w->newcomers)
		return;
	while (*slot != w)
		slot = &(*slot)->next;
	*slot = w->next;
	order_free(w->order);
	free(w);
}

/* --- telling --- */

static void write_update(const struct watch *w, const struct event *ev, struct buf *out)
{
	struct json_writer jw = {out, false};

	json_open(&jw, '{');
	json_key(&jw, "type");
	json_text(&jw, "status_update");
	json_key(&jw, "order");
	order_json(w->order, &jw);
	if (ev) {
		json_key(&jw, "event");
		event_json(ev, &jw);
	}
	json_close(&jw, '}');
}

static void tell_all(struct watch *w, const struct event *ev)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct subscriber *s, *next;

	if (!w->subscribers)
		return;
	write_update(w, ev, &text);
	if (text.failed)
		return; /* the next update carries the whole order again */
	for (s = w->subscribers; s; s = next) {
		next = s->next;
		ws_send(s->ws, buf_view(&text));
	}
}

static void subscriber_remove(struct subscriber *s)
{
	*s->slot = s->next;
	if (s->next)
		s->next->slot = s->slot;
	atomic_fetch_sub(&s->room->n_watchers, 1);
	free(s);
}

static void on_close(void *arg)
{
	struct subscriber *s = arg;
	struct watch *w = s->watch;

	subscriber_remove(s);
	free_when_unused(w);
}

/* --- reading --- */

static void run_read(struct read_job *job, struct reader *r)
{
	struct watch_job *j = CONTAINER_OF(job, struct watch_job, job);
	int64_t last, seq;

	j->result = reader_begin(r, &last, &j->err);
	if (j->result < 0)
		return;
	j->result = reader_find_order(r, &j->id, &seq);
	if (j->result == 0)
		j->result = reader_order(r, seq, INT64_MAX, &j->order, NULL, &j->err);
	reader_end(r);
}

static void done_read(struct read_job *job);

static void watch_read(struct watch *w)
{
	struct watch_job *j;

	if (w->is_reading)
		return;
	j = calloc(1, sizeof *j);
	if (!j) {
		w->is_stale = true; /* again with the next event */
		return;
	}
	j->job = (struct read_job){.run = run_read, .done = done_read};
	j->watch = w;
	j->id = w->id;
	w->is_reading = true;
	w->is_stale = false;
	w->seen_seq = 0;
	reading_submit(w->room->reading, &j->job);
}

static void refuse(struct http_request *req, const struct watch_job *j)
{
	if (j->result == -ENOENT)
		http_problem(req, 404, "there is no such order");
	else
		http_problem(req, 503, "the order cannot be read: %s", err_text(&j->err));
}

static void welcome(struct watch *w, struct http_request *req)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct subscriber *s = calloc(1, sizeof *s);

	if (!s) {
		http_problem(req, 503, "no memory");
		return;
	}
	write_update(w, NULL, &text);
	s->ws = ws_accept(req, on_close, s);
	if (!s->ws) {
		free(s);
		return;
	}
	s->room = w->room;
	s->watch = w;
	s->next = w->subscribers;
	s->slot = &w->subscribers;
	if (s->next)
		s->next->slot = &s->next;
	w->subscribers = s;
	atomic_fetch_add(&w->room->n_watchers, 1);
	if (!text.failed)
		ws_send(s->ws, buf_view(&text));
}

static void admit_newcomers(struct watch *w, const struct watch_job *j)
{
	while (w->newcomers) {
		struct newcomer *n = w->newcomers;

		w->newcomers = n->next;
		if (w->room->is_closing)
			http_problem(n->req, 503, "Stageline is stopping");
		else if (j->result < 0)
			refuse(n->req, j);
		else
			welcome(w, n->req);
		atomic_fetch_sub(&w->room->n_watchers, 1);
		free(n);
	}
}

static void done_read(struct read_job *job)
{
	struct watch_job *j = CONTAINER_OF(job, struct watch_job, job);
	struct watch *w = j->watch;

	w->is_reading = false;
	w->is_busy = true;
	if (j->result == 0) {
		order_free(w->order);
		w->order = steal_ptr(j->order);
	} else if (j->result != -ENOENT) {
		log_error("a watched order cannot be read: %s", err_text(&j->err));
	}
	if (w->order && w->seen_seq > w->order->last_seq) {
		watch_read(w); /* more was committed meanwhile */
	} else {
		if (w->order)
			tell_all(w, NULL);
		admit_newcomers(w, j);
	}
	order_free(j->order);
	free(j);
	w->is_busy = false;
	free_when_unused(w);
}

/* --- what comes --- */

void watches_feed(struct live_room *room, const struct event *ev)
{
	struct watch *w = watch_find(room, &ev->order_id);

	if (!w)
		return;
	w->is_busy = true;
	if (w->is_reading) {
		w->seen_seq = ev->seq;
	} else if (!w->order || w->is_stale) {
		watch_read(w);
	} else if (ev->seq > w->order->last_seq) {
		if (apply(w->order, ev) == 0)
			tell_all(w, ev);
		else
			watch_read(w);
	}
	w->is_busy = false;
	free_when_unused(w);
}

void watches_reload(struct live_room *room)
{
	for (size_t i = 0; i < WATCH_BUCKETS; i++)
		for (struct watch *w = room->watches[i]; w; w = w->next) {
			if (w->is_reading)
				w->seen_seq = INT64_MAX; /* and once more after that */
			watch_read(w);
		}
}

void watches_close(struct live_room *room)
{
	for (size_t i = 0; i < WATCH_BUCKETS; i++) {
		struct watch *w = room->watches[i], *next;

		for (; w; w = next) {
			next = w->next;
			while (w->subscribers) {
				struct subscriber *s = w->subscribers;

				ws_close(s->ws, WS_CLOSE_GOING_AWAY, "Stageline is stopping");
				subscriber_remove(s);
			}
			free_when_unused(w);
		}
	}
}

void route_watch_order(void *arg, struct http_request *req)
{
	struct live_room *room = ((struct app *)arg)->live;
	struct newcomer *n;
	struct watch *w;
	struct id id;

	if (id_parse(http_param(req, "id"), &id) < 0) {
		http_problem(req, 404, "there is no such order");
		return;
	}
	if (live_refuses(room, req))
		return;
	n = calloc(1, sizeof *n);
	w = n ? watch_get(room, &id) : NULL;
	if (!w) {
		free(n);
		http_problem(req, 503, "no memory");
		return;
	}
	/* Counted before the journal is read, so that no commit falls between reading and feed. */
	atomic_fetch_add(&room->n_watchers, 1);
	if (w->order && !w->is_reading && !w->is_stale) {
		w->is_busy = true;
		welcome(w, req);
		w->is_busy = false;
		atomic_fetch_sub(&room->n_watchers, 1);
		free(n);
		free_when_unused(w);
		return;
	}
	n->req = req;
	n->next = w->newcomers;
	w->newcomers = n;
	watch_read(w);
}
