/* The server over real sockets: routing, answers, limits, clients that misbehave or vanish, streams. */
#include <stdatomic.h>

#include "wire.h"

static const struct http_limits limits = {.body_bytes = 65536,
	.header_bytes = 8192,
	.connections = 50,
	.idle_ms = 5000,
	.backlog_bytes = 256 << 10};

/* Only the loop touches these while it runs; tests read them after served_call() or served_stop(). */
static struct http_request *held[8];
static atomic_size_t n_held;
static struct http_stream *_Atomic stream;
static atomic_int n_closed;
static atomic_int last_status;
static const struct http_route *_Atomic last_route;

static void on_hello(void *app, struct http_request *req)
{
	struct buf b = {0};

	(void)app;
	buf_text(&b, "hello");
	http_add_header(req, "X-Test", "yes");
	http_add_header(req, "X-Bad", "a\r\nInjected: 1");
	http_reply(req, 200, "text/plain", &b);
}

static void on_echo(void *app, struct http_request *req)
{
	struct buf b = {0};
	struct str q = http_query(req, "q"), id = http_param(req, "id"), body = http_body(req);

	(void)app;
	buf_fmt(&b, "[%.*s|%.*s|%.*s|%s]", (int)id.n, id.p, q.p ? (int)q.n : 1, q.p ? q.p : "-",
		(int)body.n, body.p, http_is_json(req) ? "json" : "");
	http_reply(req, 200, "text/plain", &b);
}

static void on_size(void *app, struct http_request *req)
{
	struct buf b = {0};

	(void)app;
	buf_fmt(&b, "%zu", http_body(req).n);
	http_reply(req, 200, "text/plain", &b);
}

static void on_big(void *app, struct http_request *req)
{
	struct buf b = {0};

	(void)app;
	memset(buf_reserve(&b, 200000), 'x', 200000);
	b.len = 200000;
	http_reply(req, 200, "text/plain", &b);
}

static void on_failed(void *app, struct http_request *req)
{
	struct buf b = {.failed = true};

	(void)app;
	http_reply(req, 200, "text/plain", &b);
}

static void on_later(void *app, struct http_request *req)
{
	(void)app;
	held[n_held] = req;
	n_held++;
}

static void on_wrong(void *app, struct http_request *req)
{
	(void)app;
	http_problem_errors(req, 422, "It has \"faults\".", STR("[{\"pointer\":\"/a\"}]"));
}

static void on_stream_close(void *arg)
{
	n_closed += arg == &stream;
	stream = NULL;
}

static void on_stream(void *app, struct http_request *req)
{
	(void)app;
	stream = http_stream_start(req, "text/event-stream", on_stream_close, &stream);
	if (stream)
		http_stream_send(stream, STR("data: 1\n\n"));
}

static const struct http_route routes[] = {
	{"GET", "/", "", on_hello},
	{"GET", "/hello", "", on_hello},
	{"GET", "/items/{id}", "", on_echo},
	{"POST", "/items/{id}", "", on_echo},
	{"GET", "/items/{id}/parts", "", on_hello},
	{"GET", "/files/{id...}", "", on_echo},
	{"POST", "/size", "", on_size},
	{"GET", "/big", "", on_big},
	{"GET", "/failed", "", on_failed},
	{"GET", "/later", "", on_later},
	{"POST", "/later", "", on_later},
	{"GET", "/wrong", "", on_wrong},
	{"GET", "/stream", "", on_stream},
	{NULL},
};

static void on_done(void *app, const struct http_route *route, int status, int64_t duration_us)
{
	(void)app;
	(void)duration_us;
	last_route = route;
	last_status = status;
}

static void count_requests(struct served *s)
{
	http_on_done(s->http, on_done);
}

static void start(struct served *s, const struct http_limits *l)
{
	n_held = 0;
	n_closed = 0;
	stream = NULL;
	served_start(s, routes, l);
	served_call(s, count_requests);
}

static void nothing(struct served *s)
{
	(void)s;
}

static void answer_held(struct served *s)
{
	(void)s;
	for (size_t i = 0; i < n_held; i++) {
		struct buf b = {0};

		buf_fmt(&b, "held %zu", i);
		http_reply(held[i], 200, "text/plain", &b);
	}
	n_held = 0;
}

static void wait_for_held(struct served *s, size_t n)
{
	do
		served_call(s, nothing);
	while (n_held < n);
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

#define GET(path)	       "GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define GET_WITH(path, fields) "GET " path " HTTP/1.1\r\nHost: localhost\r\n" fields "\r\n"
#define POST_WITH(path, fields, body)                                                              \
	"POST " path " HTTP/1.1\r\nHost: localhost\r\n" fields "\r\n" body

/* Asks one connection one thing after the other. */
static void requests_reach_their_route(void)
{
	static const struct {
		const char *request;
		int status;
		const char *has;
	} cases[] = {
		{GET("/"), 200, "hello"},
		{GET("/hello?x"), 200, "X-Test: yes\r\n"},
		{GET("/items/7?q=a+b%26c&r=1"), 200, "[7|a b&c|"},
		{GET("/items/a%2Fb%20c"), 200, "[a/b c|-|"},
		{GET("/items/7?q"), 200, "[7||"},
		{GET("/items/7/parts"), 200, "hello"},
		{GET("/files/a/b/c.txt"), 200, "[a/b/c.txt|"},
		{POST_WITH("/items/7",
			 "Content-Length: 3\r\nContent-Type: application/json; charset=utf-8\r\n",
			 "abc"),
			200, "[7|-|abc|json]"},
		{POST_WITH("/items/7", "Transfer-Encoding: chunked\r\n",
			 "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
			200, "[7|-|abc|]"},
		{"GET http://LOCALHOST/hello HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, "hello"},
		{GET("/nothing"), 404, "\"status\":404"},
		{GET("/hello/"), 404, ""},
		{GET("/items/"), 404, ""},
		{GET("//hello"), 404, ""},
		{GET("/.refused/413"), 404, ""},
		{POST_WITH("/hello", "Content-Length: 0\r\n", ""), 405, "\r\nAllow: GET, HEAD\r\n"},
		{"BREW /items/7 HTTP/1.1\r\nHost: localhost\r\n\r\n", 405,
			"\r\nAllow: GET, HEAD, POST\r\n"},
		{GET("/items/%zz"), 400, ""},
		{GET("/items/%4"), 400, ""},
		{GET("/items/%00"), 400, ""},
		{GET("/items/%ff"), 400, ""},
		{GET("/items/7?q=%0a"), 400, ""},
		{GET("/wrong"), 422,
			"\"detail\":\"It has \\\"faults\\\".\",\"errors\":[{\"pointer\":\"/a\"}]}"},
		{GET("/failed"), 503, "\r\nRetry-After: 1\r\n"},
	};
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CHECK_INT(wire_ask(w, cases[i].request, text, sizeof text), cases[i].status);
		if (!strstr(text, cases[i].has))
			printf("\n  %.60s has no %s in %s", cases[i].request, cases[i].has, text);
		CHECK(strstr(text, cases[i].has) != NULL);
		CHECK((cases[i].status >= 400) ==
			!!strstr(text, "Content-Type: application/problem+json\r\n"));
	}
	wire_close(w);
	served_stop(&s);
}

static void every_answer_carries_the_safety_headers(void)
{
	static const char *const want[] = {"Content-Security-Policy: default-src 'self';",
		"frame-ancestors 'none'", "X-Content-Type-Options: nosniff\r\n",
		"Referrer-Policy: no-referrer\r\n", "Cross-Origin-Opener-Policy: same-origin\r\n",
		"Cache-Control: no-store\r\n", "Date: "};
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	CHECK_INT(wire_ask(w, GET("/"), text, sizeof text), 200);
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		CHECK(strstr(text, want[i]) != NULL);
	CHECK(strstr(text, "Injected") == NULL);
	CHECK(strstr(text, "unsafe-inline") == NULL);
	wire_close(w);
	served_stop(&s);
}

static void head_is_get_without_the_body(void)
{
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	CHECK_INT(wire_ask(w, "HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", text, sizeof text),
		200);
	CHECK(strstr(text, "Content-Length: 5\r\n") != NULL);
	CHECK_INT(wire_ask(w, GET("/hello"), text, sizeof text), 200);
	CHECK_INT(
		wire_ask(w, "HEAD /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", text, sizeof text),
		200);
	CHECK(wire_is_closed(w));
	wire_close(w);
	served_stop(&s);
}

static void pipelined_requests_are_answered_in_order(void)
{
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	CHECK(wire_send(w, GET("/later") GET("/hello") GET("/big") GET("/later")
				   POST_WITH("/items/x", "Content-Length: 2\r\n", "hi") "BAD\r\n"));
	wait_for_held(&s, 1);
	served_call(&s, answer_held);
	CHECK_INT(wire_answer(w, false, text, sizeof text), 200);
	CHECK(strstr(text, "held 0") != NULL);
	CHECK_INT(wire_answer(w, false, text, sizeof text), 200);
	CHECK(strstr(text, "hello") != NULL);
	CHECK_INT(wire_answer(w, false, NULL, 0), 200);
	wait_for_held(&s, 1);
	served_call(&s, answer_held);
	CHECK_INT(wire_answer(w, false, text, sizeof text), 200);
	CHECK_INT(wire_answer(w, false, text, sizeof text), 200);
	CHECK(strstr(text, "|hi|") != NULL);
	CHECK_INT(wire_answer(w, false, text, sizeof text), 400);
	CHECK(strstr(text, "Connection: close\r\n") != NULL);
	CHECK(wire_is_closed(w));
	wire_close(w);
	served_stop(&s);
}

static void the_connection_ends_when_the_request_says_so(void)
{
	static const char *const closing[] = {GET_WITH("/hello", "Connection: close\r\n"),
		GET_WITH("/big", "Connection: close\r\n"), "GET /hello HTTP/1.0\r\n\r\n"};
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	for (size_t i = 0; i < ARRAY_LEN(closing); i++) {
		w = wire_open(&s);
		CHECK_INT(wire_ask(w, closing[i], text, sizeof text), 200);
		CHECK(strstr(text, "Connection: close\r\n") != NULL);
		CHECK(wire_is_closed(w));
		wire_close(w);
	}
	w = wire_open(&s);
	for (int i = 0; i < 3; i++)
		CHECK_INT(wire_ask(w, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", text,
				  sizeof text),
			200);
	CHECK(strstr(text, "Connection: keep-alive\r\n") != NULL);
	wire_close(w);
	served_stop(&s);
}

static void a_client_that_only_closed_its_side_is_answered(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = wire_open(&s);
	CHECK(wire_send(w, GET("/later") GET("/hello")));
	wait_for_held(&s, 1);
	shutdown(w->fd, SHUT_WR);
	served_call(&s, nothing);
	served_call(&s, answer_held);
	CHECK_INT(wire_answer(w, false, NULL, 0), 200);
	CHECK_INT(wire_answer(w, false, NULL, 0), 200);
	CHECK(wire_is_closed(w));
	wire_close(w);
	served_stop(&s);
}

static void a_held_request_outlives_its_client(void)
{
	struct served s;
	struct wire *w[4];

	start(&s, &limits);
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		w[i] = wire_open(&s);
		CHECK(wire_send(w[i], i % 2 ? POST_WITH("/later", "Content-Length: 4\r\n", "body")
					    : GET("/later")));
		wait_for_held(&s, i + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		wire_vanish(w[i]);
	wait_for_connections(&s, 0);
	CHECK_INT(last_status, 499);
	CHECK_TEXT(last_route->path, "/later");
	CHECK(str_is(http_body(held[1]), "body"));
	served_call(&s, answer_held);
	w[0] = wire_open(&s);
	CHECK_INT(wire_ask(w[0], GET("/hello"), NULL, 0), 200);
	wire_close(w[0]);
	served_stop(&s);
}

static void a_held_request_outlives_the_server(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = wire_open(&s);
	CHECK(wire_send(w, GET("/later") GET("/later")));
	wait_for_held(&s, 1);
	served_stop(&s);
	answer_held(NULL);
	wire_close(w);
}

static void clients_that_vanish_midway_leave_nothing(void)
{
	static const char request[] =
		POST_WITH("/size", "Content-Length: 9\r\n", "123456789") GET("/big") GET("/hello");
	struct served s;

	start(&s, &limits);
	for (size_t n = 0; n < sizeof request; n++) {
		struct wire *w = wire_open(&s);

		CHECK(wire_send_bytes(w, request, n));
		n % 2 ? wire_vanish(w) : wire_close(w);
	}
	wait_for_connections(&s, 0);
	served_stop(&s);
}

/* --- limits --- */

static int status_of_closing(struct served *s, const char *request, size_t n)
{
	struct wire *w = wire_open(s);
	char text[8192];
	int status;

	wire_send_bytes(w, request, n);
	status = wire_answer(w, false, text, sizeof text);
	CHECK(status < 400 || strstr(text, "application/problem+json") != NULL);
	CHECK(status < 400 || strstr(text, "Connection: close\r\n") != NULL);
	shutdown(w->fd, SHUT_WR);
	CHECK(wire_is_closed(w));
	CHECK_INT(w->n, 0);
	wire_close(w);
	return status;
}

static void what_the_guard_refuses_is_a_problem_and_closes(void)
{
	static const struct {
		const char *request;
		int status;
	} cases[] = {
		{"nonsense\r\n", 400},
		{"GET / HTTP/1.1\n\n", 400},
		{"GET / HTTP/3.0\r\n\r\n", 505},
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{GET_WITH("/", "Host: localhost\r\n"), 400},
		{GET_WITH("/", "A : b\r\n"), 400},
		{POST_WITH("/size", "Content-Length: 1\r\nContent-Length: 1\r\n", "x"), 400},
		{POST_WITH("/size", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
			 "0\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
			400},
		{POST_WITH("/size", "Transfer-Encoding: gzip\r\n", "x"), 501},
		{POST_WITH("/size", "Transfer-Encoding: chunked\r\n", "5\r\nabc" GET("/hello")),
			400},
		{POST_WITH("/size", "Expect: miracles\r\nContent-Length: 1\r\n", "x"), 417},
		{POST_WITH("/size", "Expect: 100-continue\r\nContent-Length: 65537\r\n", ""), 413},
		{POST_WITH("/size", "Content-Length: 65537\r\n", ""), 413},
		{POST_WITH("/size", "Transfer-Encoding: chunked\r\n", "10001\r\n"), 413},
	};
	struct served s;

	start(&s, &limits);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_INT(status_of_closing(&s, cases[i].request, strlen(cases[i].request)),
			cases[i].status);
	served_stop(&s);
}

static void a_body_over_the_limit_is_413_even_for_who_sends_first_and_reads_then(void)
{
	static const size_t sizes[] = {65537, 1 << 20, 4 << 20};
	struct served s;

	start(&s, &limits);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct buf b = {0};

		buf_fmt(&b, "POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
			sizes[i]);
		memset(buf_reserve(&b, sizes[i]), 'x', sizes[i]);
		b.len += sizes[i];
		CHECK_INT(status_of_closing(&s, b.data, b.len), 413);
		buf_fini(&b);
	}
	served_stop(&s);
}

static void a_body_at_the_limit_passes(void)
{
	struct served s;
	struct wire *w;
	struct buf b = {0};
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	buf_text(&b, POST_WITH("/size", "Content-Length: 65536\r\n", ""));
	memset(buf_reserve(&b, 65536), 'x', 65536);
	b.len += 65536;
	CHECK(wire_send_bytes(w, b.data, b.len));
	CHECK_INT(wire_answer(w, false, text, sizeof text), 200);
	CHECK(strstr(text, "\r\n\r\n65536") != NULL);
	buf_fini(&b);
	wire_close(w);
	served_stop(&s);
}

static void a_head_over_the_limit_is_431(void)
{
	struct served s;
	struct buf b = {0};

	start(&s, &limits);
	buf_text(&b, "GET / HTTP/1.1\r\nHost: localhost\r\nX: ");
	memset(buf_reserve(&b, 1 << 20), 'x', 1 << 20);
	b.len += 1 << 20;
	CHECK_INT(status_of_closing(&s, b.data, b.len), 431);
	buf_fini(&b);
	served_stop(&s);
}

static void a_waiting_client_gets_100(void)
{
	struct served s;
	struct wire *w;
	char text[8192];

	start(&s, &limits);
	w = wire_open(&s);
	CHECK_INT(
		wire_ask(w, POST_WITH("/size", "Expect: 100-continue\r\nContent-Length: 3\r\n", ""),
			text, sizeof text),
		100);
	CHECK_INT(wire_ask(w, "abc", text, sizeof text), 200);
	CHECK(strstr(text, "\r\n\r\n3") != NULL);
	wire_close(w);
	served_stop(&s);
}

static void connections_above_the_limit_get_503(void)
{
	struct http_limits few = limits;
	struct served s;
	struct wire *w[3];
	char text[8192];

	few.connections = 2;
	start(&s, &few);
	for (size_t i = 0; i < 2; i++) {
		w[i] = wire_open(&s);
		CHECK_INT(wire_ask(w[i], GET("/hello"), NULL, 0), 200);
	}
	w[2] = wire_open(&s);
	CHECK_INT(wire_answer(w[2], false, text, sizeof text), 503);
	CHECK(strstr(text, "Retry-After: 1\r\n") != NULL);
	CHECK(wire_is_closed(w[2]));
	wire_close(w[2]);
	wait_for_connections(&s, 2);
	CHECK_INT(wire_ask(w[0], GET("/hello"), NULL, 0), 200);
	wire_close(w[0]);
	wait_for_connections(&s, 1);
	w[0] = wire_open(&s);
	CHECK_INT(wire_ask(w[0], GET("/hello"), NULL, 0), 200);
	wire_close(w[0]);
	wire_close(w[1]);
	served_stop(&s);
}

static void slow_and_idle_connections_end(void)
{
	struct http_limits quick = limits;
	struct served s;
	struct wire *silent, *slow, *used;
	char text[8192];

	quick.idle_ms = 200;
	start(&s, &quick);
	silent = wire_open(&s);
	slow = wire_open(&s);
	used = wire_open(&s);
	CHECK_INT(wire_ask(used, GET("/hello"), NULL, 0), 200);
	CHECK(wire_send(slow, "GET / HTTP/1.1\r\n"));
	CHECK_INT(wire_answer(slow, false, text, sizeof text), 408);
	CHECK(strstr(text, "application/problem+json") != NULL);
	CHECK(wire_is_closed(slow));
	CHECK(wire_is_closed(silent));
	CHECK_INT(silent->n, 0);
	CHECK(wire_is_closed(used));
	CHECK_INT(used->n, 0);
	wire_close(silent);
	wire_close(slow);
	wire_close(used);
	wait_for_connections(&s, 0);
	served_stop(&s);
}

/* Bytes that trickle in do not win time. */
static void a_slowloris_ends_in_time(void)
{
	struct http_limits quick = limits;
	struct timeval tick = {0, 20000};
	struct served s;
	struct wire *w;
	int n = 0;

	quick.idle_ms = 200;
	start(&s, &quick);
	w = wire_open(&s);
	setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
	CHECK(wire_send(w, "GET / HTTP/1.1\r\nX: "));
	while (n++ < 100 && wire_read(w) < 0 && wire_send(w, "x"))
		;
	CHECK(n > 2 && n < 50);
	CHECK(strncmp(w->in, "HTTP/1.1 408 ", 13) == 0);
	wire_close(w);
	served_stop(&s);
}

static void a_held_request_and_a_stream_outlast_the_idle_time(void)
{
	struct http_limits quick = limits;
	struct served s;
	struct wire *held_one, *streaming, *clock;

	quick.idle_ms = 100;
	start(&s, &quick);
	held_one = wire_open(&s);
	streaming = wire_open(&s);
	CHECK(wire_send(held_one, GET("/later")));
	CHECK(wire_send(streaming, GET("/stream")));
	CHECK(wire_wait_for(streaming, "data: 1"));
	wait_for_held(&s, 1);
	for (int i = 0; i < 3; i++) { /* three idle times pass */
		clock = wire_open(&s);
		CHECK(wire_is_closed(clock));
		wire_close(clock);
	}
	served_call(&s, answer_held);
	CHECK_INT(wire_answer(held_one, false, NULL, 0), 200);
	CHECK_INT(n_closed, 0);
	wire_close(held_one);
	wire_close(streaming);
	served_stop(&s);
	CHECK_INT(n_closed, 1);
}

static void a_reader_that_takes_nothing_is_dropped(void)
{
	struct http_limits quick = limits;
	struct served s;
	struct wire *w;

	quick.idle_ms = 200;
	start(&s, &quick);
	w = wire_open_slow(&s, 4096);
	for (int i = 0; i < 50; i++)
		wire_send(w, GET("/big"));
	CHECK(wire_read(w) > 0);
	wait_for_connections(&s, 0);
	wire_close(w);
	served_stop(&s);
}

/* --- who may ask --- */

static void allow_shop(struct served *s)
{
	CHECK_INT(http_allow_host(s->http, "shop.test"), 0);
}

static void pages_of_other_origins_and_other_names_are_refused(void)
{
	static const struct {
		const char *request;
		int status;
	} cases[] = {
		{POST_WITH("/size", "Origin: http://localhost\r\nContent-Length: 0\r\n", ""), 200},
		{POST_WITH("/size", "Origin: https://LOCALHOST\r\nContent-Length: 0\r\n", ""), 200},
		{POST_WITH("/size", "Origin: http://localhost:1\r\nContent-Length: 0\r\n", ""),
			403},
		{POST_WITH("/size", "Origin: http://evil.example\r\nContent-Length: 0\r\n", ""),
			403},
		{POST_WITH("/size", "Origin: null\r\nContent-Length: 0\r\n", ""), 403},
		{POST_WITH("/size", "Origin: \r\nContent-Length: 0\r\n", ""), 403},
		{GET_WITH("/hello", "Origin: http://evil.example\r\n"), 200},
		{"GET /hello HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n\r\n", 200},
		{"GET /hello HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n", 200},
		{"GET /hello HTTP/1.1\r\nHost: [::1]\r\n\r\n", 200},
		{"GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403},
		{"GET /hello HTTP/1.1\r\nHost: localhost.evil.example:80\r\n\r\n", 403},
		{"GET /hello HTTP/1.1\r\nHost: shop.test:80\r\n\r\n", 403},
	};
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = wire_open(&s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_INT(wire_ask(w, cases[i].request, NULL, 0), cases[i].status);
	served_call(&s, allow_shop);
	CHECK_INT(wire_ask(w, cases[ARRAY_LEN(cases) - 1].request, NULL, 0), 200);
	wire_close(w);
	served_stop(&s);
}

static uint16_t more_ports[3];

static void listen_more(struct served *s)
{
	CHECK_INT(http_listen(s->http, "localhost", 0, &more_ports[0], NULL), 0);
	CHECK_INT(http_listen(s->http, "127.0.0.2", 0, &more_ports[1], NULL), 0);
	if (http_listen(s->http, "[::1]", 0, &more_ports[2], NULL) < 0) /* a machine without IPv6 */
		more_ports[2] = 1;
}

static void several_addresses_serve_at_once(void)
{
	struct served s;

	start(&s, &limits);
	served_call(&s, listen_more);
	for (size_t i = 0; i < ARRAY_LEN(more_ports); i++)
		CHECK(more_ports[i] != 0 && more_ports[i] != s.port);
	served_stop(&s);
}

static void an_address_that_is_taken_is_refused_with_a_reason(void)
{
	struct served s;
	struct err e = {0};

	start(&s, &limits);
	CHECK_INT(http_listen(s.http, "127.0.0.1", s.port, NULL, &e), -EADDRINUSE);
	CHECK(strstr(e.text, "cannot listen on 127.0.0.1") != NULL);
	CHECK(http_listen(s.http, "no such host", 0, NULL, &e) < 0);
	served_stop(&s);
}

/* --- draining --- */

static void drain(struct served *s)
{
	http_drain(s->http);
}

static void draining_closes_idle_connections_and_answers_the_rest(void)
{
	struct served s;
	struct wire *idle, *busy;
	char text[8192];

	start(&s, &limits);
	idle = wire_open(&s);
	busy = wire_open(&s);
	CHECK_INT(wire_ask(idle, GET("/hello"), NULL, 0), 200);
	CHECK(wire_send(busy, GET("/later")));
	wait_for_held(&s, 1);
	served_call(&s, drain);
	CHECK(wire_is_closed(idle));
	served_call(&s, answer_held);
	CHECK_INT(wire_answer(busy, false, text, sizeof text), 200);
	CHECK(strstr(text, "Connection: close\r\n") != NULL);
	CHECK(wire_is_closed(busy));
	wire_close(idle);
	wire_close(busy);
	wait_for_connections(&s, 0);
	served_stop(&s);
}

static size_t n_unanswered; /* only the loop touches it while it runs */

static void last_calls(struct served *s)
{
	n_unanswered = http_last_calls(s->http);
}

static void at_last_calls_whoever_is_there_is_answered_once(void)
{
	struct served s;
	struct wire *idle, *fresh;
	char text[8192];

	start(&s, &limits);
	fresh = wire_open(&s);
	idle = wire_open(&s);
	CHECK_INT(wire_ask(idle, GET("/hello"), NULL, 0), 200);
	wait_for_connections(&s, 2);
	served_call(&s, last_calls);
	CHECK_INT(n_unanswered, 1);
	CHECK(wire_is_closed(idle));
	CHECK_INT(wire_ask(fresh, GET("/hello"), text, sizeof text), 200);
	CHECK(strstr(text, "Connection: close\r\n") != NULL);
	CHECK(wire_is_closed(fresh));
	served_call(&s, last_calls);
	CHECK_INT(n_unanswered, 0);
	wire_close(idle);
	wire_close(fresh);
	served_stop(&s);
}

/* --- streams --- */

static void send_second(struct served *s)
{
	(void)s;
	CHECK(http_stream_send(stream, STR("data: 2\n\n")));
}

static void end_stream(struct served *s)
{
	(void)s;
	http_stream_end(stream);
}

static void a_stream_is_chunks_until_it_ends(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = wire_open(&s);
	CHECK(wire_send(w, GET("/stream")));
	CHECK(wire_wait_for(w, "9\r\ndata: 1\n\n\r\n"));
	CHECK(strstr(w->in, "Transfer-Encoding: chunked\r\n") != NULL);
	CHECK(strstr(w->in, "Content-Type: text/event-stream\r\n") != NULL);
	served_call(&s, send_second);
	CHECK(wire_wait_for(w, "data: 2\n\n\r\n"));
	served_call(&s, end_stream);
	CHECK(wire_wait_for(w, "0\r\n\r\n"));
	CHECK(wire_is_closed(w));
	CHECK_INT(n_closed, 0);
	wire_close(w);
	w = wire_open(&s);
	CHECK(wire_send(w, "GET /stream HTTP/1.0\r\n\r\n"));
	CHECK(wire_wait_for(w, "\r\n\r\ndata: 1\n\n"));
	served_call(&s, end_stream);
	CHECK(wire_is_closed(w));
	wire_close(w);
	served_stop(&s);
}

static void the_owner_of_a_stream_hears_when_its_client_goes(void)
{
	struct served s;

	start(&s, &limits);
	for (int i = 0; i < 2; i++) {
		struct wire *w = wire_open(&s);

		CHECK(wire_send(w, GET("/stream") "and more that nobody reads"));
		CHECK(wire_wait_for(w, "data: 1"));
		i ? wire_vanish(w) : wire_close(w);
		wait_for_connections(&s, 0);
		CHECK_INT(n_closed, i + 1);
	}
	served_stop(&s);
}

static void flood_stream(struct served *s)
{
	static char event[4096];
	int n = 0;

	(void)s;
	memset(event, 'x', sizeof event);
	while (n < 10000 && stream && http_stream_send(stream, (struct str){event, sizeof event}))
		n++;
	CHECK(n >= 10 && n < 10000);
}

static void a_slow_reader_of_a_stream_is_dropped(void)
{
	struct served s;
	struct wire *w;

	start(&s, &limits);
	w = wire_open_slow(&s, 4096);
	CHECK(wire_send(w, GET("/stream")));
	CHECK(wire_wait_for(w, "data: 1"));
	served_call(&s, flood_stream);
	CHECK_INT(n_closed, 1);
	CHECK(stream == NULL);
	wait_for_connections(&s, 0);
	wire_close(w);
	served_stop(&s);
}

UNIT_MAIN("http", TEST(requests_reach_their_route), TEST(every_answer_carries_the_safety_headers),
	TEST(head_is_get_without_the_body), TEST(pipelined_requests_are_answered_in_order),
	TEST(the_connection_ends_when_the_request_says_so),
	TEST(a_client_that_only_closed_its_side_is_answered),
	TEST(a_held_request_outlives_its_client), TEST(a_held_request_outlives_the_server),
	TEST(clients_that_vanish_midway_leave_nothing),
	TEST(what_the_guard_refuses_is_a_problem_and_closes),
	TEST(a_body_over_the_limit_is_413_even_for_who_sends_first_and_reads_then),
	TEST(a_body_at_the_limit_passes), TEST(a_head_over_the_limit_is_431),
	TEST(a_waiting_client_gets_100), TEST(connections_above_the_limit_get_503),
	TEST(slow_and_idle_connections_end), TEST(a_slowloris_ends_in_time),
	TEST(a_held_request_and_a_stream_outlast_the_idle_time),
	TEST(a_reader_that_takes_nothing_is_dropped),
	TEST(pages_of_other_origins_and_other_names_are_refused),
	TEST(several_addresses_serve_at_once),
	TEST(an_address_that_is_taken_is_refused_with_a_reason),
	TEST(draining_closes_idle_connections_and_answers_the_rest),
	TEST(at_last_calls_whoever_is_there_is_answered_once),
	TEST(a_stream_is_chunks_until_it_ends),
	TEST(the_owner_of_a_stream_hears_when_its_client_goes),
	TEST(a_slow_reader_of_a_stream_is_dropped))
