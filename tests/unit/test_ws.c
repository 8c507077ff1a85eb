/* WebSockets by raw frames: handshake, messages, control frames, broken rules, slow readers, closing. */
#include <stdatomic.h>

#include "net/ws.h"
#include "wire.h"

static const struct http_limits limits = {.body_bytes = 65536,
	.header_bytes = 8192,
	.connections = 50,
	.idle_ms = 5000,
	.backlog_bytes = 256 << 10};

#define UPGRADE(fields)                                                                            \
	"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "      \
	"WebSocket\r\n" fields "\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, FIN = 0x80, MASKED = 0x80 };

static struct ws *_Atomic ws;
static atomic_int n_closed;
static struct http_request *_Atomic held;

static void on_ws_close(void *arg)
{
	n_closed += arg == &ws;
	ws = NULL;
}

static void on_ws(void *app, struct http_request *req)
{
	(void)app;
	ws = ws_accept(req, on_ws_close, &ws);
	if (ws)
		ws_send(ws, STR("{\"n\":1}"));
}

static void on_later(void *app, struct http_request *req)
{
	(void)app;
	held = req;
}

static void on_plain(void *app, struct http_request *req)
{
	struct buf b = {0};

	(void)app;
	buf_text(&b, "plain");
	http_reply(req, 200, "text/plain", &b);
}

static const struct http_route routes[] = {{"GET", "/ws", "", on_ws},
	{"GET", "/later", "", on_later}, {"GET", "/plain", "", on_plain}, {NULL}};

static void start(struct served *s, const struct http_limits *l)
{
	ws = NULL;
	held = NULL;
	n_closed = 0;
	served_start(s, routes, l);
}

static size_t connections;

static void count_connections(struct served *s)
{
	connections = http_connections(s->http);
}

static void wait_for_connections(struct served *s, size_t n)
{
	do
		served_call(s, count_connections);
	while (connections != n);
}

/* A frame as a client sends it, payload up to 65535 bytes. */
static void send_frame(struct wire *w, int first, int mask, const void *payload, size_t n)
{
	static const unsigned char key[4] = {1, 2, 3, 4};
	struct buf b = {0};

	buf_char(&b, (char)first);
	buf_char(&b, (char)(mask | (n < 126 ? (int)n : 126)));
	if (n >= 126) {
		buf_char(&b, (char)(n >> 8));
		buf_char(&b, (char)n);
	}
	if (mask)
		buf_add(&b, key, sizeof key);
	for (size_t i = 0; i < n; i++)
		buf_char(&b, (char)(((const unsigned char *)payload)[i] ^ (mask ? key[i % 4] : 0)));
	CHECK(wire_send_bytes(w, b.data, b.len));
	buf_fini(&b);
}

/* One unmasked frame of the server: its opcode, payload in `out`; -1: none came. */
static int read_frame(struct wire *w, char *out, size_t out_size)
{
	size_t head = 2, n;
	int opcode;

	while (w->n < 2 || w->n < (size_t)(2 + ((w->in[1] & 0x7f) == 126 ? 2 : 0)))
		if (wire_read(w) <= 0)
			return -1;
	n = (size_t)(w->in[1] & 0x7f);
	if (n == 126) {
		head = 4;
		n = (size_t)((unsigned char)w->in[2] << 8 | (unsigned char)w->in[3]);
	}
	CHECK(!(w->in[1] & MASKED));
	while (w->n < head + n)
		if (wire_read(w) <= 0)
			return -1;
	CHECK(w->in[0] & FIN);
	opcode = w->in[0] & 0x0f;
	CHECK(n < out_size);
	memcpy(out, w->in + head, n);
	out[n] = '\0';
	wire_drop(w, head + n);
	return opcode;
}

static int read_close(struct wire *w)
{
	char text[65536];
	int opcode;

	while ((opcode = read_frame(w, text, sizeof text)) >= 0)
		if (opcode == CLOSE)
			return text[0] ? (unsigned char)text[0] << 8 | (unsigned char)text[1] : 0;
	return -1;
}

static struct wire *open_ws(struct served *s, int receive_bytes)
{
	struct wire *w = wire_open_slow(s, receive_bytes);
	char text[8192];

	CHECK_INT(wire_ask(w, UPGRADE(KEY V13), text, sizeof text), 101);
	CHECK_INT(read_frame(w, text, sizeof text), TEXT);
	CHECK_TEXT(text, "{\"n\":1}");
	return w;
}

static void the_handshake_follows_the_example_of_the_rfc(void)
{
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	CHECK_INT(wire_ask(w, UPGRADE(KEY V13 "Origin: http://localhost\r\n"), text, sizeof text),
		101);
	CHECK(strstr(text, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") != NULL);
	CHECK(strstr(text, "Upgrade: websocket\r\n") != NULL);
	CHECK(strstr(text, "Connection: Upgrade\r\n") != NULL);
	CHECK_INT(read_frame(w, text, sizeof text), TEXT);
	CHECK_TEXT(text, "{\"n\":1}");
	wire_close(w);
	wait_for_connections(&s, 0);
	CHECK_INT(n_closed, 1);
	served_stop(&s);
}

static void a_wrong_handshake_is_a_problem(void)
{
	static const struct {
		const char *request;
		int status;
		const char *has;
	} cases[] = {
		{"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 426,
			"\r\nSec-WebSocket-Version: 13\r\n"},
		{UPGRADE(KEY "Sec-WebSocket-Version: 8\r\n"), 426,
			"\r\nSec-WebSocket-Version: 13\r\n"},
		{UPGRADE(KEY), 426, "\r\nUpgrade: websocket\r\n"},
		{UPGRADE(V13), 400, ""},
		{UPGRADE(V13 "Sec-WebSocket-Key: short\r\n"), 400, ""},
		{UPGRADE(V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n"), 400, ""},
		{UPGRADE(KEY V13 "Origin: http://evil.example\r\n"), 403, ""},
		{UPGRADE(KEY V13 "Origin: null\r\n"), 403, ""},
	};
	struct served s;
	char text[8192];

	start(&s, &limits);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire *w = wire_open(&s);

		CHECK_INT(wire_ask(w, cases[i].request, text, sizeof text), cases[i].status);
		CHECK(strstr(text, cases[i].has) != NULL);
		CHECK(strstr(text, "application/problem+json") != NULL);
		CHECK(i == 0 || wire_is_closed(w));
		wire_close(w);
	}
	served_stop(&s);
}

static void bytes_behind_a_refused_upgrade_are_not_http(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = wire_open(&s);
	CHECK(wire_send(w,
		"GET /plain HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
		"Upgrade: websocket\r\n\r\nGET /plain HTTP/1.1\r\nHost: localhost\r\n\r\n"));
	CHECK_INT(wire_answer(w, false, NULL, 0), 200);
	CHECK(wire_is_closed(w));
	CHECK_INT(w->n, 0);
	wire_close(w);
	served_stop(&s);
}

static void frames_sent_with_the_handshake_are_read(void)
{
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	CHECK(wire_send(w, UPGRADE(KEY V13) "\x89\x82\x01\x02\x03\x04\x60\x60"));
	CHECK_INT(wire_answer(w, false, NULL, 0), 101);
	CHECK_INT(read_frame(w, text, sizeof text), TEXT);
	CHECK_INT(read_frame(w, text, sizeof text), PONG);
	CHECK_TEXT(text, "ab");
	wire_close(w);
	served_stop(&s);
}

static void a_ping_gets_its_pong_even_between_fragments(void)
{
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = open_ws(&s, 0);
	send_frame(w, TEXT, MASKED, "half \xc3", 6);
	send_frame(w, FIN | PING, MASKED, "are you there", 13);
	send_frame(w, FIN, MASKED, "\xa9 whole", 7);
	send_frame(w, FIN | PING, MASKED, "", 0);
	CHECK_INT(read_frame(w, text, sizeof text), PONG);
	CHECK_TEXT(text, "are you there");
	CHECK_INT(read_frame(w, text, sizeof text), PONG);
	CHECK_TEXT(text, "");
	wire_close(w);
	served_stop(&s);
}

static void messages_up_to_the_limit_are_taken(void)
{
	static char message[WS_MESSAGE_MAX];
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = open_ws(&s, 0);
	memset(message, 'x', sizeof message);
	for (int i = 0; i < 100; i++)
		send_frame(w, FIN | TEXT, MASKED, message, sizeof message);
	send_frame(w, FIN | PING, MASKED, "p", 1);
	CHECK_INT(read_frame(w, text, sizeof text), PONG);
	wire_close(w);
	served_stop(&s);
}

/* Frames that break a rule, and the code they are closed with. */
static void each_broken_rule_has_its_close_code(void)
{
	static char big[WS_MESSAGE_MAX + 1];
	const struct {
		int first, mask;
		const void *payload;
		size_t n;
		int code;
	} cases[] = {
		{FIN | TEXT, MASKED, big, sizeof big, WS_CLOSE_TOO_BIG},
		{FIN | BINARY, MASKED, big, sizeof big, WS_CLOSE_TOO_BIG},
		{FIN | TEXT, MASKED, "\xff\xfe", 2, WS_CLOSE_BAD_DATA},
		{FIN | TEXT, MASKED, "\xc3", 1, WS_CLOSE_BAD_DATA},
		{FIN | TEXT, MASKED, "\xed\xa0\x80", 3, WS_CLOSE_BAD_DATA},
		{FIN | TEXT, 0, "hello", 5, WS_CLOSE_PROTOCOL},
		{FIN | 3, MASKED, "", 0, WS_CLOSE_PROTOCOL},
		{FIN, MASKED, "x", 1, WS_CLOSE_PROTOCOL},
		{PING, MASKED, "x", 1, WS_CLOSE_PROTOCOL},
		{FIN | 0x40 | TEXT, MASKED, "x", 1, WS_CLOSE_PROTOCOL},
		{FIN | PING, MASKED, big, 126, WS_CLOSE_PROTOCOL},
		{FIN | CLOSE, MASKED, "\x03", 1, WS_CLOSE_PROTOCOL},
		{FIN | CLOSE, MASKED, "\x03\xed", 2, WS_CLOSE_PROTOCOL},
		{FIN | CLOSE, MASKED, "\x03\xe8", 2, WS_CLOSE_NORMAL},
		{FIN | CLOSE, MASKED,
			"\x03\xe9"
			"bye",
			5, WS_CLOSE_GOING_AWAY},
	};
	struct served s;

	memset(big, 'x', sizeof big);
	start(&s, &limits);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct wire *w = open_ws(&s, 0);
		int code;

		send_frame(w, cases[i].first, cases[i].mask, cases[i].payload, cases[i].n);
		code = read_close(w);
		if (code != cases[i].code)
			printf("\n  case %zu: ", i);
		CHECK_INT(code, cases[i].code);
		CHECK(wire_is_closed(w));
		CHECK_INT(n_closed, (int)i + 1);
		wire_close(w);
	}
	wait_for_connections(&s, 0);
	served_stop(&s);
}

static void fragments_together_are_limited_too(void)
{
	static char part[1000];
	struct served s;
	struct wire *w;

	memset(part, 'x', sizeof part);
	start(&s, &limits);
	w = open_ws(&s, 0);
	for (int i = 0; i < 5; i++)
		send_frame(w, i ? 0 : TEXT, MASKED, part, sizeof part);
	CHECK_INT(read_close(w), WS_CLOSE_TOO_BIG);
	wire_close(w);
	wait_for_connections(&s, 0);
	served_stop(&s);
}

static void close_ws(struct served *s)
{
	(void)s;
	ws_close(ws, WS_CLOSE_GOING_AWAY, "restart");
}

static void the_server_closes_with_a_code_and_waits_for_the_answer(void)
{
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = open_ws(&s, 0);
	served_call(&s, close_ws);
	CHECK_INT(read_frame(w, text, sizeof text), CLOSE);
	CHECK_TEXT(text, "\x03\xe9"
			 "restart");
	send_frame(w, FIN | CLOSE, MASKED, "\x03\xe9", 2);
	CHECK(wire_is_closed(w));
	wire_close(w);
	wait_for_connections(&s, 0);
	CHECK_INT(n_closed, 0);
	served_stop(&s);
}

static void a_client_that_does_not_answer_the_close_is_cut(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = open_ws(&s, 0);
	served_call(&s, close_ws);
	CHECK_INT(read_close(w), WS_CLOSE_GOING_AWAY);
	CHECK(wire_is_closed(w));
	wait_for_connections(&s, 0);
	wire_close(w);
	served_stop(&s);
}

static void flood(struct served *s)
{
	static char event[4096];
	int n = 0;

	(void)s;
	memset(event, 'x', sizeof event);
	while (n < 10000 && ws && ws_send(ws, (struct str){event, sizeof event}))
		n++;
	CHECK(n >= 10 && n < 10000);
}

static void a_slow_reader_is_closed_with_1013(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = open_ws(&s, 4096);
	served_call(&s, flood);
	CHECK_INT(n_closed, 1);
	CHECK(ws == NULL);
	CHECK_INT(read_close(w), WS_CLOSE_OVERLOAD);
	wire_close(w);
	wait_for_connections(&s, 0);
	served_stop(&s);
}

static void a_slow_reader_that_stays_away_is_cut(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = open_ws(&s, 4096);
	served_call(&s, flood);
	wait_for_connections(&s, 0);
	CHECK_INT(n_closed, 1);
	wire_close(w);
	served_stop(&s);
}

enum { PING_BYTES = 6 + 125 };

static size_t most_unsent;

static void measure(struct served *s)
{
	(void)s;
	if (ws && ws_unsent(ws) > most_unsent)
		most_unsent = ws_unsent(ws);
}

/* Sends pings as long as they are taken. Returns how many whole ones. */
static size_t ping_without_reading(struct served *s, struct wire *w)
{
	static char pings[32 * PING_BYTES];
	size_t sent = 0;

	for (size_t at = 0; at < sizeof pings; at += PING_BYTES)
		memcpy(pings + at, "\x89\xfd", 2);
	for (int i = 0; i < 8000; i++) {
		size_t at = sent % sizeof pings;
		ssize_t n = send(w->fd, pings + at, sizeof pings - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		CHECK(n > 0 || errno == EAGAIN);
		sent += n > 0 ? (size_t)n : 0;
		served_call(s, measure);
	}
	return sent / PING_BYTES;
}

static void pings_wait_until_their_pongs_are_read(void)
{
	struct served s;
	struct wire *w;
	char text[8192];
	size_t n;

	start(&s, &limits);
	w = open_ws(&s, 4096);
	most_unsent = 0;
	n = ping_without_reading(&s, w);
	CHECK(most_unsent > (size_t)limits.backlog_bytes);
	CHECK(most_unsent < (size_t)limits.backlog_bytes + (128 << 10));
	for (size_t i = 0; i < n; i++)
		CHECK_INT(read_frame(w, text, sizeof text), PONG);
	CHECK_INT(n_closed, 0);
	wire_close(w);
	wait_for_connections(&s, 0);
	served_stop(&s);
}

static void a_quiet_client_is_pinged_and_then_dropped(void)
{
	struct http_limits quick = limits;
	struct served s;
	struct wire *w;
	char text[8192];

	quick.idle_ms = 200;
	start(&s, &quick);
	w = open_ws(&s, 0);
	for (int i = 0; i < 3; i++) {
		CHECK_INT(read_frame(w, text, sizeof text), PING);
		send_frame(w, FIN | PONG, MASKED, "", 0);
	}
	served_call(&s, count_connections);
	CHECK_INT(connections, 1);
	while (wire_read(w) > 0)
		;
	wait_for_connections(&s, 0);
	CHECK_INT(n_closed, 1);
	wire_close(w);
	served_stop(&s);
}

static void accept_held(struct served *s)
{
	(void)s;
	ws = ws_accept(held, on_ws_close, &ws);
}

static void a_handshake_whose_client_is_gone_gives_no_socket(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = wire_open(&s);
	CHECK(wire_send(w, "GET /later HTTP/1.1\r\nHost: localhost\r\nConnection: "
			   "Upgrade\r\nUpgrade: websocket\r\n" KEY V13 "\r\n"));
	do
		served_call(&s, count_connections);
	while (!held);
	wire_vanish(w);
	wait_for_connections(&s, 0);
	served_call(&s, accept_held);
	CHECK(ws == NULL);
	CHECK_INT(n_closed, 0);
	served_stop(&s);
}

static void stopping_the_server_ends_its_sockets(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = open_ws(&s, 0);
	served_stop(&s);
	CHECK_INT(n_closed, 1);
	wire_close(w);
}

UNIT_MAIN("ws", TEST(the_handshake_follows_the_example_of_the_rfc),
	TEST(a_wrong_handshake_is_a_problem), TEST(bytes_behind_a_refused_upgrade_are_not_http),
	TEST(frames_sent_with_the_handshake_are_read),
	TEST(a_ping_gets_its_pong_even_between_fragments), TEST(messages_up_to_the_limit_are_taken),
	TEST(each_broken_rule_has_its_close_code), TEST(fragments_together_are_limited_too),
	TEST(the_server_closes_with_a_code_and_waits_for_the_answer),
	TEST(a_client_that_does_not_answer_the_close_is_cut),
	TEST(a_slow_reader_is_closed_with_1013), TEST(a_slow_reader_that_stays_away_is_cut),
	TEST(pings_wait_until_their_pongs_are_read),
	TEST(a_quiet_client_is_pinged_and_then_dropped),
	TEST(a_handshake_whose_client_is_gone_gives_no_socket),
	TEST(stopping_the_server_ends_its_sockets))
