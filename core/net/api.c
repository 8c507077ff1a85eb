/* The documents of the API, made from the route table and the schemas of api.json: OpenAPI for what is asked and
 * answered, AsyncAPI for what the WebSockets say. */
#include "net/api.h"

#include <ctype.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/app.h"
#include "version.h"

/* What the HTTP server answers by itself: a query that is not percent-encoded UTF-8; a POST from another origin or to a
 * journal that is only read; a body that is too large. */
static const int server_statuses[] = {400, 403, 413};

static const cJSON *part(const cJSON *api, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(api, name);
}

static void write_members(struct json_writer *w, const cJSON *object)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, object) {
		json_key(w, m->string);
		json_tree(w, m);
	}
}

static void write_text(struct json_writer *w, const char *name, const char *text)
{
	json_key(w, name);
	json_text(w, text);
}

static void open_member(struct json_writer *w, const char *name)
{
	json_key(w, name);
	json_open(w, '{');
}

static void write_info(struct json_writer *w, const cJSON *document)
{
	open_member(w, "info");
	write_members(w, part(document, "info"));
	write_text(w, "version", STAGELINE_VERSION);
	json_close(w, '}');
}

/* {"$ref": "#/PLACE/NAME"} */
static void write_ref(struct json_writer *w, const char *place, struct str name)
{
	_cleanup_(buf_fini) struct buf ref = {0};

	buf_fmt(&ref, "#/%s/%.*s", place, (int)name.n, name.p);
	w->out->failed |= ref.failed;
	json_open(w, '{');
	json_key(w, "$ref");
	json_str(w, buf_view(&ref));
	json_close(w, '}');
}

static void write_schema(struct json_writer *w, const char *name)
{
	write_ref(w, "components/schemas", str_of(name));
}

/* The next word of a list, or false; moves on. NULL is an empty list. */
static bool next_word(const char **list, struct str *ret)
{
	const char *p = *list ? *list : "";

	while (*p == ' ')
		p++;
	*ret = (struct str){p, strcspn(p, " ")};
	*list = p + ret->n;
	return ret->n > 0;
}

/* The next parameter of a path, or false; moves on. */
static bool next_in_path(const char **path, struct str *ret)
{
	const char *open = strchr(*path, '{');

	if (!open)
		return false;
	*ret = (struct str){open + 1, strcspn(open + 1, ".}")};
	*path = ret->p + ret->n;
	return true;
}

/* "/static/{file...}" is "/static/{file}" there. */
static void add_address(struct buf *out, const char *path)
{
	for (; *path; path++)
		if (strncmp(path, "...", 3) == 0)
			path += 2;
		else
			buf_char(out, *path);
}

/* "get_orders_id" */
static void add_name(struct buf *out, const struct http_route *r)
{
	bool is_between = true;

	for (const char *p = r->method; *p; p++)
		buf_char(out, (char)tolower((unsigned char)*p));
	for (const char *p = r->path; *p; p++) {
		if (isalnum((unsigned char)*p)) {
			if (is_between)
				buf_char(out, '_');
			buf_char(out, *p);
		}
		is_between = !isalnum((unsigned char)*p);
	}
}

/* --- OpenAPI --- */

static void write_parameters(struct json_writer *w, const struct http_route *r)
{
	const char *path = r->path, *list = r->doc.parameters;
	struct str name;

	json_key(w, "parameters");
	json_open(w, '[');
	while (next_in_path(&path, &name) || next_word(&list, &name))
		write_ref(w, "components/parameters", name);
	json_close(w, ']');
}

/* "content" of one type; no schema: text. */
static void write_content(struct json_writer *w, const char *type, const char *schema)
{
	open_member(w, "content");
	open_member(w, type);
	json_key(w, "schema");
	if (schema) {
		write_schema(w, schema);
	} else {
		json_open(w, '{');
		write_text(w, "type", "string");
		json_close(w, '}');
	}
	json_close(w, '}');
	json_close(w, '}');
}

static void write_body(struct json_writer *w, const struct http_route *r)
{
	if (!r->doc.body)
		return;
	open_member(w, "requestBody");
	json_key(w, "required");
	json_bool(w, true);
	write_content(w, "application/json", r->doc.body);
	json_close(w, '}');
}

static void write_response(struct json_writer *w, const struct http_doc *doc, int status)
{
	char text[8];

	snprintf(text, sizeof text, "%d", status);
	open_member(w, text);
	write_text(w, "description", http_title(status));
	if (status == 200 || status == 202)
		write_content(w, doc->type ? doc->type : "application/json", doc->answer);
	else if (status == 503 && doc->trouble)
		write_content(w, "application/json", doc->trouble);
	else if (status >= 400)
		write_content(w, "application/problem+json", "Problem");
	json_close(w, '}');
}

static void write_responses(struct json_writer *w, const struct http_route *r)
{
	bool is_post = strcmp(r->method, "POST") == 0;

	open_member(w, "responses");
	for (size_t i = 0; i < HTTP_STATUSES_MAX && r->doc.statuses[i]; i++)
		write_response(w, &r->doc, r->doc.statuses[i]);
	for (size_t i = 0; i < (is_post ? ARRAY_LEN(server_statuses) : 1); i++)
		write_response(w, &r->doc, server_statuses[i]);
	open_member(w, "default");
	write_text(w, "description", "Any other problem");
	write_content(w, "application/problem+json", "Problem");
	json_close(w, '}');
	json_close(w, '}');
}

static void write_operation(struct json_writer *w, const struct http_route *r)
{
	_cleanup_(buf_fini) struct buf name = {0};

	add_name(&name, r);
	w->out->failed |= name.failed;
	json_key(w, strcmp(r->method, "POST") == 0 ? "post" : "get");
	json_open(w, '{');
	json_key(w, "operationId");
	json_str(w, buf_view(&name));
	write_text(w, "summary", r->summary);
	json_key(w, "tags");
	json_open(w, '[');
	json_text(w, r->doc.tag);
	json_close(w, ']');
	write_parameters(w, r);
	write_body(w, r);
	write_responses(w, r);
	json_close(w, '}');
}

static bool is_first_of_path(const struct http_route *r)
{
	for (const struct http_route *other = app_routes; other < r; other++)
		if (strcmp(other->path, r->path) == 0)
			return false;
	return true;
}

static void write_path(struct json_writer *w, const struct http_route *first)
{
	_cleanup_(buf_fini) struct buf address = {0};

	add_address(&address, first->path);
	w->out->failed |= address.failed;
	json_key_str(w, buf_view(&address));
	json_open(w, '{');
	for (const struct http_route *r = first; r->path; r++)
		if (strcmp(r->path, first->path) == 0)
			write_operation(w, r);
	json_close(w, '}');
}

static void write_openapi(struct json_writer *w, const cJSON *api)
{
	json_open(w, '{');
	write_text(w, "openapi", "3.1.0");
	write_info(w, part(api, "openapi"));
	json_key(w, "servers");
	json_raw(w, STR("[{\"url\":\"/\"}]"));
	json_key(w, "security"); /* it listens on loopback only */
	json_raw(w, STR("[]"));
	json_key(w, "tags");
	json_tree(w, part(part(api, "openapi"), "tags"));
	open_member(w, "paths");
	for (const struct http_route *r = app_routes; r->path; r++)
		if (is_first_of_path(r))
			write_path(w, r);
	json_close(w, '}');
	open_member(w, "components");
	json_key(w, "parameters");
	json_tree(w, part(api, "parameters"));
	open_member(w, "schemas");
	write_members(w, part(api, "shared"));
	write_members(w, part(api, "http"));
	json_close(w, '}');
	json_close(w, '}');
	json_close(w, '}');
}

/* --- AsyncAPI --- */

static void write_messages(struct json_writer *w, const struct http_route *r)
{
	const char *list = r->doc.messages;
	struct str name;

	open_member(w, "messages");
	while (next_word(&list, &name)) {
		json_key_str(w, name);
		json_open(w, '{');
		write_text(w, "contentType", "application/json");
		json_key(w, "payload");
		write_ref(w, "components/schemas", name);
		json_close(w, '}');
	}
	json_close(w, '}');
}

static void write_channel_parameters(
	struct json_writer *w, const struct http_route *r, const cJSON *parameters)
{
	const char *path = r->path;
	struct str name;

	open_member(w, "parameters");
	while (next_in_path(&path, &name)) {
		char key[32];

		snprintf(key, sizeof key, "%.*s", (int)name.n, name.p);
		open_member(w, key);
		write_text(w, "description", json_member(part(parameters, key), "description").p);
		json_close(w, '}');
	}
	json_close(w, '}');
}

/* The query stands in the binding to WebSockets. */
static void write_query(struct json_writer *w, const struct http_route *r, const cJSON *parameters)
{
	const char *list = r->doc.parameters;
	struct str name;

	open_member(w, "bindings");
	open_member(w, "ws");
	open_member(w, "query");
	write_text(w, "type", "object");
	open_member(w, "properties");
	while (next_word(&list, &name)) {
		const cJSON *parameter;
		char key[32];

		snprintf(key, sizeof key, "%.*s", (int)name.n, name.p);
		parameter = part(parameters, key);
		json_key_str(w, json_member(parameter, "name"));
		json_tree(w, part(parameter, "schema"));
	}
	for (int i = 0; i < 4; i++)
		json_close(w, '}');
}

static void write_channel(
	struct json_writer *w, const struct http_route *r, struct str name, const cJSON *parameters)
{
	json_key_str(w, name);
	json_open(w, '{');
	write_text(w, "address", r->path);
	write_text(w, "summary", r->summary);
	write_messages(w, r);
	write_channel_parameters(w, r, parameters);
	write_query(w, r, parameters);
	json_close(w, '}');
}

static void write_sending(
	struct json_writer *w, const struct http_route *r, struct str name, const cJSON *parameters)
{
	(void)parameters;
	json_key_str(w, name);
	json_open(w, '{');
	write_text(w, "action", "send");
	json_key(w, "channel");
	write_ref(w, "channels", name);
	write_text(w, "summary", r->summary);
	json_close(w, '}');
}

static void each_channel(struct json_writer *w, const char *member, const cJSON *parameters,
	void (*write)(struct json_writer *w, const struct http_route *r, struct str name,
		const cJSON *parameters))
{
	open_member(w, member);
	for (const struct http_route *r = app_routes; r->path; r++) {
		_cleanup_(buf_fini) struct buf name = {0};

		if (!r->doc.messages)
			continue;
		add_name(&name, r);
		w->out->failed |= name.failed;
		write(w, r, buf_view(&name), parameters);
	}
	json_close(w, '}');
}

static void write_asyncapi(struct json_writer *w, const cJSON *api)
{
	json_open(w, '{');
	write_text(w, "asyncapi", "3.0.0");
	write_info(w, part(api, "asyncapi"));
	each_channel(w, "channels", part(api, "parameters"), write_channel);
	each_channel(w, "operations", NULL, write_sending);
	open_member(w, "components");
	open_member(w, "schemas");
	write_members(w, part(api, "shared"));
	write_members(w, part(api, "live"));
	json_close(w, '}');
	json_close(w, '}');
	json_close(w, '}');
}

/* --- routes --- */

static void answer(struct http_request *req, void (*write)(struct json_writer *w, const cJSON *api))
{
	_cleanup_(json_freep) cJSON *api = cJSON_Parse(api_files[0].text);
	struct buf body = {0};

	if (api)
		write(&(struct json_writer){&body, false}, api);
	else
		body.failed = true;
	http_reply_json(req, 200, &body);
}

void route_openapi(void *app, struct http_request *req)
{
	(void)app;
	answer(req, write_openapi);
}

void route_asyncapi(void *app, struct http_request *req)
{
	(void)app;
	answer(req, write_asyncapi);
}
