/* Streams: answers that go on until one side ends them (server-sent events). A client that does not keep up is
 * dropped as soon as more than the backlog waits for it. */
#include <event2/buffer.h>

#include "net/conn.h"

struct http_stream {
	struct conn *conn;
	bool is_chunked;
	void (*on_close)(void *arg);
	void *arg;
};

/* The client has said what it had to say; more is read away. */
static void on_readable(void *arg)
{
	struct http_stream *s = arg;
	struct evbuffer *in = bufferevent_get_input(s->conn->bev);

	evbuffer_drain(in, evbuffer_get_length(in));
}

static void on_tick(void *arg, int64_t now_ms)
{
	(void)arg;
	(void)now_ms;
}

static void on_gone(void *arg)
{
	struct http_stream *s = arg;
	void (*on_close)(void *) = s->on_close;
	void *on_close_arg = s->arg;

	free(s);
	if (on_close)
		on_close(on_close_arg);
}

static const struct conn_taker taker = {on_readable, on_tick, on_gone};

/* HEAD: the head is all there is. */
static void answer_head(struct http_request *req, const char *content_type)
{
	struct buf nothing = {0};

	req->must_close = true;
	http_reply(req, 200, content_type, &nothing);
}

struct http_stream *http_stream_start(
	struct http_request *req, const char *content_type, void (*on_close)(void *arg), void *arg)
{
	struct http_stream *s;

	if (!req->conn || str_is(guard_str(&req->guard, req->guard.method), "HEAD")) {
		answer_head(req, content_type);
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (!s || !reply_head(req, 200, content_type, -1)) {
		free(s);
		req->must_close = true;
		http_problem(req, 503, "The server is out of memory.");
		return NULL;
	}
	*s = (struct http_stream){req->conn, reply_is_chunked(req), on_close, arg};
	request_done(req, 200);
	conn_take(s->conn, &taker, s);
	return s;
}

bool http_stream_send(struct http_stream *s, struct str data)
{
	struct conn *c = s->conn;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	int r = 0;

	if (data.n == 0)
		return true;
	/* What is larger than the limit by itself must get through alone, or never will. */
	if (conn_unsent(c) && conn_unsent(c) + data.n > (size_t)c->server->limits.backlog_bytes) {
		conn_kill(c);
		return false;
	}
	if (s->is_chunked)
		r |= evbuffer_add_printf(out, "%zx\r\n", data.n) < 0;
	r |= evbuffer_add(out, data.p, data.n);
	if (s->is_chunked)
		r |= evbuffer_add(out, "\r\n", 2);
	if (r)
		conn_kill(c);
	else
		conn_send_soon(c);
	return r == 0;
}

size_t http_stream_unsent(const struct http_stream *s)
{
	return conn_unsent(s->conn);
}

void http_stream_end(struct http_stream *s)
{
	struct conn *c = s->conn;

	s->on_close = NULL;
	if (s->is_chunked)
		evbuffer_add(bufferevent_get_output(c->bev), "0\r\n\r\n", 5);
	conn_close(c);
}
