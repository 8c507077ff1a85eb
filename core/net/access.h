/* How often each route was answered with which status, and how long that took. [net loop] */
#pragma once

#include "base/histogram.h"
#include "net/http.h"

/* Statuses that are told apart; any other is counted as the last, 0. */
enum { ACCESS_STATUSES = 22 };
extern const int access_statuses[ACCESS_STATUSES];

struct access {
	const struct http_route *routes; /* borrowed */
	size_t n_routes;		 /* and one row more, for requests that no route matched */
	struct histogram took_us; /* of all requests, up to the answer or the begin of a stream */
	int64_t (*counts)[ACCESS_STATUSES];
};

int access_init(struct access *a, const struct http_route *routes); /* -ENOMEM */
void access_fini(struct access *a);
/* `route` NULL: none matched. */
void access_count(
	struct access *a, const struct http_route *route, int status, int64_t duration_us);
