/* HTTP/1.1 on libevent: a route table, requests that may be answered later, problem answers, streams.
 * Everything here is [net loop]. The program ignores SIGPIPE.
 *
 * A strict parser (net/guard.h) reads each connection and is the only one that does: what RFC 9112 forbids or
 * the limits do not allow is refused with a problem answer (RFC 9457) and the connection closed. evhttp is not
 * used: its second, lenient parser, its HTML error pages and its freeing of requests under a waiting
 * application are what this room promises against, and it cannot work behind a bufferevent filter (it frees
 * the filter while the answer is still unsent below it). */
#pragma once

#include <event2/event.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/json.h"

struct http_server;
struct http_request;

struct http_limits {
	int64_t body_bytes;   /* 413 above */
	int64_t header_bytes; /* request line and header fields together: 431 above */
	int64_t connections;  /* above: 503 with Retry-After and close */
	/* A connection without a request is closed after it, one in the middle of a request gets 408, one that
	 * takes nothing of what is sent to it is dropped. */
	int64_t idle_ms;
	int64_t backlog_bytes; /* unsent bytes after which a stream or WebSocket is dropped */
};

enum { HTTP_STATUSES_MAX = 8 };

/* What openapi.json and asyncapi.json tell of a route. Names are those of net/api.json; lists are divided by blanks. */
struct http_doc {
	const char *tag;
	const char *parameters; /* in query and headers; those of the path stand in the path */
	const char *body;	/* schema of the JSON that is asked for; NULL: none */
	const char *answer;	/* schema of the JSON of 200 and 202 */
	const char *type;	/* content type of 200 where it is not JSON */
	const char *trouble;	/* schema of 503 where it is no problem */
	const char *messages;	/* of a WebSocket: their schemas */
	int statuses[HTTP_STATUSES_MAX]; /* that its handler answers with; 0 ends them */
};

/* One route. `path` may hold one-segment parameters in braces, "/orders/{id}", and at its end one that takes
 * all that follows, "/static/{file...}". A parameter is never empty. */
struct http_route {
	const char *method, *path;
	const char *summary;
	void (*handle)(void *app, struct http_request *req);
	struct http_doc doc;
};

/* `routes` ends in a NULL path and outlives the server. HEAD is answered where GET is. 404 and 405 (with
 * Allow) are problem answers. So is 403 for a request other than GET and HEAD from a page of another origin. */
int http_create(struct event_base *base, const struct http_route *routes, void *app,
	const struct http_limits *limits, struct http_server **ret, struct err *e);
void http_destroy(struct http_server *s);
/* *ret_port: the port that was bound, for port 0. On a loopback address a request may name only the hosts
 * localhost, 127.0.0.1, [::1], `host` and those of http_allow_host(): 403 keeps DNS rebinding out. */
int http_listen(
	struct http_server *s, const char *host, uint16_t port, uint16_t *ret_port, struct err *e);
/* As http_listen() does, on a socket that listens already; takes it. A name for it stands for no more than the address. */
int http_listen_on(struct http_server *s, int fd, uint16_t *ret_port, struct err *e);
bool http_is_loopback(const struct sockaddr *a);
/* One more host name, without port, that requests over loopback may name. -ENOSPC, -ENOMEM. */
int http_allow_host(struct http_server *s, const char *host);
/* From now on requests other than GET and HEAD are answered with 403 and `reason`, which is borrowed. */
void http_set_read_only(struct http_server *s, const char *reason);
/* Before http_drain(), for a while: no new connections, and those that are idle after an answer are closed, as each is
 * after its next one; requests are handed on as ever. How many connections have had no answer yet: whoever came before
 * the end shall have one. To be called again until there are none, or it takes too long. */
size_t http_last_calls(struct http_server *s);
/* No new connections; those that are idle are closed, those with a request after its answer. */
void http_drain(struct http_server *s);
size_t http_connections(const struct http_server *s);
/* Called when a request is answered, or its stream begun: for the access counters. `route` is NULL when none
 * matched; `status` is 499 when the client went before the answer. */
void http_on_done(struct http_server *s, void (*on_done)(void *app, const struct http_route *route,
						 int status, int64_t duration_us));

/* --- a request: valid until it is answered, whether or not the client is still there --- */

/* A request is answered exactly once, now or later. When its client has gone, or the server was destroyed, it
 * takes its answer and drops it. */

struct str http_param(struct http_request *req, const char *name); /* from the path, decoded */
struct str http_query(
	struct http_request *req, const char *name); /* decoded; absent str when not there */
struct str http_header(struct http_request *req, const char *name);
struct str http_body(struct http_request *req);
/* Whether Content-Type is JSON (application/json or any +json). */
bool http_is_json(struct http_request *req);
/* Becomes true when the client goes. [any thread] Borrowed until the request is answered. */
const atomic_bool *http_unwanted(const struct http_request *req);
/* For the answer; before it. Copies. A value with control characters is left out. Content-Type, Date,
 * Content-Length, Connection and the safety headers come by themselves; `Cache-Control: no-store` and, for 429
 * and 503, `Retry-After: 1` do unless they were added here. */
void http_add_header(struct http_request *req, const char *name, const char *value);

/* Each of these answers the request and ends it. They take the content of `body` and leave it empty; a
 * failed buffer becomes a 503. */
void http_reply(struct http_request *req, int status, const char *content_type, struct buf *body);
void http_reply_json(struct http_request *req, int status, struct buf *body);
/* application/problem+json. `detail` is one sentence. */
void http_problem(struct http_request *req, int status, const char *detail, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with `errors`: JSON array text of {"pointer","detail"}. */
void http_problem_errors(
	struct http_request *req, int status, const char *detail, struct str errors);
/* "Not Found" */
const char *http_title(int status);

/* --- a stream: an answer that goes on (SSE) --- */

struct http_stream;

/* Answers 200 and keeps the connection. `on_close` is called once when the client is gone or was dropped,
 * not after http_stream_end(); the stream is gone with it. NULL: the request is answered and there is nothing
 * to follow (HEAD, the client has gone, no memory); `on_close` will not be called. */
struct http_stream *http_stream_start(
	struct http_request *req, const char *content_type, void (*on_close)(void *arg), void *arg);
/* Returns false when the client is too slow: it was dropped, `on_close` has been called. */
bool http_stream_send(struct http_stream *s, struct str data);
/* Bytes that wait for the client to take them. */
size_t http_stream_unsent(const struct http_stream *s);
void http_stream_end(struct http_stream *s);
