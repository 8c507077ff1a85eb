/* What came of a request, and the verdict of it. */
#pragma once

#include <curl/curl.h>

#include "stageline/stage.h"
#include "text.h"

enum { HTTP_REASON_SIZE = 64, HTTP_TYPE_SIZE = 96 };

struct http_answer {
	const char *url; /* for people: without password and query */
	/* CURLE_OK: there is an answer. CURLE_FILESIZE_EXCEEDED: it is too large. CURLE_AGAIN: it was not
	 * sent, because too many others were under way all the time. */
	CURLcode code;
	char detail[CURL_ERROR_SIZE]; /* of what went wrong; may be "" */
	long os_errno;
	bool is_connected;
	long status;
	char reason[HTTP_REASON_SIZE]; /* behind the status; may be "" */
	char type[HTTP_TYPE_SIZE];     /* content-type; may be "" */
	long long retry_after_s;       /* 0: none */
	struct text redirect;	       /* where to; may be empty */
	struct text body;
};

/* What of the config bears on it. */
struct http_rules {
	int64_t timeout_ms, wait_ms, max_answer;
	long in_flight;
};

int32_t http_answer_verdict(const struct http_answer *a, const struct http_rules *rules,
	const struct sl_host *host, struct sl_task *task);
