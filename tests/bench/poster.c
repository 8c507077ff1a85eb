/* The poster: evhttp connections, each with one order under way at most. */
#include "poster.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>

struct line {
	struct line *next_idle, *next;
	struct poster *poster;
	struct evhttp_connection *http;
	size_t n; /* the order that is under way */
};

struct poster {
	struct event_base *base;
	unsigned short port;
	const char *body;
	void (*on_placed)(void *arg, size_t n, const struct id *id);
	void *arg;
	struct line *idle, *lines;
};

static void *need(void *p)
{
	if (p)
		return p;
	fprintf(stderr, "no memory\n");
	exit(1);
}

/* Every answer to a placement begins with the id. */
static bool read_id(struct evhttp_request *req, struct id *ret)
{
	static const char before[] = "{\"id\":\"";
	char text[sizeof before - 1 + ID_TEXT_SIZE - 1];

	if (evhttp_request_get_response_code(req) != 200 ||
		evbuffer_copyout(evhttp_request_get_input_buffer(req), text, sizeof text) !=
			(ev_ssize_t)sizeof text ||
		memcmp(text, before, sizeof before - 1) != 0)
		return false;
	return id_parse((struct str){text + sizeof before - 1, ID_TEXT_SIZE - 1}, ret) == 0;
}

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct line *l = arg;
	struct poster *p = l->poster;
	struct id id;
	bool is_placed = req && read_id(req, &id);

	l->next_idle = p->idle;
	p->idle = l;
	p->on_placed(p->arg, l->n, is_placed ? &id : NULL);
}

static struct line *line_new(struct poster *p)
{
	struct line *l = need(calloc(1, sizeof *l));

	*l = (struct line){.next = p->lines, .poster = p};
	l->http = need(evhttp_connection_base_new(p->base, NULL, "127.0.0.1", p->port));
	p->lines = l;
	return l;
}

struct poster *poster_new(struct event_base *base, unsigned short port, const char *body,
	void (*on_placed)(void *arg, size_t n, const struct id *id), void *arg)
{
	struct poster *p = need(calloc(1, sizeof *p));

	*p = (struct poster){base, port, body, on_placed, arg, NULL, NULL};
	return p;
}

void poster_free(struct poster *p)
{
	while (p->lines) {
		struct line *l = p->lines;

		p->lines = l->next;
		evhttp_connection_free(l->http);
		free(l);
	}
	free(p);
}

void poster_post(struct poster *p, size_t n)
{
	struct line *l = p->idle ? p->idle : line_new(p);
	struct evhttp_request *req = need(evhttp_request_new(on_answer, l));
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);

	if (l == p->idle)
		p->idle = l->next_idle;
	l->n = n;
	evhttp_add_header(headers, "Host", "127.0.0.1");
	evhttp_add_header(headers, "Content-Type", "application/json");
	evbuffer_add(evhttp_request_get_output_buffer(req), p->body, strlen(p->body));
	evhttp_make_request(l->http, req, EVHTTP_REQ_POST, "/orders");
}
