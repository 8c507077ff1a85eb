/* The sampler: once a second it asks the engine how it fares, keeps that in the history, and tells those who follow the
 * pipeline live. The page gets the last five minutes at once (GET /pipeline/history) and each second as it comes. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/app.h"
#include "net/history.h"
#include "net/ws.h"

struct sample_listener {
	struct sample_listener *next, **slot;
	struct samples *samples;
	struct ws *ws;		    /* either */
	struct http_stream *stream; /* or */
};

struct samples {
	struct app *app;
	struct history *history;
	struct event *timer;
	struct sample_listener *listeners;
	int64_t n_listeners;
	bool is_closing;
};

int64_t process_resident_bytes(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128], *resident;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	resident = strchr(text, ' ');
	return resident ? strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

/* --- who follows --- */

static void listener_remove(struct sample_listener *l)
{
	*l->slot = l->next;
	if (l->next)
		l->next->slot = l->slot;
	l->samples->n_listeners--;
	free(l);
}

static void on_close(void *arg)
{
	listener_remove(arg);
}

/* It may be gone afterwards: too slow. */
static void tell(struct sample_listener *l, struct str json)
{
	_cleanup_(buf_fini) struct buf text = {0};

	if (l->ws) {
		ws_send(l->ws, json);
		return;
	}
	buf_fmt(&text, "data: %.*s\n\n", (int)json.n, json.p);
	if (!text.failed)
		http_stream_send(l->stream, buf_view(&text));
}

static void write_sample(struct samples *s, struct buf *out)
{
	history_sample_json(s->history, &(struct json_writer){out, false});
}

static void tell_all(struct samples *s)
{
	_cleanup_(buf_fini) struct buf json = {0};
	struct sample_listener *l, *next;

	if (!s->listeners)
		return;
	write_sample(s, &json);
	for (l = s->listeners; l && !json.failed; l = next) {
		next = l->next;
		tell(l, buf_view(&json));
	}
}

/* --- once a second --- */

static void on_stage(void *arg, const struct tally *t, const struct engine_stage_gauges *g)
{
	history_stage(arg, t, g);
}

static void on_second(evutil_socket_t fd, short events, void *arg)
{
	struct samples *s = arg;
	struct host_reading now = {.wall_us = clock_wall_us(),
		.mono_ms = clock_mono_ms(),
		.generation = engine_pipeline(s->app->engine)->digest,
		.reloaded_us = s->app->last_reload.at_us,
		.commit_us = engine_commit_took_us(s->app->engine),
		.rss_bytes = process_resident_bytes(),
		.journal_bytes = app_journal_bytes(s->app, ""),
		.wal_bytes = app_journal_bytes(s->app, "-wal")};

	(void)fd, (void)events;
	engine_stats(s->app->engine, &now.orders);
	history_begin(s->history, &now);
	engine_each_stage(s->app->engine, on_stage, s->history);
	history_end(s->history);
	tell_all(s);
}

int samples_start(struct app *app, struct samples **ret, struct err *e)
{
	static const struct timeval second = {.tv_sec = 1};
	struct samples *s = calloc(1, sizeof *s);

	if (s) {
		s->app = app;
		s->history = history_create();
		s->timer = event_new(app->base, -1, EV_PERSIST, on_second, s);
	}
	if (!s || !s->history || !s->timer || event_add(s->timer, &second) < 0) {
		samples_free(s);
		return err_set(e, -ENOMEM, "no memory to start");
	}
	on_second(-1, 0, s);
	*ret = s;
	return 0;
}

void samples_close(struct samples *s)
{
	if (!s)
		return;
	s->is_closing = true;
	if (s->timer)
		event_del(s->timer);
	while (s->listeners) {
		struct sample_listener *l = s->listeners;

		if (l->ws)
			ws_close(l->ws, WS_CLOSE_GOING_AWAY, "Stageline is stopping");
		else
			http_stream_end(l->stream);
		listener_remove(l);
	}
}

void samples_free(struct samples *s)
{
	if (!s)
		return;
	if (s->timer)
		event_free(s->timer);
	history_free(s->history);
	free(s);
}

int64_t samples_watchers(const struct samples *s)
{
	return s ? s->n_listeners : 0;
}

/* --- routes --- */

void route_pipeline_history(void *arg, struct http_request *req)
{
	struct app *app = arg;
	struct buf body = {0};

	history_json(app->samples->history, &(struct json_writer){&body, false});
	http_reply_json(req, 200, &body);
}

/* One more who follows, not connected yet; NULL: answered. */
static struct sample_listener *arrive(struct samples *s, struct http_request *req)
{
	struct sample_listener *l = s->is_closing ? NULL : calloc(1, sizeof *l);

	if (!l) {
		http_problem(req, 503, s->is_closing ? "Stageline is stopping" : "no memory");
		return NULL;
	}
	*l = (struct sample_listener){.next = s->listeners, .slot = &s->listeners, .samples = s};
	if (l->next)
		l->next->slot = &l->next;
	s->listeners = l;
	s->n_listeners++;
	return l;
}

/* How things stand at once; the next second comes by itself. */
static void welcome(struct sample_listener *l)
{
	_cleanup_(buf_fini) struct buf json = {0};

	write_sample(l->samples, &json);
	if (!json.failed)
		tell(l, buf_view(&json));
}

void route_watch_pipeline(void *arg, struct http_request *req)
{
	struct sample_listener *l = arrive(((struct app *)arg)->samples, req);

	if (!l)
		return;
	l->ws = ws_accept(req, on_close, l);
	if (l->ws)
		welcome(l);
	else
		listener_remove(l);
}

void route_stream_pipeline(void *arg, struct http_request *req)
{
	struct sample_listener *l = arrive(((struct app *)arg)->samples, req);

	if (!l)
		return;
	l->stream = http_stream_start(req, "text/event-stream", on_close, l);
	if (l->stream)
		welcome(l);
	else
		listener_remove(l);
}
