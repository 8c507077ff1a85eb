/* The transfers of one http stage: one thread with libcurl's multi interface, however many requests are under
 * way. Connections are kept and used again. */
#pragma once

#include "http_answer.h"
#include "pending.h"

/* A request and what came of it. */
struct http_call {
	struct pending_call pending;
	struct http_call *next; /* loop: in the line */
	const char *url;	/* borrowed from the config */
	struct curl_slist *headers;
	struct text body;
	int64_t deadline_ms; /* monotonic */
	bool is_finished;
	struct http_answer answer;
	/* loop */
	CURL *easy;
	size_t header_bytes;
	int64_t max_answer;
};

struct http_loop_options {
	const struct sl_host *host;
	struct http_rules rules;
	int64_t connect_timeout_ms;
	const char *ca_file; /* may be NULL */
};

struct http_loop;

int http_loop_create(const struct http_loop_options *options, struct http_loop **ret);
/* Breaks off what is under way. NULL does nothing. */
void http_loop_destroy(struct http_loop *loop);
/* Takes the call; its ticket is woken when it is finished. Any thread. */
void http_loop_start(struct http_loop *loop, struct http_call *call);
/* The call of the ticket when it is finished, which is the caller's from then on; else NULL, and
 * *ret_is_under_way says whether there is one. Any thread. */
struct http_call *http_loop_take(struct http_loop *loop, uint64_t ticket, bool *ret_is_under_way);
void http_call_free(struct http_call *call);
/* Monotonic. */
int64_t http_now_ms(void);
