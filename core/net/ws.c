/* WebSockets: wslay between a taken connection and the application; pings, closing, slow readers. */
#include "net/ws.h"

#include <assert.h>
#include <event2/buffer.h>
#include <wslay/wslay.h>

#include "net/conn.h"
#include "net/ws_handshake.h"

enum { CLOSE_WAIT_MS = 2000 };

struct ws {
	struct conn *conn;
	wslay_event_context_ptr wslay;
	bool is_closing; /* a close frame is queued; the application has let go */
	int64_t close_by_ms, heard_ms, pinged_ms;
	void (*on_close)(void *arg);
	void *arg;
};

/* --- wslay and the buffers --- */

static ssize_t on_recv(wslay_event_context_ptr w, uint8_t *data, size_t n, int flags, void *arg)
{
	struct ws *ws = arg;
	int r = evbuffer_remove(bufferevent_get_input(ws->conn->bev), data, n);

	(void)flags;
	if (r > 0)
		return r;
	wslay_event_set_error(w, WSLAY_ERR_WOULDBLOCK);
	return -1;
}

static ssize_t on_send(
	wslay_event_context_ptr w, const uint8_t *data, size_t n, int flags, void *arg)
{
	struct ws *ws = arg;

	(void)flags;
	if (evbuffer_add(bufferevent_get_output(ws->conn->bev), data, n) == 0) {
		conn_send_soon(ws->conn);
		return (ssize_t)n;
	}
	wslay_event_set_error(w, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

/* A close frame of one byte has half a code; wslay would take it for none (RFC 6455, 5.5.1). */
static void on_frame(wslay_event_context_ptr w,
	const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
	(void)arg;
	if (frame->opcode != WSLAY_CONNECTION_CLOSE || frame->payload_length != 1)
		return;
	wslay_event_queue_close(w, WS_CLOSE_PROTOCOL, NULL, 0);
	wslay_event_shutdown_read(w);
}

static const struct wslay_event_callbacks callbacks = {
	.recv_callback = on_recv,
	.send_callback = on_send,
	.on_frame_recv_start_callback = on_frame,
};

/* --- ending --- */

/* The application hears of the end once, and not when it asked for it. */
static void let_go(struct ws *ws)
{
	void (*on_close)(void *) = ws->on_close;

	ws->on_close = NULL;
	if (on_close)
		on_close(ws->arg);
}

static void start_close(struct ws *ws, int code, const char *reason)
{
	size_t n = reason ? strlen(reason) : 0;

	ws->is_closing = true;
	ws->close_by_ms = clock_mono_ms() + CLOSE_WAIT_MS;
	wslay_event_queue_close(
		ws->wslay, (uint16_t)code, (const uint8_t *)reason, n < 123 ? n : 122);
	if (wslay_event_send(ws->wslay) < 0)
		conn_kill(ws->conn);
}

/* After both close frames, or after ours for a broken rule, only the output is left to do. */
static void move_on(struct ws *ws)
{
	wslay_event_context_ptr w = ws->wslay;

	if (wslay_event_send(w) < 0)
		conn_kill(ws->conn);
	else if (wslay_event_get_close_sent(w) && !wslay_event_get_read_enabled(w))
		conn_close(ws->conn);
}

/* What came is no frame. wslay would say so without a code. */
static void fail(struct ws *ws)
{
	static const unsigned char frame[] = {
		0x88, 2, WS_CLOSE_PROTOCOL >> 8, WS_CLOSE_PROTOCOL & 0xff};

	bufferevent_write(ws->conn->bev, frame, sizeof frame);
	conn_close(ws->conn);
}

/* --- the connection's side --- */

/* Whoever pings without reading the pongs is not read until it has taken what waits for it. */
static bool is_backed_up(struct ws *ws)
{
	size_t limit = (size_t)ws->conn->server->limits.backlog_bytes;

	if (ws_unsent(ws) <= limit)
		return false;
	conn_send(ws->conn);
	return ws_unsent(ws) > limit;
}

static void on_readable(void *arg)
{
	struct ws *ws = arg;

	ws->heard_ms = clock_mono_ms();
	if (is_backed_up(ws))
		return;
	if (wslay_event_recv(ws->wslay) < 0)
		fail(ws);
	else
		move_on(ws);
}

static void ping(struct ws *ws, int64_t now_ms)
{
	struct wslay_event_msg frame = {.opcode = WSLAY_PING};

	ws->pinged_ms = now_ms;
	if (wslay_event_queue_msg(ws->wslay, &frame) < 0 || wslay_event_send(ws->wslay) < 0)
		conn_kill(ws->conn);
}

static void on_tick(void *arg, int64_t now_ms)
{
	struct ws *ws = arg;
	int64_t idle_ms = ws->conn->server->limits.idle_ms;
	int64_t quiet_since_ms = ws->pinged_ms > ws->heard_ms ? ws->pinged_ms : ws->heard_ms;

	if (ws->is_closing ? now_ms >= ws->close_by_ms : now_ms - ws->heard_ms >= idle_ms)
		conn_kill(ws->conn);
	else if (!ws->is_closing && now_ms - quiet_since_ms >= idle_ms / 2)
		ping(ws, now_ms);
}

static void on_gone(void *arg)
{
	struct ws *ws = arg;

	let_go(ws);
	wslay_event_context_free(ws->wslay);
	free(ws);
}

static const struct conn_taker taker = {on_readable, on_tick, on_gone};

/* --- the application's side --- */

static struct ws *ws_create(struct conn *c, void (*on_close)(void *arg), void *arg)
{
	struct ws *ws = calloc(1, sizeof *ws);

	if (!ws)
		return NULL;
	if (wslay_event_context_server_init(&ws->wslay, &callbacks, ws) < 0) {
		free(ws);
		return NULL;
	}
	wslay_event_config_set_max_recv_msg_length(ws->wslay, WS_MESSAGE_MAX);
	ws->conn = c;
	ws->on_close = on_close;
	ws->arg = arg;
	ws->heard_ms = clock_mono_ms();
	return ws;
}

struct ws *ws_accept(struct http_request *req, void (*on_close)(void *arg), void *arg)
{
	struct conn *c = req->conn;
	struct ws *ws = c ? ws_create(c, on_close, arg) : NULL;

	if (!ws) {
		http_problem(req, 503, "The server is out of memory.");
		return NULL;
	}
	if (!ws_handshake(req)) {
		wslay_event_context_free(ws->wslay);
		free(ws);
		return NULL;
	}
	request_done(req, 101);
	conn_take(c, &taker, ws);
	return ws;
}

size_t ws_unsent(const struct ws *ws)
{
	return conn_unsent(ws->conn);
}

bool ws_send(struct ws *ws, struct str text)
{
	struct wslay_event_msg frame = {
		.opcode = WSLAY_TEXT_FRAME, .msg = (const uint8_t *)text.p, .msg_length = text.n};

	assert(!ws->is_closing);
	/* What is larger than the limit by itself must get through alone, or never will. */
	if (ws_unsent(ws) &&
		ws_unsent(ws) + text.n > (size_t)ws->conn->server->limits.backlog_bytes) {
		let_go(ws);
		start_close(ws, WS_CLOSE_OVERLOAD, "too slow");
		return false;
	}
	if (wslay_event_queue_msg(ws->wslay, &frame) == 0 && wslay_event_send(ws->wslay) == 0)
		return true;
	conn_kill(ws->conn);
	return false;
}

void ws_close(struct ws *ws, int code, const char *reason)
{
	ws->on_close = NULL;
	start_close(ws, code, reason);
}
