/* What the config of an http stage comes to: targets, secrets, headers, read once and checked. */
#pragma once

#include "http_answer.h"
#include "signature.h"

enum { HTTP_HEADER_MAX = 2000 };

struct http_config {
	const char *url, *undo_url, *secret, *secret_file, *headers_file, *ca_file;
	struct sl_list headers;
	int64_t timeout, connect_timeout, in_flight, max_answer, wait;
};

/* Where a direction goes. */
struct http_target {
	const char *url;
	char *shown; /* without password and query */
};

struct http_setup {
	struct http_target run, undo;
	struct secrets secrets;
	struct curl_slist *more_headers; /* of headers_file */
	struct http_rules rules;
};

/* A negative errno after a line to the log. http_setup_fini() in any case. Borrows the config's strings. */
int http_setup_read(
	const struct sl_host *host, const struct http_config *config, struct http_setup *ret);
void http_setup_fini(struct http_setup *setup);
