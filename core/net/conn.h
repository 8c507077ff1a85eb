/* The inside of a connection: what the files of this room that read and answer on it share. [net loop]
 *
 * A connection reads one request at a time through its guard, hands it to the router, waits for the answer,
 * and goes on, closes, or is taken over by a stream or a WebSocket. It is freed only by the reaper, between
 * two rounds of the loop, so whoever calls conn_kill() may still hold it until he returns. */
#pragma once

#include <event2/bufferevent.h>
#include <stdatomic.h>

#include "net/guard.h"
#include "net/http.h"

enum { CONN_LISTENERS_MAX = 8, HOSTS_MAX = 16, PARAMS_MAX = 4, QUERIES_MAX = 16 };

enum conn_state {
	CONN_READING,	/* a request, or waiting for one */
	CONN_HANDLING,	/* the application has it */
	CONN_TAKEN,	/* by a stream or a WebSocket */
	CONN_CLOSING,	/* the last bytes go out */
	CONN_LINGERING, /* all is sent; reads the rest away, so that no reset overtakes the answer */
	CONN_DEAD,
};

/* What a stream or a WebSocket does with the connection it has taken. None of these may free the connection;
 * conn_close() and conn_kill() are fine. */
struct conn_taker {
	void (*on_readable)(void *arg); /* also when all is sent and something is left to read */
	void (*on_tick)(void *arg, int64_t now_ms);
	void (*on_gone)(void *arg); /* the last call; `arg` may be freed in it */
};

struct conn {
	struct conn *next;
	struct conn *next_to_send,
		**to_send; /* `to_send`: the place in the list that points here; NULL: in none */
	struct http_server *server;
	struct bufferevent *bev;
	struct http_request *req;
	enum conn_state state;
	bool checks_host;	/* came in over a loopback listener */
	bool is_in_loop;	/* requests are being read right now, further down the stack */
	bool is_in_request;	/* its first byte has come */
	bool was_answered;	/* at least once */
	bool at_eof;		/* the client sends no more */
	bool is_reading_paused; /* enough waits in the input */
	int64_t deadline_ms;	/* 0: none */
	int64_t stalled_ms;	/* since when the client has taken nothing of `unsent` */
	size_t unsent, discarded;
	const struct conn_taker *taker;
	void *taken_by;
};

struct http_pair {
	struct str name, value;
};

/* Lives in its connection from one request to the next. When the client goes while the application holds
 * the request, `conn` becomes NULL and the answer frees it. */
struct http_request {
	struct conn *conn;
	atomic_bool is_unwanted; /* `conn` has become NULL; also for other threads */
	struct guard guard;
	const struct http_route *route;
	struct http_pair params[PARAMS_MAX], queries[QUERIES_MAX];
	size_t n_params, n_queries;
	struct buf extra; /* header lines of the answer */
	bool has_cache_control, has_retry_after, must_close;
	int64_t started_us;
};

struct listener {
	struct http_server *server;
	struct evconnlistener *lev;
	bool is_loopback;
};

struct http_server {
	struct event_base *base;
	const struct http_route *routes;
	void *app;
	struct http_limits limits;
	struct listener listeners[CONN_LISTENERS_MAX];
	size_t n_listeners;
	/* The hosts a request over loopback may name, without port: keeps foreign pages out whose own name
	 * was made to resolve to this machine (DNS rebinding). */
	char *hosts[HOSTS_MAX];
	size_t n_hosts;
	struct conn *conns;
	size_t n_conns;
	struct conn *to_send; /* before this round of the loop is over */
	struct event *sweep, *reap, *send;
	const char *read_only; /* why nothing but GET is answered; NULL: it is */
	bool is_draining, are_listeners_paused;
	int64_t sweep_ms, last_accept_error_ms;
	void (*on_done)(void *app, const struct http_route *route, int status, int64_t duration_us);
	struct buf head; /* scratch: the head that is being written */
	int64_t date_s;
	char date[40];
};

struct conn *conn_create(struct http_server *s, int fd, bool checks_host);
/* The request was answered; reads the next one, or closes when `keep_alive` is false. */
void conn_answered(struct conn *c, bool keep_alive);
/* Sends what is to be sent, then closes. A taker is told that it is over. */
void conn_close(struct conn *c);
/* Closes now. */
void conn_kill(struct conn *c);
/* What is to be sent goes out at once; what the socket does not take now waits until it does. */
void conn_send(struct conn *c);
/* The same before this round of the loop is over, together with what else it adds to the output until then. */
void conn_send_soon(struct conn *c);
/* Does so. */
void conn_send_all(struct http_server *s);
void conn_take(struct conn *c, const struct conn_taker *taker, void *arg);
void conn_tick(struct conn *c, int64_t now_ms);
void conn_free(struct conn *c);
/* Whether nothing is going on in it. */
bool conn_is_idle(const struct conn *c);
size_t conn_unsent(const struct conn *c);

struct http_request *request_create(struct conn *c);
void request_reset(struct http_request *req);
void request_free(struct http_request *req);
/* The request was answered: tells who counts, and the connection. */
void request_done(struct http_request *req, int status);

/* Finds the route and calls it, or answers with what is wrong. */
void route_request(struct http_request *req);

/* Writes the head of an answer; `length` -1: chunked when the client can. Returns false without memory. */
bool reply_head(struct http_request *req, int status, const char *content_type, int64_t length);
bool reply_is_chunked(const struct http_request *req);

/* Whether an Origin field is absent or names the host of the request itself. */
bool request_is_same_origin(struct http_request *req);
