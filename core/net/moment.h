/* A moment of the past in a query: ?at=SEQ, after that event, or ?at=TIME, RFC 3339: after the last event before the
 * first that is later. */
#pragma once

#include "net/http.h"

struct moment {
	bool is_time;
	int64_t value; /* seq, or wall time in µs; INT64_MAX: now */
};

/* `at` of the query; absent: now. False: answered with 400. */
bool moment_take(struct http_request *req, struct moment *ret);
