/* HTTP on libevent: a route table, requests that may be answered later, problem answers, streams.
 * Everything here is [net loop].
 *
 * A guard reads each connection before evhttp does and refuses what RFC 9112 forbids or the limits do not
 * allow, so that every refusal is a problem answer too (RFC 9457) and evhttp sees well-formed requests only. */
#pragma once

#include <event2/event.h>

#include "base/json.h"

struct http_server;
struct http_request;

struct http_limits {
	int64_t body_bytes;   /* 413 above */
	int64_t header_bytes; /* request line and header fields together: 431 above */
	int64_t connections;  /* above: 503 with Retry-After and close */
	int64_t idle_ms; /* a connection without a request, or in the middle of one, is closed */
	int64_t backlog_bytes; /* unsent bytes after which a stream or WebSocket is dropped */
};

/* One route. `path` may hold one-segment parameters in braces: "/orders/{id}". */
struct http_route {
	const char *method, *path;
	const char *summary; /* for openapi.json */
	void (*handle)(void *app, struct http_request *req);
};

/* `routes` ends in a NULL path and outlives the server. HEAD is answered where GET is. 404 and 405 (with
 * Allow) are problem answers. */
int http_create(struct event_base *base, const struct http_route *routes, void *app,
	const struct http_limits *limits, struct http_server **ret, struct err *e);
void http_destroy(struct http_server *s);
/* *ret_port: the port that was bound, for port 0. */
int http_listen(
	struct http_server *s, const char *host, uint16_t port, uint16_t *ret_port, struct err *e);
/* No new connections; those that are idle are closed, those with a request after its answer. */
void http_drain(struct http_server *s);
size_t http_connections(const struct http_server *s);
/* Called when a request is done: for the access counters. `route` is NULL when none matched. */
void http_on_done(struct http_server *s, void (*on_done)(void *app, const struct http_route *route,
						 int status, int64_t duration_us));

/* --- a request: valid until it is answered, whether or not the client is still there --- */

struct str http_param(struct http_request *req, const char *name); /* from the path, decoded */
struct str http_query(
	struct http_request *req, const char *name); /* decoded; absent str when not there */
struct str http_header(struct http_request *req, const char *name);
struct str http_body(struct http_request *req);
/* For the answer; before it. Copies. */
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

/* --- a stream: an answer that goes on (SSE) --- */

struct http_stream;

/* Answers 200 and keeps the connection. `on_close` is called once when the client is gone or was dropped,
 * not after http_stream_end(). */
struct http_stream *http_stream_start(
	struct http_request *req, const char *content_type, void (*on_close)(void *arg), void *arg);
/* Returns false when the client is too slow: it was dropped, `on_close` has been called. */
bool http_stream_send(struct http_stream *s, struct str data);
void http_stream_end(struct http_stream *s);
