/* Answers: the head with the headers every answer carries, whole bodies, and problem documents (RFC 9457). */
#include <assert.h>
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "net/conn.h"

enum { BY_REFERENCE_BYTES = 16 << 10 };

static const struct {
	int status;
	const char *title;
} statuses[] = {
	{101, "Switching Protocols"},
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{304, "Not Modified"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{422, "Unprocessable Content"},
	{426, "Upgrade Required"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

/* On every answer: the client is one origin without inline scripts, and nobody else may frame or read it. */
static const char safety[] =
	"Content-Security-Policy: default-src 'self'; img-src 'self' data:; connect-src 'self'; "
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'\r\n"
	"X-Content-Type-Options: nosniff\r\n"
	"Referrer-Policy: no-referrer\r\n"
	"Cross-Origin-Opener-Policy: same-origin\r\n"
	"Cross-Origin-Resource-Policy: same-origin\r\n";

const char *http_title(int status)
{
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (statuses[i].status == status)
			return statuses[i].title;
	return "Unknown";
}

static const char *date_now(struct http_server *s)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = (time_t)(clock_wall_us() / 1000000);
	struct tm t;

	if (now == s->date_s)
		return s->date;
	s->date_s = now;
	gmtime_r(&now, &t);
	snprintf(s->date, sizeof s->date, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday],
		t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
	return s->date;
}

static bool has_body(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

static bool is_head(const struct http_request *req)
{
	return str_is(guard_str(&req->guard, req->guard.method), "HEAD");
}

static bool keeps_alive(const struct http_request *req)
{
	return !req->must_close && !req->conn->server->is_draining &&
	       guard_keeps_alive(&req->guard);
}

bool reply_is_chunked(const struct http_request *req)
{
	return req->guard.minor == 1;
}

static void add_framing(struct http_request *req, struct buf *b, int status, int64_t length)
{
	if (status == 101)
		return;
	if (has_body(status) && length >= 0) {
		buf_text(b, "Content-Length: ");
		buf_int(b, length);
		buf_text(b, "\r\n");
	} else if (has_body(status) && reply_is_chunked(req)) {
		buf_text(b, "Transfer-Encoding: chunked\r\n");
	}
	if (!keeps_alive(req) || length < 0)
		buf_text(b, "Connection: close\r\n");
	else if (req->guard.minor == 0)
		buf_text(b, "Connection: keep-alive\r\n");
}

static void add_field(struct buf *b, const char *name, const char *value)
{
	buf_text(b, name);
	buf_text(b, value);
	buf_text(b, "\r\n");
}

bool reply_head(struct http_request *req, int status, const char *content_type, int64_t length)
{
	struct http_server *s = req->conn->server;
	struct buf *b = &s->head;

	buf_clear(b);
	buf_text(b, "HTTP/1.1 ");
	buf_int(b, status);
	buf_char(b, ' ');
	buf_text(b, http_title(status));
	add_field(b, "\r\nDate: ", date_now(s));
	if (content_type && has_body(status))
		add_field(b, "Content-Type: ", content_type);
	if (!req->has_cache_control && status != 101)
		buf_text(b, "Cache-Control: no-store\r\n");
	if (!req->has_retry_after && (status == 503 || status == 429))
		buf_text(b, "Retry-After: 1\r\n");
	add_framing(req, b, status, length);
	buf_add(b, safety, sizeof safety - 1);
	buf_str(b, buf_view(&req->extra));
	buf_add(b, "\r\n", 2);
	return !b->failed && !req->extra.failed &&
	       evbuffer_add(bufferevent_get_output(req->conn->bev), b->data, b->len) == 0;
}

static void free_body(const void *data, size_t n, void *arg)
{
	(void)n;
	(void)arg;
	free((void *)data);
}

/* Takes the content of `body`. */
static bool send_body(struct evbuffer *out, struct buf *body)
{
	size_t n;
	char *data;

	if (body->len < BY_REFERENCE_BYTES)
		return evbuffer_add(out, body->data, body->len) == 0;
	data = buf_steal(body, &n);
	if (data && evbuffer_add_reference(out, data, n, free_body, NULL) == 0)
		return true;
	free(data);
	return false;
}

/* Writes head and body and hands the connection back. Half an answer cannot be repaired: without memory in
 * the middle of it the connection ends. */
static void send_answer(
	struct http_request *req, int status, const char *content_type, struct buf *body)
{
	struct conn *c = req->conn;
	bool keep_alive = keeps_alive(req), ok;

	ok = reply_head(req, status, content_type, (int64_t)body->len);
	if (ok && body->len && has_body(status) && !is_head(req))
		ok = send_body(bufferevent_get_output(c->bev), body);
	if (!ok) {
		conn_kill(c);
		request_free(req);
		return;
	}
	request_done(req, status);
	conn_send(c);
	conn_answered(c, keep_alive);
}

void http_reply(struct http_request *req, int status, const char *content_type, struct buf *body)
{
	if (!req->conn)
		request_free(req);
	else if (body->failed)
		http_problem(req, 503, "The server is out of memory.");
	else
		send_answer(req, status, content_type, body);
	buf_fini(body);
}

void http_reply_json(struct http_request *req, int status, struct buf *body)
{
	http_reply(req, status, "application/json", body);
}

void http_problem_errors(
	struct http_request *req, int status, const char *detail, struct str errors)
{
	struct buf body = {0};
	struct json_writer w = {&body, false};

	json_open(&w, '{');
	json_key(&w, "type");
	json_text(&w, "about:blank");
	json_key(&w, "title");
	json_text(&w, http_title(status));
	json_key(&w, "status");
	json_int(&w, status);
	json_key(&w, "detail");
	json_text(&w, detail);
	if (errors.n) {
		json_key(&w, "errors");
		json_raw(&w, errors);
	}
	json_close(&w, '}');
	if (body.failed && req->conn)
		conn_kill(req->conn);
	body.failed = false;
	http_reply(req, status, "application/problem+json", &body);
}

void http_problem(struct http_request *req, int status, const char *detail, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, detail);
	vsnprintf(text, sizeof text, detail, ap);
	va_end(ap);
	http_problem_errors(req, status, text, (struct str){0});
}
