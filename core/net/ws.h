/* WebSockets (RFC 6455): frames by wslay on a connection taken over from HTTP. [net loop]
 *
 * The other side may send text, which nobody here needs: it is read, limited to WS_MESSAGE_MAX, checked for
 * UTF-8, and dropped. Pings are answered; a ping goes out every half idle time, and a peer that does not answer
 * within the idle time is closed. */
#pragma once

#include "net/http.h"

enum { WS_MESSAGE_MAX = 4096 };

/* Close codes (RFC 6455, 7.4.1). */
enum {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_BAD_DATA = 1007,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
	WS_CLOSE_OVERLOAD = 1013,
};

struct ws;

/* Answers the handshake and takes the connection over, or answers with a problem (400, 403 for a foreign
 * Origin, 426) and returns NULL. Ends the request in either case. `on_close` is called once when the
 * connection ends for whatever reason but ws_close(). */
struct ws *ws_accept(struct http_request *req, void (*on_close)(void *arg), void *arg);
/* One text message. Returns false when the client is too slow: it was closed with 1013, `on_close` has been
 * called. */
bool ws_send(struct ws *ws, struct str text);
/* Bytes that wait for the client to take them. */
size_t ws_unsent(const struct ws *ws);
/* Sends a close frame, then closes; `ws` is gone for the caller. */
void ws_close(struct ws *ws, int code, const char *reason);
