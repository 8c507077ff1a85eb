/* A request as the application sees it: parameters, query, headers, body, and what its answer shall carry. */
#include <assert.h>
#include <strings.h>

#include "net/conn.h"
#include "net/field.h"

static struct str find(const struct http_pair *pairs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(pairs[i].name, name))
			return pairs[i].value;
	return (struct str){0};
}

struct str http_param(struct http_request *req, const char *name)
{
	return find(req->params, req->n_params, name);
}

struct str http_query(struct http_request *req, const char *name)
{
	return find(req->queries, req->n_queries, name);
}

struct str http_header(struct http_request *req, const char *name)
{
	const struct guard *g = &req->guard;

	for (size_t i = 0; i < g->n_fields; i++)
		if (field_equal(guard_str(g, g->names[i]), str_of(name)))
			return guard_str(g, g->values[i]);
	return (struct str){0};
}

struct str http_body(struct http_request *req)
{
	return buf_view(&req->guard.body);
}

bool http_is_json(struct http_request *req)
{
	struct str type = http_header(req, "Content-Type");
	size_t n = 0;

	while (n < type.n && type.p[n] != ';' && type.p[n] != ' ' && type.p[n] != '\t')
		n++;
	type.n = n;
	return field_equal(type, STR("application/json")) ||
	       (n > 5 && field_equal((struct str){type.p + n - 5, 5}, STR("+json")));
}

const atomic_bool *http_unwanted(const struct http_request *req)
{
	return &req->is_unwanted;
}

bool request_is_same_origin(struct http_request *req)
{
	struct str origin = http_header(req, "Origin"),
		   host = guard_str(&req->guard, req->guard.host);

	if (!origin.p)
		return true;
	for (int tls = 0; tls < 2; tls++) { /* a proxy in front may speak TLS */
		struct str scheme = tls ? STR("https://") : STR("http://");
		struct str rest = {origin.p + scheme.n, origin.n - scheme.n};

		if (origin.n > scheme.n && strncasecmp(origin.p, scheme.p, scheme.n) == 0 &&
			field_equal(rest, host))
			return true;
	}
	return false;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return true;
	return false;
}

void http_add_header(struct http_request *req, const char *name, const char *value)
{
	assert(*name && !has_control(name) && !strpbrk(name, ": "));
	if (has_control(value))
		return;
	req->has_cache_control |= strcasecmp(name, "Cache-Control") == 0;
	req->has_retry_after |= strcasecmp(name, "Retry-After") == 0;
	buf_text(&req->extra, name);
	buf_add(&req->extra, ": ", 2);
	buf_text(&req->extra, value);
	buf_add(&req->extra, "\r\n", 2);
}

void request_done(struct http_request *req, int status)
{
	struct http_server *s = req->conn->server;

	if (s->on_done)
		s->on_done(s->app, req->route, status, clock_mono_us() - req->started_us);
}

struct http_request *request_create(struct conn *c)
{
	struct http_request *req = calloc(1, sizeof *req);

	if (!req)
		return NULL;
	req->conn = c;
	guard_init(&req->guard, c->server->limits.header_bytes, c->server->limits.body_bytes);
	return req;
}

void request_reset(struct http_request *req)
{
	guard_reset(&req->guard);
	buf_clear(&req->extra);
	req->route = NULL;
	req->n_params = req->n_queries = 0;
	req->has_cache_control = req->has_retry_after = req->must_close = false;
}

void request_free(struct http_request *req)
{
	if (!req)
		return;
	guard_fini(&req->guard);
	buf_fini(&req->extra);
	free(req);
}
