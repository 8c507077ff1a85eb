/* Places orders at a fixed rate and follows the journal by SSE: how long from the moment an order is due to be
 * sent until order_completed is read. The schedule does not wait for answers, so a stall counts for every order
 * that was due in it.
 *
 *   latency PORT ORDERS-PER-SECOND SECONDS BODY    prints JSON */
#include <event2/buffer.h>
#include <event2/http.h>
#include <signal.h>

#include "base/clock.h"
#include "poster.h"
#include "readings.h"

enum { GRACE_S = 30 };

struct placed {
	struct id id;
	int64_t due_us, sent_us, answered_us, completed_us; /* 0: not yet */
	bool is_known;					    /* has its id */
};

struct run {
	struct event_base *base;
	struct poster *poster;
	struct event *tick;
	struct evbuffer *stream;
	int64_t start_us, period_us;
	size_t n, n_sent, n_refused, n_completed;
	struct placed *orders;
	struct id *seen; /* completed before the answer was read */
	size_t n_seen;
};

static void end_when_done(struct run *r)
{
	if (r->n_sent == r->n && r->n_completed + r->n_refused == r->n)
		event_base_loopbreak(r->base);
}

static bool take_seen(struct run *r, const struct id *id)
{
	for (size_t i = 0; i < r->n_seen; i++)
		if (id_eq(&r->seen[i], id)) {
			r->seen[i] = r->seen[--r->n_seen];
			return true;
		}
	return false;
}

static void on_placed(void *arg, size_t n, const struct id *id)
{
	struct run *r = arg;
	struct placed *o = &r->orders[n];

	o->answered_us = clock_mono_us();
	if (!id) {
		r->n_refused++;
	} else {
		o->id = *id;
		o->is_known = true;
		if (take_seen(r, id)) {
			o->completed_us = o->answered_us;
			r->n_completed++;
		}
	}
	end_when_done(r);
}

/* Looks at the newest first: it is one of the last. */
static void on_completed(struct run *r, const struct id *id)
{
	for (size_t i = r->n_sent; i-- > 0;)
		if (r->orders[i].is_known && id_eq(&r->orders[i].id, id)) {
			r->orders[i].completed_us = clock_mono_us();
			r->n_completed++;
			end_when_done(r);
			return;
		}
	if (r->n_seen < r->n)
		r->seen[r->n_seen++] = *id;
}

static void on_line(struct run *r, const char *line)
{
	static const char before[] = "\"order_id\":\"";
	const char *at = strstr(line, before);
	struct id id;

	if (!strstr(line, "\"event_type\":\"order_completed\"") || !at)
		return;
	at += sizeof before - 1;
	if (strlen(at) >= ID_TEXT_SIZE - 1 &&
		id_parse((struct str){at, ID_TEXT_SIZE - 1}, &id) == 0)
		on_completed(r, &id);
}

static int64_t due_us(const struct run *r, size_t n)
{
	return r->start_us + (int64_t)n * r->period_us;
}

static void post_due(struct run *r)
{
	int64_t now_us = clock_mono_us(), wait_us = GRACE_S * INT64_C(1000000);

	while (r->n_sent < r->n && due_us(r, r->n_sent) <= now_us) {
		r->orders[r->n_sent].due_us = due_us(r, r->n_sent);
		r->orders[r->n_sent].sent_us = clock_mono_us();
		poster_post(r->poster, r->n_sent++);
	}
	if (r->n_sent < r->n)
		wait_us = due_us(r, r->n_sent) - now_us;
	event_add(r->tick, &(struct timeval){wait_us / 1000000, wait_us % 1000000});
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;

	(void)fd, (void)what;
	if (r->n_sent == r->n)
		event_base_loopbreak(r->base);
	else
		post_due(r);
}

/* The first bytes say that the stream is open: now the orders may come. */
static void on_chunk(struct evhttp_request *req, void *arg)
{
	struct run *r = arg;
	char *line;

	evbuffer_add_buffer(r->stream, evhttp_request_get_input_buffer(req));
	while ((line = evbuffer_readln(r->stream, NULL, EVBUFFER_EOL_LF))) {
		on_line(r, line);
		free(line);
	}
	if (r->start_us)
		return;
	r->start_us = clock_mono_us() + 10000;
	post_due(r);
}

static void on_stream_end(struct evhttp_request *req, void *arg)
{
	(void)req;
	fprintf(stderr, "latency: the stream of events has ended\n");
	event_base_loopbreak(((struct run *)arg)->base);
}

static void follow(struct run *r, struct evhttp_connection *http)
{
	struct evhttp_request *req = evhttp_request_new(on_stream_end, r);

	evhttp_request_set_chunked_cb(req, on_chunk);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "127.0.0.1");
	evhttp_connection_set_timeout(http, 3600);
	evhttp_make_request(http, req, EVHTTP_REQ_GET, "/events");
}

static void print(const struct run *r)
{
	int64_t *late = calloc(r->n, sizeof *late);
	int64_t *answered = calloc(r->n, sizeof *answered);
	int64_t *completed = calloc(r->n, sizeof *completed);
	size_t n_answered = 0, n_completed = 0;

	if (!late || !answered || !completed)
		exit(1);
	for (size_t i = 0; i < r->n; i++) {
		const struct placed *o = &r->orders[i];

		late[i] = o->sent_us - o->due_us;
		if (o->is_known)
			answered[n_answered++] = o->answered_us - o->due_us;
		if (o->completed_us)
			completed[n_completed++] = o->completed_us - o->due_us;
	}
	printf("{\"sent\":%zu,\"refused\":%zu,", r->n_sent, r->n_refused);
	readings_print("late", late, r->n_sent);
	printf(",");
	readings_print("answered", answered, n_answered);
	printf(",");
	readings_print("completed", completed, n_completed);
	printf("}\n");
	free(late);
	free(answered);
	free(completed);
}

int main(int argc, char **argv)
{
	struct event_config *config = event_config_new();
	struct run r = {0};
	struct evhttp_connection *http;
	unsigned short port;
	long rate;

	if (argc != 5 || (rate = strtol(argv[2], NULL, 10)) < 1) {
		fprintf(stderr, "usage: latency PORT ORDERS-PER-SECOND SECONDS BODY\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	port = (unsigned short)strtol(argv[1], NULL, 10);
	event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
	r.base = event_base_new_with_config(config);
	r.n = (size_t)(rate * strtol(argv[3], NULL, 10));
	r.period_us = 1000000 / rate;
	r.orders = calloc(r.n, sizeof *r.orders);
	r.seen = calloc(r.n, sizeof *r.seen);
	r.stream = evbuffer_new();
	r.tick = event_new(r.base, -1, 0, on_tick, &r);
	r.poster = poster_new(r.base, port, argv[4], on_placed, &r);
	http = evhttp_connection_base_new(r.base, NULL, "127.0.0.1", port);
	if (!r.orders || !r.seen || !http)
		return 1;
	follow(&r, http);
	event_base_dispatch(r.base);
	print(&r);
	return 0;
}
