/* The server: listening, admitting connections, sweeping over their clocks, draining. */
#include <assert.h>
#include <arpa/inet.h>
#include <event2/listener.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/field.h"

enum {
	BACKLOG = 1024,
	OVERFLOW_MAX =
		64, /* connections above the limit that are told so; the rest is closed unheard */
	SWEEP_MIN_MS = 10,
	SWEEP_MAX_MS = 1000,
	ACCEPT_ERROR_LOG_MS = 10000,
};

/* --- connections --- */

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)fd;
	(void)what;
	for (struct conn **at = &s->conns; *at;) {
		struct conn *c = *at;

		if (c->state != CONN_DEAD) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		s->n_conns--;
		conn_free(c);
	}
}

static void on_send(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_send_all(arg);
}

static void pause_listeners(struct http_server *s, bool pause)
{
	s->are_listeners_paused = pause;
	for (size_t i = 0; i < s->n_listeners; i++)
		if (pause)
			evconnlistener_disable(s->listeners[i].lev);
		else
			evconnlistener_enable(s->listeners[i].lev);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	int64_t now_ms = clock_mono_ms();

	(void)fd;
	(void)what;
	for (struct conn *c = s->conns; c; c = c->next)
		conn_tick(c, now_ms);
	if (s->are_listeners_paused)
		pause_listeners(s, false);
}

static void refuse_above_limit(struct conn *c)
{
	c->state = CONN_HANDLING;
	c->is_in_request = true;
	c->req->must_close = true;
	c->req->started_us = clock_mono_us();
	http_problem(c->req, 503, "The server has as many connections as it takes.");
}

static void on_accept(struct evconnlistener *lev, evutil_socket_t fd, struct sockaddr *peer,
	int peer_n, void *arg)
{
	struct listener *l = arg;
	struct http_server *s = l->server;
	struct conn *c = NULL;

	(void)lev;
	(void)peer;
	(void)peer_n;
	if (s->n_conns < (size_t)s->limits.connections + OVERFLOW_MAX)
		c = conn_create(s, fd, l->is_loopback);
	if (!c) {
		close(fd);
		return;
	}
	c->next = s->conns;
	s->conns = c;
	if (s->n_conns++ >= (size_t)s->limits.connections)
		refuse_above_limit(c);
}

/* Out of descriptors, mostly: waits for the next sweep rather than spin. */
static void on_accept_error(struct evconnlistener *lev, void *arg)
{
	struct listener *l = arg;
	struct http_server *s = l->server;
	int64_t now_ms = clock_mono_ms();

	(void)lev;
	if (s->last_accept_error_ms == 0 ||
		now_ms - s->last_accept_error_ms >= ACCEPT_ERROR_LOG_MS) {
		s->last_accept_error_ms = now_ms;
		log_warn("http accept failed error=\"%s\" connections=%zu", strerror(errno),
			s->n_conns);
	}
	pause_listeners(s, true);
}

/* --- listening --- */

static uint16_t port_of(int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof a;

	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return 0;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
					     : ((struct sockaddr_in *)&a)->sin_port);
}

bool http_is_loopback(const struct sockaddr *a)
{
	if (a->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
	return a->sa_family == AF_INET &&
	       ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
}

int http_allow_host(struct http_server *s, const char *host)
{
	for (size_t i = 0; i < s->n_hosts; i++)
		if (field_equal(str_of(s->hosts[i]), str_of(host)))
			return 0;
	if (s->n_hosts == HOSTS_MAX)
		return -ENOSPC;
	s->hosts[s->n_hosts] = strdup(host);
	if (!s->hosts[s->n_hosts])
		return -ENOMEM;
	s->n_hosts++;
	return 0;
}

static int allow_loopback_hosts(struct http_server *s, const char *host, bool is_v6)
{
	const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	char listened[INET6_ADDRSTRLEN + 64];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++)
		r = http_allow_host(s, names[i]);
	snprintf(listened, sizeof listened,
		is_v6 && *host != '[' && strchr(host, ':') ? "[%s]" : "%s", host);
	return r ? r : http_allow_host(s, listened);
}

static int resolve(const char *host, uint16_t port, struct addrinfo **ret, struct err *e)
{
	struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	char name[256], service[8];
	size_t n = strlen(host);
	int r;

	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (n >= sizeof name)
		return err_set(e, -EINVAL, "the host name is too long");
	memcpy(name, host, n);
	name[n] = '\0';
	snprintf(service, sizeof service, "%u", port);
	r = getaddrinfo(name, service, &hints, ret);
	if (r != 0)
		return err_set(e, -EADDRNOTAVAIL, "'%s': %s", name, gai_strerror(r));
	return 0;
}

static int add_listener(struct http_server *s, const struct addrinfo *a)
{
	struct listener *l = &s->listeners[s->n_listeners];
	unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;

	*l = (struct listener){.server = s, .is_loopback = http_is_loopback(a->ai_addr)};
	errno = 0;
	l->lev = evconnlistener_new_bind(
		s->base, on_accept, l, flags, BACKLOG, a->ai_addr, (int)a->ai_addrlen);
	if (!l->lev)
		return errno ? -errno : -ENOMEM;
	evconnlistener_set_error_cb(l->lev, on_accept_error);
	s->n_listeners++;
	return 0;
}

int http_listen(
	struct http_server *s, const char *host, uint16_t port, uint16_t *ret_port, struct err *e)
{
	struct addrinfo *found;
	struct listener *l = &s->listeners[s->n_listeners];
	int r;

	if (s->n_listeners == CONN_LISTENERS_MAX)
		return err_set(
			e, -ENOSPC, "more than %d addresses to listen on", CONN_LISTENERS_MAX);
	r = resolve(host, port, &found, e);
	if (r < 0)
		return r;
	for (const struct addrinfo *a = found; a; a = a->ai_next) {
		bool is_v6 = a->ai_family == AF_INET6;

		r = add_listener(s, a);
		if (r == 0 && l->is_loopback)
			r = allow_loopback_hosts(s, host, is_v6);
		if (r == 0)
			break;
	}
	freeaddrinfo(found);
	if (r < 0)
		return err_set(e, r, "cannot listen on %s port %u: %s", host, port, strerror(-r));
	if (ret_port)
		*ret_port = port_of(evconnlistener_get_fd(l->lev));
	return 0;
}

int http_listen_on(struct http_server *s, int fd, uint16_t *ret_port, struct err *e)
{
	struct listener *l = &s->listeners[s->n_listeners];
	unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof a;
	int r = 0;

	if (s->n_listeners == CONN_LISTENERS_MAX)
		return err_set(
			e, -ENOSPC, "more than %d addresses to listen on", CONN_LISTENERS_MAX);
	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0 ||
		evutil_make_socket_nonblocking(fd) < 0)
		return err_set(e, -errno, "cannot listen on socket %d: %s", fd, strerror(errno));
	*l = (struct listener){.server = s, .is_loopback = http_is_loopback((struct sockaddr *)&a)};
	l->lev = evconnlistener_new(s->base, on_accept, l, flags, 0, fd); /* 0: it does already */
	if (!l->lev)
		return err_set(e, -ENOMEM, "no memory to listen on socket %d", fd);
	evconnlistener_set_error_cb(l->lev, on_accept_error);
	s->n_listeners++;
	if (l->is_loopback)
		r = allow_loopback_hosts(s, "localhost", false);
	if (r == 0 && ret_port)
		*ret_port = port_of(fd);
	return r < 0 ? err_set(e, r, "no memory to listen on socket %d", fd) : 0;
}

/* --- life --- */

int http_create(struct event_base *base, const struct http_route *routes, void *app,
	const struct http_limits *limits, struct http_server **ret, struct err *e)
{
	struct http_server *s = calloc(1, sizeof *s);
	struct timeval every;

	assert(limits->body_bytes >= 0 && limits->header_bytes > 0 && limits->connections > 0);
	assert(limits->idle_ms > 0 && limits->backlog_bytes > 0);
	if (!s)
		return err_set(e, -ENOMEM, "no memory for the HTTP server");
	s->base = base;
	s->routes = routes;
	s->app = app;
	s->limits = *limits;
	s->sweep_ms = limits->idle_ms / 8;
	s->sweep_ms = s->sweep_ms < SWEEP_MIN_MS ? SWEEP_MIN_MS : s->sweep_ms;
	s->sweep_ms = s->sweep_ms > SWEEP_MAX_MS ? SWEEP_MAX_MS : s->sweep_ms;
	every = (struct timeval){s->sweep_ms / 1000, s->sweep_ms % 1000 * 1000};
	s->sweep = event_new(base, -1, EV_PERSIST, on_sweep, s);
	s->reap = event_new(base, -1, 0, on_reap, s);
	s->send = event_new(base, -1, 0, on_send, s);
	if (!s->sweep || !s->reap || !s->send || event_add(s->sweep, &every) < 0) {
		http_destroy(s);
		return err_set(e, -ENOMEM, "no memory for the HTTP server");
	}
	*ret = s;
	return 0;
}

static void close_listeners(struct http_server *s)
{
	while (s->n_listeners)
		evconnlistener_free(s->listeners[--s->n_listeners].lev);
	s->are_listeners_paused = false;
}

void http_destroy(struct http_server *s)
{
	if (!s)
		return;
	close_listeners(s);
	for (struct conn *c = s->conns; c; c = c->next)
		conn_kill(c);
	on_reap(-1, 0, s);
	if (s->sweep)
		event_free(s->sweep);
	if (s->reap)
		event_free(s->reap);
	if (s->send)
		event_free(s->send);
	while (s->n_hosts)
		free(s->hosts[--s->n_hosts]);
	buf_fini(&s->head);
	free(s);
}

void http_set_read_only(struct http_server *s, const char *reason)
{
	s->read_only = reason;
}

size_t http_last_calls(struct http_server *s)
{
	size_t n_unanswered = 0;

	s->is_draining = true;
	close_listeners(s);
	for (struct conn *c = s->conns; c; c = c->next) {
		if (conn_is_idle(c) && c->was_answered)
			conn_kill(c);
		n_unanswered += !c->was_answered && c->state <= CONN_HANDLING;
	}
	return n_unanswered;
}

void http_drain(struct http_server *s)
{
	s->is_draining = true;
	close_listeners(s);
	for (struct conn *c = s->conns; c; c = c->next)
		if (conn_is_idle(c))
			conn_kill(c);
}

size_t http_connections(const struct http_server *s)
{
	return s->n_conns;
}

void http_on_done(struct http_server *s,
	void (*on_done)(void *app, const struct http_route *route, int status, int64_t duration_us))
{
	s->on_done = on_done;
}
