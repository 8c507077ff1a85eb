/* From a request to its route: who may ask, which path and method match, parameters decoded. */
#include "base/mem.h"
#include "net/conn.h"
#include "net/field.h"

/* Percent-decoding in place. Returns false for a broken escape, control characters, or what is not UTF-8. */
static bool decode(struct str *s, bool plus_is_space)
{
	char *to = (char *)s->p;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		char c = s->p[i], digits[3] = {0}, *end;

		if (c == '+' && plus_is_space) {
			c = ' ';
		} else if (c == '%') {
			if (i + 2 >= s->n)
				return false;
			memcpy(digits, s->p + i + 1, 2);
			c = (char)strtoul(digits, &end, 16);
			if (end != digits + 2 || digits[0] == '+' || digits[0] == '-' ||
				digits[0] == ' ')
				return false;
			i += 2;
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return false;
		to[n++] = c;
	}
	s->n = n;
	return utf8_valid(*s);
}

static struct str until(struct str s, char stop)
{
	const char *p = s.n ? memchr(s.p, stop, s.n) : NULL;

	return p ? (struct str){s.p, (size_t)(p - s.p)} : s;
}

static struct str after(struct str s, struct str part)
{
	size_t n = part.n + (part.n < s.n);

	return (struct str){s.p + n, s.n - n};
}

static bool read_query(struct http_request *req, struct str query)
{
	while (query.n) {
		struct str pair = until(query, '&'), name = until(pair, '='),
			   value = after(pair, name);

		query = after(query, pair);
		if (pair.n == 0)
			continue;
		if (req->n_queries == QUERIES_MAX || !decode(&name, true) || !decode(&value, true))
			return false;
		req->queries[req->n_queries++] = (struct http_pair){name, value};
	}
	return true;
}

/* Compares segment by segment; "{name}" takes one that is not empty, "{name...}" all that follow. */
static bool match(struct http_request *req, const char *pattern, struct str path)
{
	struct str want = str_of(pattern);

	req->n_params = 0;
	while (want.n && path.n) {
		struct str w, p;

		want = (struct str){want.p + 1, want.n - 1}; /* both start with '/' */
		path = (struct str){path.p + 1, path.n - 1};
		w = until(want, '/');
		p = until(path, '/');
		if (w.n > 2 && w.p[0] == '{') {
			bool is_rest = w.n > 5 && memcmp(w.p + w.n - 4, "...}", 4) == 0;
			struct str name = {w.p + 1, w.n - (is_rest ? 5 : 2)};

			p = is_rest ? path : p;
			if (p.n == 0 || req->n_params == PARAMS_MAX)
				return false;
			req->params[req->n_params++] = (struct http_pair){name, p};
		} else if (!str_eq(w, p)) {
			return false;
		}
		want = (struct str){want.p + w.n, want.n - w.n};
		path = (struct str){path.p + p.n, path.n - p.n};
	}
	return want.n == 0 && path.n == 0;
}

static bool decode_params(struct http_request *req)
{
	for (size_t i = 0; i < req->n_params; i++)
		if (!decode(&req->params[i].value, false))
			return false;
	return true;
}

/* The route, or NULL; then `allow` has the methods the path knows, if any. */
static const struct http_route *find(
	struct http_request *req, struct str method, struct str path, struct buf *allow)
{
	struct str wanted = str_is(method, "HEAD") ? STR("GET") : method;

	for (const struct http_route *r = req->conn->server->routes; r->path; r++) {
		if (!match(req, r->path, path))
			continue;
		if (str_is(wanted, r->method))
			return r;
		buf_fmt(allow, "%s%s%s", allow->len ? ", " : "", r->method,
			strcmp(r->method, "GET") == 0 ? ", HEAD" : "");
	}
	return NULL;
}

static struct str without_port(struct str host)
{
	size_t n = host.n;

	while (n && host.p[n - 1] >= '0' && host.p[n - 1] <= '9')
		n--;
	return n > 1 && host.p[n - 1] == ':' ? (struct str){host.p, n - 1} : host;
}

static bool is_known_host(const struct http_request *req)
{
	const struct http_server *s = req->conn->server;
	struct str host = without_port(guard_str(&req->guard, req->guard.host));

	if (!req->conn->checks_host || host.n == 0) /* HTTP/1.0 without Host is no browser */
		return true;
	for (size_t i = 0; i < s->n_hosts; i++)
		if (field_equal(host, str_of(s->hosts[i])))
			return true;
	return false;
}

static void answer_no_route(struct http_request *req, struct buf *allow)
{
	if (allow->len == 0) {
		http_problem(req, 404, "There is nothing at this address.");
		return;
	}
	http_add_header(req, "Allow", buf_view(allow).p);
	http_problem(
		req, 405, "This address does not know the method; Allow names those it knows.");
}

void route_request(struct http_request *req)
{
	struct guard *g = &req->guard;
	struct str method = guard_str(g, g->method), target = guard_str(g, g->target);
	struct str path = until(target, '?');
	bool is_safe = str_is(method, "GET") || str_is(method, "HEAD");
	_cleanup_(buf_fini) struct buf allow = {0};

	if (!is_known_host(req))
		http_problem(req, 403, "This server does not answer for that Host.");
	else if (!is_safe && !request_is_same_origin(req))
		http_problem(req, 403, "Requests from pages of another origin are refused.");
	else if (!(req->route = find(req, method, path, &allow)))
		answer_no_route(req, &allow);
	else if (!is_safe && req->conn->server->read_only)
		http_problem(req, 403, "%s", req->conn->server->read_only);
	else if (!decode_params(req) || !read_query(req, after(target, path)))
		http_problem(req, 400, "The path or the query is not valid percent-encoded UTF-8.");
	else
		req->route->handle(req->conn->server->app, req);
}
