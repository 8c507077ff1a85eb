/* Counting answers by route and status. */
#include "net/access.h"

#include <errno.h>
#include <stdlib.h>

const int access_statuses[ACCESS_STATUSES] = {101, 200, 202, 204, 206, 304, 400, 403, 404, 405, 408,
	409, 410, 413, 415, 422, 429, 431, 499, 500, 503, 0};

int access_init(struct access *a, const struct http_route *routes)
{
	*a = (struct access){.routes = routes};
	while (routes[a->n_routes].path)
		a->n_routes++;
	a->counts = calloc(a->n_routes + 1, sizeof *a->counts);
	return a->counts ? 0 : -ENOMEM;
}

void access_fini(struct access *a)
{
	free(a->counts);
	*a = (struct access){0};
}

void access_count(struct access *a, const struct http_route *route, int status, int64_t duration_us)
{
	size_t row = route ? (size_t)(route - a->routes) : a->n_routes, i = 0;

	while (access_statuses[i] && access_statuses[i] != status)
		i++;
	a->counts[row][i]++;
	histogram_add(&a->took_us, duration_us);
}
