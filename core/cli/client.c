/* The HTTP client of the command line, on libevent's. Names are resolved here, so that each address of
 * `localhost` is tried: libevent tries the first alone. */
#include "cli/client.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { CONNECT_TIMEOUT_S = 5, SILENCE_MAX_S = 45, DEPTH_MAX = 64, ANSWER_MAX = 256 << 20 };

struct client {
	char *url, *host, *port, *prefix, *host_header;
	const char *idempotency_key; /* borrowed; NULL: none */
	int timeout_s;
	const struct client_reader
		*reader; /* of the answer that is under way; NULL: it is kept whole */
};

/* One request on its way. */
struct exchange {
	struct event_base *base;
	const struct client_reader *reader; /* NULL: none */
	struct client_answer *answer;	    /* to fill; NULL: it came */
	struct buf refusal;		    /* what came instead of what the reader asked for */
	int timeout_s;
	int result;
	bool has_failed;
};

/* --- the URL --- */

static int refuse(const char *url, struct err *e)
{
	if (strncasecmp(url, "https://", 8) == 0)
		return err_set(e, -EINVAL, "'%.200s': only http:// is spoken here, not TLS", url);
	return err_set(e, -EINVAL, "'%.200s' is not a URL such as http://127.0.0.1:8000", url);
}

static char *without_brackets(const char *host)
{
	size_t n = strlen(host);

	return n > 2 && host[0] == '[' && host[n - 1] == ']' ? strndup(host + 1, n - 2)
							     : strdup(host);
}

static int take_uri(struct client *c, const struct evhttp_uri *uri)
{
	const char *host = evhttp_uri_get_host(uri), *path = evhttp_uri_get_path(uri);
	int port = evhttp_uri_get_port(uri) > 0 ? evhttp_uri_get_port(uri) : 80;
	size_t n = path ? strlen(path) : 0;

	while (n && path[n - 1] == '/')
		n--;
	c->host = without_brackets(host);
	c->prefix = strndup(path ? path : "", n);
	if (asprintf(&c->port, "%d", port) < 0)
		c->port = NULL;
	if (asprintf(&c->host_header, "%s:%d", host, port) < 0)
		c->host_header = NULL;
	return c->host && c->port && c->prefix && c->host_header ? 0 : -ENOMEM;
}

int client_create(const char *url, struct client **ret, struct err *e)
{
	_cleanup_(client_freep) struct client *c = calloc(1, sizeof *c);
	struct evhttp_uri *uri = evhttp_uri_parse(url);
	const char *scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
	const char *host = uri ? evhttp_uri_get_host(uri) : NULL;
	int r;

	if (!scheme || strcasecmp(scheme, "http") != 0 || !host || !*host ||
		evhttp_uri_get_userinfo(uri) || evhttp_uri_get_query(uri))
		r = refuse(url, e);
	else
		r = c ? take_uri(c, uri) : -ENOMEM;
	if (uri)
		evhttp_uri_free(uri);
	if (r == 0) {
		c->timeout_s = CLIENT_TIMEOUT_S;
		c->url = strdup(url);
		r = c->url ? 0 : -ENOMEM;
	}
	if (r < 0)
		return r;
	*ret = steal_ptr(c);
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	free(c->url);
	free(c->host);
	free(c->port);
	free(c->prefix);
	free(c->host_header);
	free(c);
}

void client_set_timeout(struct client *c, int seconds)
{
	c->timeout_s = seconds;
}

void client_set_idempotency_key(struct client *c, const char *key)
{
	c->idempotency_key = key;
}

/* --- one exchange --- */

static int keep_answer(struct exchange *x, struct evhttp_request *req)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	struct client_answer *a = x->answer;
	struct buf *text = &x->refusal;
	size_t n;

	a->status = evhttp_request_get_response_code(req);
	if (evbuffer_get_length(in) && !evbuffer_pullup(in, -1))
		return -ENOMEM;
	if (evbuffer_get_length(in))
		buf_add(text, evbuffer_pullup(in, -1), evbuffer_get_length(in));
	a->text = buf_steal(text, &n);
	if (!a->text)
		return -ENOMEM;
	if (n && json_parse((struct str){a->text, n}, DEPTH_MAX, &a->json, NULL) == -ENOMEM)
		return -ENOMEM;
	return 0;
}

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct exchange *x = arg;

	if (!req || evhttp_request_get_response_code(req) == 0)
		x->has_failed = true;
	else if (x->reader && evhttp_request_get_response_code(req) == 200)
		x->result = -ECONNRESET; /* the server has ended it */
	else
		x->result = keep_answer(x, req);
	event_base_loopbreak(x->base);
}

static void on_error(enum evhttp_request_error error, void *arg)
{
	struct exchange *x = arg;

	if (x->reader)
		x->result = -ECONNRESET;
	else if (error == EVREQ_HTTP_TIMEOUT)
		x->result = -ETIME;
	else if (error == EVREQ_HTTP_DATA_TOO_LONG)
		x->result = -EMSGSIZE;
	else
		x->result = -EPROTO;
}

/* --- an answer that goes on --- */

static void on_chunk(struct evhttp_request *req, void *arg)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	struct exchange *x = arg;
	struct str data = {(const char *)evbuffer_pullup(in, -1), evbuffer_get_length(in)};

	if (evhttp_request_get_response_code(req) != 200)
		buf_add(&x->refusal, data.p, data.n); /* it is gone when this returns */
	if (evhttp_request_get_response_code(req) != 200 || x->result == 0)
		return;
	if (!x->reader->on_data(x->reader->arg, data)) {
		x->result = 0;
		event_base_loopbreak(x->base);
	}
	evbuffer_drain(in, data.n);
}

static void on_tick(evutil_socket_t fd, short events, void *arg)
{
	const struct client_reader *reader = arg;

	(void)fd, (void)events;
	reader->on_tick(reader->arg);
}

static void on_signal(evutil_socket_t fd, short events, void *arg)
{
	struct exchange *x = arg;

	(void)fd, (void)events;
	x->result = -EINTR;
	event_base_loopbreak(x->base);
}

/* Reads until somebody ends it. */
static void follow(struct exchange *x)
{
	static const struct timeval tenth = {.tv_usec = 100000};
	struct event *events[] = {evsignal_new(x->base, SIGINT, on_signal, x),
		evsignal_new(x->base, SIGTERM, on_signal, x),
		event_new(x->base, -1, EV_PERSIST, on_tick, (void *)x->reader)};
	bool ok = events[0] && events[1] && events[2] && event_add(events[0], NULL) == 0 &&
		  event_add(events[1], NULL) == 0 && event_add(events[2], &tenth) == 0;

	x->result = ok ? -ENOTCONN : -ENOMEM;
	if (ok)
		event_base_dispatch(x->base);
	for (size_t i = 0; i < ARRAY_LEN(events); i++)
		if (events[i])
			event_free(events[i]);
}

static bool add_headers(
	const struct client *c, struct evhttp_request *req, enum evhttp_cmd_type method)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	bool ok = evhttp_add_header(headers, "Host", c->host_header) == 0 &&
		  evhttp_add_header(headers, "Connection", "close") == 0 &&
		  evhttp_add_header(headers, "Accept", "application/json") == 0;

	if (ok && method == EVHTTP_REQ_POST)
		ok = evhttp_add_header(headers, "Content-Type", "application/json") == 0;
	if (ok && method == EVHTTP_REQ_POST && c->idempotency_key)
		ok = evhttp_add_header(headers, "Idempotency-Key", c->idempotency_key) == 0;
	return ok;
}

/* Takes `req`. -ENOTCONN: there was no connection. */
static int send_and_wait(struct exchange *x, struct evhttp_connection *connection,
	struct evhttp_request *req, enum evhttp_cmd_type method, const char *path)
{
	const struct timeval limit = {.tv_sec = x->timeout_s};

	evhttp_connection_set_timeout(connection, x->reader ? SILENCE_MAX_S : x->timeout_s);
	evhttp_connection_set_max_body_size(connection, ANSWER_MAX);
	x->result = -ENOTCONN;
	if (evhttp_make_request(connection, req, method, path) < 0 || x->has_failed)
		return x->result;
	if (x->reader) {
		follow(x);
		return x->result;
	}
	event_base_loopexit(x->base, &limit);
	event_base_dispatch(x->base);
	return event_base_got_exit(x->base) ? -ETIME : x->result;
}

/* libevent does not tell why there is no connection: looks again. */
static int why_not(const struct addrinfo *a)
{
	const struct timeval limit = {.tv_sec = CONNECT_TIMEOUT_S};
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0), r = -ECONNRESET;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		r = errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	close(fd);
	return r;
}

static int try_address(const struct client *c, const char *address, enum evhttp_cmd_type method,
	const char *path, struct str body, struct client_answer *ret)
{
	struct exchange x = {.answer = ret,
		.base = event_base_new(),
		.reader = c->reader,
		.timeout_s = c->timeout_s};
	struct evhttp_connection *connection =
		x.base ? evhttp_connection_base_new(
				 x.base, NULL, address, (unsigned short)strtoul(c->port, NULL, 10))
		       : NULL;
	struct evhttp_request *req = connection ? evhttp_request_new(on_answer, &x) : NULL;
	int r = -ENOMEM;

	if (req && add_headers(c, req, method) &&
		evbuffer_add(evhttp_request_get_output_buffer(req), body.p, body.n) == 0) {
		evhttp_request_set_error_cb(req, on_error);
		if (x.reader)
			evhttp_request_set_chunked_cb(req, on_chunk);
		r = send_and_wait(&x, connection, req, method, path);
	} else if (req) {
		evhttp_request_free(req);
	}
	if (connection)
		evhttp_connection_free(connection);
	if (x.base)
		event_base_free(x.base);
	buf_fini(&x.refusal);
	return r;
}

/* --- all addresses, and the words --- */

static int explain(const struct client *c, int r, struct err *e)
{
	char why[128];

	if (r == -ETIME)
		return err_set(e, r,
			"no answer from %s in %d s; what was asked for may be done all the same",
			c->url, c->timeout_s);
	if (r == -EMSGSIZE)
		return err_set(
			e, r, "the answer from %s is larger than %d MiB", c->url, ANSWER_MAX >> 20);
	if (r == -EPROTO)
		return err_set(e, r,
			"what answers at %s does not speak HTTP, or stopped in the "
			"middle",
			c->url);
	snprintf(why, sizeof why, "%s", strerror(-r));
	why[0] = (char)tolower((unsigned char)why[0]);
	return err_set(e, r, "no answer from %s: %s (is the daemon running? --url says where)",
		c->url, why);
}

static int ask(const struct client *c, enum evhttp_cmd_type method, const char *path,
	struct str body, struct client_answer *ret, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
	_cleanup_(freep) char *whole = NULL;
	char address[NI_MAXHOST];
	int r = getaddrinfo(c->host, c->port, &hints, &all);

	if (r != 0)
		return err_set(e, -EHOSTUNREACH, "no answer from %s: %s: %s", c->url, c->host,
			gai_strerror(r));
	r = asprintf(&whole, "%s%s", c->prefix, *path || *c->prefix ? path : "/") < 0
		    ? -ENOMEM
		    : -ECONNREFUSED;
	for (const struct addrinfo *a = all; a && r == -ECONNREFUSED; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0,
			    NI_NUMERICHOST) == 0)
			r = try_address(c, address, method, whole, body, ret);
		if (r == -ENOTCONN)
			r = why_not(a);
	}
	freeaddrinfo(all);
	return r < 0 ? explain(c, r, e) : 0;
}

int client_get(struct client *c, const char *path, struct client_answer *ret, struct err *e)
{
	*ret = (struct client_answer){0};
	return ask(c, EVHTTP_REQ_GET, path, (struct str){"", 0}, ret, e);
}

int client_post_json(struct client *c, const char *path, struct str body, struct client_answer *ret,
	struct err *e)
{
	*ret = (struct client_answer){0};
	return ask(c, EVHTTP_REQ_POST, path, body, ret, e);
}

int client_follow(struct client *c, const char *path, const struct client_reader *reader,
	struct client_answer *ret, struct err *e)
{
	int r;

	c->reader = reader;
	r = client_get(c, path, ret, e);
	c->reader = NULL;
	return r;
}

void client_answer_fini(struct client_answer *a)
{
	free(a->text);
	cJSON_Delete(a->json);
}
