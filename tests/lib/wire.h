/* A client made of raw bytes, and a server of the program's own in a thread beside it. Functions are called
 * on the server's loop with served_call(), which waits for them. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/http.h"
#include "unit.h"

enum { WIRE_BYTES = 256 << 10, WIRE_TIMEOUT_S = 10 };

struct served {
	struct event_base *base;
	struct event *wake;
	struct http_server *http;
	uint16_t port;
	pthread_t thread;
	int calls[2], acks[2];
};

struct wire {
	int fd;
	size_t n;
	char in[WIRE_BYTES + 1];
};

static void served_on_call(evutil_socket_t fd, short what, void *arg)
{
	struct served *s = arg;
	void (*call)(struct served *) = NULL;

	(void)what;
	if (read(fd, &call, sizeof call) != (ssize_t)sizeof call)
		return;
	if (call)
		call(s);
	else
		event_base_loopbreak(s->base);
	if (write(s->acks[1], "", 1) != 1)
		abort();
}

static inline void served_call(struct served *s, void (*call)(struct served *))
{
	char ack;

	REQUIRE(write(s->calls[1], &call, sizeof call) == (ssize_t)sizeof call);
	REQUIRE(read(s->acks[0], &ack, 1) == 1);
}

static inline void *served_run(void *arg)
{
	event_base_dispatch(((struct served *)arg)->base);
	return NULL;
}

static inline void served_start(
	struct served *s, const struct http_route *routes, const struct http_limits *limits)
{
	struct err e = {0};

	signal(SIGPIPE, SIG_IGN);
	*s = (struct served){.base = event_base_new()};
	REQUIRE(s->base && pipe(s->calls) == 0 && pipe(s->acks) == 0);
	s->wake = event_new(s->base, s->calls[0], EV_READ | EV_PERSIST, served_on_call, s);
	REQUIRE(s->wake && event_add(s->wake, NULL) == 0);
	REQUIRE(http_create(s->base, routes, s, limits, &s->http, &e) == 0);
	REQUIRE(http_listen(s->http, "127.0.0.1", 0, &s->port, &e) == 0);
	REQUIRE(pthread_create(&s->thread, NULL, served_run, s) == 0);
}

static inline void served_stop(struct served *s)
{
	served_call(s, NULL);
	pthread_join(s->thread, NULL);
	http_destroy(s->http);
	event_free(s->wake);
	event_base_free(s->base);
	for (int i = 0; i < 2; i++) {
		close(s->calls[i]);
		close(s->acks[i]);
	}
}

/* `receive_bytes`: the kernel's buffer for a client that reads slowly; 0: as usual. */
static inline struct wire *wire_open_slow(const struct served *s, int receive_bytes)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(s->port)};
	struct timeval patience = {WIRE_TIMEOUT_S, 0};
	struct wire *w = calloc(1, sizeof *w);

	REQUIRE(w != NULL);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (receive_bytes)
		setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
	REQUIRE(connect(w->fd, (struct sockaddr *)&a, sizeof a) == 0);
	return w;
}

static inline struct wire *wire_open(const struct served *s)
{
	return wire_open_slow(s, 0);
}

static inline void wire_close(struct wire *w)
{
	close(w->fd);
	free(w);
}

/* With a reset instead of a goodbye. */
static inline void wire_vanish(struct wire *w)
{
	struct linger now = {1, 0};

	setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	wire_close(w);
}

static inline bool wire_send_bytes(struct wire *w, const void *data, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = send(w->fd, (const char *)data + at, n - at, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		at += (size_t)r;
	}
	return true;
}

static inline bool wire_send(struct wire *w, const char *text)
{
	return wire_send_bytes(w, text, strlen(text));
}

/* Reads once more. 0: the server closed; -1: reset or nothing in time. */
static inline ssize_t wire_read(struct wire *w)
{
	ssize_t r = w->n < WIRE_BYTES ? recv(w->fd, w->in + w->n, WIRE_BYTES - w->n, 0) : -1;

	if (r > 0)
		w->n += (size_t)r;
	w->in[w->n] = '\0';
	return r;
}

static inline void wire_drop(struct wire *w, size_t n)
{
	memmove(w->in, w->in + n, w->n - n + 1);
	w->n -= n;
}

static inline bool wire_wait_for(struct wire *w, const char *text)
{
	while (!memmem(w->in, w->n, text, strlen(text)))
		if (wire_read(w) <= 0)
			return false;
	return true;
}

/* Whether the server closed in an orderly way; what it still sent stays in `in`. */
static inline bool wire_is_closed(struct wire *w)
{
	ssize_t r;

	while ((r = wire_read(w)) > 0)
		;
	return r == 0;
}

/* One answer with Content-Length (or without body, `no_body`): its status, and its text in `out`. */
static inline int wire_answer(struct wire *w, bool no_body, char *out, size_t out_size)
{
	const char *length;
	size_t n;

	if (!wire_wait_for(w, "\r\n\r\n"))
		return -1;
	n = (size_t)(strstr(w->in, "\r\n\r\n") - w->in) + 4;
	length = strstr(w->in, "\r\nContent-Length: ");
	if (!no_body && length && length < w->in + n)
		n += strtoul(length + 18, NULL, 10);
	while (w->n < n)
		if (wire_read(w) <= 0)
			return -1;
	if (out)
		snprintf(out, out_size, "%.*s", (int)n, w->in);
	w->in[w->n] = '\0';
	n = n > w->n ? w->n : n;
	{
		int status = (int)strtol(w->in + 9, NULL, 10);

		wire_drop(w, n);
		return status;
	}
}

/* Sends a request, returns the status of its answer. */
static inline int wire_ask(struct wire *w, const char *request, char *out, size_t out_size)
{
	if (!wire_send(w, request))
		return -1;
	return wire_answer(w, strncmp(request, "HEAD", 4) == 0, out, out_size);
}
