/* What libevent's HTTP server can do by itself: answers every POST with its body. One thread, like the net loop.
 *
 *   echo PORT */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>

static void on_request(struct evhttp_request *req, void *arg)
{
	struct evbuffer *out = evbuffer_new();

	(void)arg;
	evhttp_add_header(
		evhttp_request_get_output_headers(req), "Content-Type", "application/json");
	evbuffer_add_buffer(out, evhttp_request_get_input_buffer(req));
	evhttp_send_reply(req, 200, "OK", out);
	evbuffer_free(out);
}

int main(int argc, char **argv)
{
	long port = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	struct event_base *base = event_base_new();
	struct evhttp *http = evhttp_new(base);

	if (port < 1 || port > 65535) {
		fprintf(stderr, "usage: echo PORT\n");
		return 2;
	}
	evhttp_set_gencb(http, on_request, NULL);
	if (evhttp_bind_socket(http, "127.0.0.1", (unsigned short)port) < 0) {
		perror("bind");
		return 1;
	}
	event_base_dispatch(base);
	evhttp_free(http);
	event_base_free(base);
	return 0;
}
