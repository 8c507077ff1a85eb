/* One connection: reading, waiting for the answer, closing gently, and its clocks. */
#include "net/conn.h"

#include <assert.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/mem.h"

enum {
	LINGER_MS = 2000,
	DISCARD_MAX = 8 << 20,
	READ_AHEAD_MAX = 32 << 10, /* pipelined bytes that wait behind a request */
};

#define TO(state) (1u << (state))

static const unsigned legal_moves[] = {
	[CONN_READING] = TO(CONN_HANDLING) | TO(CONN_CLOSING) | TO(CONN_DEAD),
	[CONN_HANDLING] = TO(CONN_READING) | TO(CONN_TAKEN) | TO(CONN_CLOSING) | TO(CONN_DEAD),
	[CONN_TAKEN] = TO(CONN_CLOSING) | TO(CONN_DEAD),
	[CONN_CLOSING] = TO(CONN_LINGERING) | TO(CONN_DEAD),
	[CONN_LINGERING] = TO(CONN_DEAD),
	[CONN_DEAD] = 0,
};

static void move(struct conn *c, enum conn_state to)
{
	assert(legal_moves[c->state] & TO(to));
	c->state = to;
}

size_t conn_unsent(const struct conn *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* Writing is enabled in the bufferevent only while something is left over: it would ask the kernel to be told when the
 * socket can be written, which nearly always is now. */
void conn_send(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	if (conn_unsent(c) && !(bufferevent_get_enabled(c->bev) & EV_WRITE)) {
		evbuffer_unfreeze(out, 1); /* the bufferevent keeps others from draining it */
		evbuffer_write(out, bufferevent_getfd(c->bev));
		evbuffer_freeze(out, 1);
	}
	if (conn_unsent(c)) /* also after an error: the bufferevent finds it and tells */
		bufferevent_enable(c->bev, EV_WRITE);
}

void conn_send_soon(struct conn *c)
{
	struct http_server *s = c->server;

	if (c->to_send || c->state == CONN_DEAD)
		return;
	c->next_to_send = s->to_send;
	if (s->to_send)
		s->to_send->to_send = &c->next_to_send;
	c->to_send = &s->to_send;
	s->to_send = c;
	event_active(s->send, EV_TIMEOUT, 0);
}

static void send_no_more(struct conn *c)
{
	if (!c->to_send)
		return;
	*c->to_send = c->next_to_send;
	if (c->next_to_send)
		c->next_to_send->to_send = c->to_send;
	c->to_send = NULL;
}

void conn_send_all(struct http_server *s)
{
	while (s->to_send) {
		struct conn *c = s->to_send;

		send_no_more(c);
		conn_send(c);
	}
}

bool conn_is_idle(const struct conn *c)
{
	return c->state == CONN_READING && !c->is_in_request && conn_unsent(c) == 0;
}

static void leave_taker(struct conn *c)
{
	const struct conn_taker *taker = steal_ptr(c->taker);

	if (taker)
		taker->on_gone(c->taken_by);
}

void conn_kill(struct conn *c)
{
	if (c->state == CONN_DEAD)
		return;
	if (c->state == CONN_HANDLING) {
		request_done(c->req, 499); /* "client closed request", as nginx counts it */
		c->req->conn = NULL;
		atomic_store(&steal_ptr(c->req)->is_unwanted, true);
	}
	move(c, CONN_DEAD);
	send_no_more(c);
	bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	event_active(c->server->reap, EV_TIMEOUT, 0);
	leave_taker(c);
}

static void linger(struct conn *c)
{
	shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	if (c->at_eof) {
		conn_kill(c);
		return;
	}
	move(c, CONN_LINGERING);
	c->deadline_ms = clock_mono_ms() + LINGER_MS;
}

void conn_close(struct conn *c)
{
	if (c->state >= CONN_CLOSING)
		return;
	move(c, CONN_CLOSING);
	c->deadline_ms = 0;
	leave_taker(c);
	if (c->is_reading_paused) /* what was read ahead is read away */
		bufferevent_trigger(
			c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
	if (c->state != CONN_CLOSING)
		return;
	conn_send(c);
	if (conn_unsent(c) == 0)
		linger(c);
}

void conn_take(struct conn *c, const struct conn_taker *taker, void *arg)
{
	move(c, CONN_TAKEN);
	c->taker = taker;
	c->taken_by = arg;
	request_free(steal_ptr(c->req));
	conn_send_soon(c);
	if (c->at_eof) /* it went while the application had the request: libevent says so only once */
		bufferevent_trigger_event(
			c->bev, BEV_EVENT_READING | BEV_EVENT_EOF, BEV_TRIG_DEFER_CALLBACKS);
	if (evbuffer_get_length(bufferevent_get_input(c->bev)))
		bufferevent_trigger(
			c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* --- reading --- */

static void refuse(struct conn *c)
{
	struct guard *g = &c->req->guard;

	c->req->must_close = true;
	http_problem(c->req, g->refusal, "%s", g->why);
}

static void start_request(struct conn *c)
{
	c->is_in_request = true;
	c->req->started_us = clock_mono_us();
	c->deadline_ms = c->req->started_us / 1000 + c->server->limits.idle_ms;
}

static void feed(struct conn *c, struct evbuffer *in)
{
	struct evbuffer_iovec v;
	enum guard_result r;
	size_t used;

	if (!c->is_in_request)
		start_request(c);
	evbuffer_peek(in, -1, NULL, &v, 1);
	r = guard_feed(&c->req->guard, v.iov_base, v.iov_len, &used);
	evbuffer_drain(in, used);
	if (r == GUARD_MORE)
		return;
	move(c, CONN_HANDLING);
	c->deadline_ms = 0;
	if (r == GUARD_REFUSED)
		refuse(c);
	else
		route_request(c->req);
}

static void send_continue(struct conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	c->req->guard.expects_continue = false;
	bufferevent_write(c->bev, text, sizeof text - 1);
	conn_send(c);
}

/* A client that pipelines without reading its answers waits. */
static bool is_backed_up(const struct conn *c)
{
	return conn_unsent(c) > (size_t)c->server->limits.backlog_bytes;
}

/* libevent's own watermark does the same, but crashes when there is no memory for it. */
static void limit_reading(struct conn *c)
{
	bool is_enough = evbuffer_get_length(bufferevent_get_input(c->bev)) >= READ_AHEAD_MAX;

	if (c->state == CONN_DEAD || is_enough == c->is_reading_paused)
		return;
	c->is_reading_paused = is_enough;
	if (is_enough)
		bufferevent_disable(c->bev, EV_READ);
	else
		bufferevent_enable(c->bev, EV_READ);
}

static void read_requests(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	c->is_in_loop = true;
	while (c->state == CONN_READING && !is_backed_up(c) && evbuffer_get_length(in))
		feed(c, in);
	c->is_in_loop = false;
	if (c->state != CONN_READING || evbuffer_get_length(in))
		return;
	if (c->at_eof)
		conn_close(c);
	else if (c->req->guard.expects_continue)
		send_continue(c);
}

static void discard(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);

	c->discarded += evbuffer_get_length(in);
	evbuffer_drain(in, evbuffer_get_length(in));
	if (c->discarded > DISCARD_MAX)
		conn_kill(c);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->state == CONN_READING)
		read_requests(c);
	else if (c->state == CONN_TAKEN)
		c->taker->on_readable(c->taken_by);
	else if (c->state == CONN_CLOSING || c->state == CONN_LINGERING)
		discard(c);
	limit_reading(c);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	bufferevent_disable(bev, EV_WRITE);
	if (c->state == CONN_CLOSING)
		linger(c);
	else if (c->state == CONN_READING)
		read_requests(c);
	else if (c->state == CONN_TAKEN && evbuffer_get_length(bufferevent_get_input(bev)))
		c->taker->on_readable(c->taken_by);
	limit_reading(c);
}

/* A client that only closed its sending side still gets its answer. */
static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (!(what & BEV_EVENT_EOF) || c->state == CONN_TAKEN || c->state == CONN_LINGERING) {
		conn_kill(c);
		return;
	}
	c->at_eof = true;
	if (c->state == CONN_READING)
		read_requests(c);
}

void conn_answered(struct conn *c, bool keep_alive)
{
	c->was_answered = true;
	if (!keep_alive || c->server->is_draining) {
		conn_close(c);
		return;
	}
	request_reset(c->req);
	move(c, CONN_READING);
	c->is_in_request = false;
	c->deadline_ms = clock_mono_ms() + c->server->limits.idle_ms;
	if (!c->is_in_loop && (c->at_eof || evbuffer_get_length(bufferevent_get_input(c->bev))))
		bufferevent_trigger(
			c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* --- clocks --- */

static void expire(struct conn *c)
{
	if (c->state != CONN_READING || !c->is_in_request) {
		conn_kill(c);
		return;
	}
	move(c, CONN_HANDLING);
	c->deadline_ms = 0;
	c->req->must_close = true;
	http_problem(c->req, 408, "The request did not arrive in time.");
}

/* Whether bytes wait for the client and none went out for the idle time. */
static bool is_stalled(struct conn *c, int64_t now_ms)
{
	size_t unsent = conn_unsent(c);

	if (unsent == 0 || unsent < c->unsent || c->stalled_ms == 0)
		c->stalled_ms = now_ms;
	c->unsent = unsent;
	return now_ms - c->stalled_ms >= c->server->limits.idle_ms;
}

void conn_tick(struct conn *c, int64_t now_ms)
{
	if (c->state == CONN_DEAD)
		return;
	if (is_stalled(c, now_ms))
		conn_kill(c);
	else if (c->deadline_ms && now_ms >= c->deadline_ms &&
		 (c->is_in_request || conn_unsent(c) == 0))
		expire(c);
	else if (c->state == CONN_TAKEN)
		c->taker->on_tick(c->taken_by, now_ms);
}

/* --- life --- */

struct conn *conn_create(struct http_server *s, int fd, bool checks_host)
{
	struct conn *c = calloc(1, sizeof *c);
	int on = 1;

	if (!c)
		return NULL;
	c->server = s;
	c->checks_host = checks_host;
	c->req = request_create(c);
	c->bev = c->req ? bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!c->bev) {
		request_free(c->req);
		free(c);
		return NULL;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	c->deadline_ms = clock_mono_ms() + s->limits.idle_ms;
	bufferevent_setcb(c->bev, on_readable, on_written, on_event, c);
	bufferevent_disable(c->bev, EV_WRITE);
	bufferevent_enable(c->bev, EV_READ);
	return c;
}

void conn_free(struct conn *c)
{
	request_free(c->req);
	bufferevent_free(c->bev);
	free(c);
}
