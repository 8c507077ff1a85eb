/* Many people who each watch their own order: places N orders, opens a WebSocket for each, and waits until every
 * one has been told that its order is completed.
 *
 *   watchers PORT N SECONDS BODY [blind]
 *
 * Prints "ready" when all are placed and watched, and JSON at the end. `blind`: places and watches nothing, ends
 * after "ready". SECONDS: how long it waits at most. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <signal.h>

#include "base/clock.h"
#include "base/mem.h"
#include "poster.h"
#include "readings.h"

enum { AT_ONCE = 32, OPENING_MAX = 128, OP_PING = 9, OP_CLOSE = 8 };

struct watcher {
	struct crowd *crowd;
	struct bufferevent *bev;
	struct id id;
	bool is_upgraded, has_first, has_completed, is_lost;
	int64_t lag_us; /* from completed_at to its reading */
};

struct crowd {
	struct event_base *base;
	struct poster *poster;
	unsigned short port;
	bool is_blind, is_ready;
	size_t n, n_posted, n_placed, n_refused, n_asked, n_first, n_completed, n_lost;
	struct watcher *watchers;
};

static void tell_ready(struct crowd *c)
{
	if (c->is_ready || c->n_placed + c->n_refused < c->n ||
		(!c->is_blind && c->n_first + c->n_lost < c->n_placed))
		return;
	c->is_ready = true;
	printf("ready\n");
	fflush(stdout);
	if (c->is_blind)
		event_base_loopbreak(c->base);
}

static void end_when_done(struct crowd *c)
{
	tell_ready(c);
	if (c->is_ready && c->n_completed + c->n_lost >= c->n_placed)
		event_base_loopbreak(c->base);
}

/* --- one watcher --- */

static void lose(struct watcher *w)
{
	if (w->is_lost || w->has_completed)
		return;
	w->is_lost = true;
	w->crowd->n_lost++;
	end_when_done(w->crowd);
}

static int64_t lag_of(const char *text)
{
	static const char before[] = "\"completed_at\":\"";
	const char *at = strstr(text, before);
	int64_t then_us;

	if (!at)
		return 0;
	at += sizeof before - 1;
	if (clock_parse((struct str){at, strcspn(at, "\"")}, &then_us) < 0)
		return 0;
	return clock_wall_us() - then_us;
}

static void open_more(struct crowd *c);

static void on_text(struct watcher *w, const char *text)
{
	struct crowd *c = w->crowd;

	if (!w->has_first) {
		w->has_first = true;
		c->n_first++;
		open_more(c);
	}
	if (!w->has_completed && strstr(text, "\"status\":\"completed\"")) {
		w->has_completed = true;
		w->lag_us = lag_of(text);
		c->n_completed++;
	}
	end_when_done(c);
}

/* An answer with a mask of zeros (RFC 6455, 5.5.3). */
static void send_pong(struct watcher *w, const char *data, size_t n)
{
	const unsigned char head[6] = {0x8a, (unsigned char)(0x80 | n)};

	bufferevent_write(w->bev, head, sizeof head);
	bufferevent_write(w->bev, data, n);
}

/* One frame of a server: never masked, never split. False: there is no whole one yet. */
static bool read_frame(struct watcher *w, struct evbuffer *in)
{
	unsigned char head[10] = {0};
	ev_ssize_t got = evbuffer_copyout(in, head, sizeof head);
	size_t n = head[1] & 0x7f, skip = n == 127 ? 10 : n == 126 ? 4 : 2;
	char *text;

	if (got < 2 || (size_t)got < skip)
		return false;
	if (skip > 2)
		n = 0;
	for (size_t i = 2; i < skip; i++)
		n = n << 8 | head[i];
	if (evbuffer_get_length(in) < skip + n)
		return false;
	text = malloc(n + 1);
	if (!text)
		exit(1);
	evbuffer_drain(in, skip);
	evbuffer_remove(in, text, n);
	text[n] = '\0';
	if ((head[0] & 15) == OP_PING)
		send_pong(w, text, n < 126 ? n : 0);
	else if ((head[0] & 15) == OP_CLOSE)
		lose(w);
	else
		on_text(w, text);
	free(text);
	return true;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct watcher *w = arg;
	struct evbuffer *in = bufferevent_get_input(bev);

	if (!w->is_upgraded) {
		struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
		char status[13] = "";

		if (end.pos < 0)
			return;
		evbuffer_copyout(in, status, sizeof status - 1);
		if (strcmp(status, "HTTP/1.1 101") != 0) {
			lose(w);
			return;
		}
		evbuffer_drain(in, (size_t)end.pos + 4);
		w->is_upgraded = true;
	}
	while (read_frame(w, in))
		;
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		lose(arg);
}

static void watch(struct watcher *w)
{
	struct crowd *c = w->crowd;
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(c->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char id[ID_TEXT_SIZE];

	id_text(&w->id, id);
	w->bev = bufferevent_socket_new(c->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!w->bev)
		exit(1);
	bufferevent_setcb(w->bev, on_read, NULL, on_event, w);
	bufferevent_enable(w->bev, EV_READ | EV_WRITE);
	evbuffer_add_printf(bufferevent_get_output(w->bev),
		"GET /ws/orders/%s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		id, c->port);
	if (bufferevent_socket_connect(w->bev, (struct sockaddr *)&to, sizeof to) < 0)
		lose(w);
}

/* Not all at once: the queue of new connections is short. */
static void open_more(struct crowd *c)
{
	while (!c->is_blind && c->n_asked < c->n_placed &&
		c->n_asked < c->n_first + c->n_lost + OPENING_MAX)
		watch(&c->watchers[c->n_asked++]);
}

static void on_placed(void *arg, size_t n, const struct id *id)
{
	struct crowd *c = arg;

	(void)n;
	if (id)
		c->watchers[c->n_placed++] = (struct watcher){.crowd = c, .id = *id};
	else
		c->n_refused++;
	open_more(c);
	if (c->n_posted < c->n)
		poster_post(c->poster, c->n_posted++);
	end_when_done(c);
}

static void print(const struct crowd *c)
{
	int64_t *lags = calloc(c->n, sizeof *lags);
	size_t n = 0;

	if (!lags)
		exit(1);
	for (size_t i = 0; i < c->n_placed; i++)
		if (c->watchers[i].has_completed)
			lags[n++] = c->watchers[i].lag_us;
	printf("{\"placed\":%zu,\"refused\":%zu,\"watched\":%zu,\"completed\":%zu,\"lost\":%zu,",
		c->n_placed, c->n_refused, c->n_first, c->n_completed, c->n_lost);
	readings_print("lag", lags, n);
	printf("}\n");
	free(lags);
}

int main(int argc, char **argv)
{
	struct crowd c = {.is_blind = argc == 6};

	if (argc < 5 || (c.n = strtoull(argv[2], NULL, 10)) < 1) {
		fprintf(stderr, "usage: watchers PORT N SECONDS BODY [blind]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	c.port = (unsigned short)strtol(argv[1], NULL, 10);
	c.base = event_base_new();
	c.watchers = calloc(c.n, sizeof *c.watchers);
	c.poster = poster_new(c.base, c.port, argv[4], on_placed, &c);
	if (!c.watchers)
		return 1;
	event_base_loopexit(c.base, &(struct timeval){strtol(argv[3], NULL, 10), 0});
	while (c.n_posted < c.n && c.n_posted < AT_ONCE)
		poster_post(c.poster, c.n_posted++);
	event_base_dispatch(c.base);
	print(&c);
	return 0;
}
