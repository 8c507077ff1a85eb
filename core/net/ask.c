/* What operators send: reading the small JSON objects, and the answers to what cannot be done. */
#include "net/ask.h"

#include "base/mem.h"

enum { KEY_MAX = 255 };

cJSON *ask_body(struct app *app, struct http_request *req)
{
	cJSON *body = NULL;
	struct err e = {0};
	int r;

	if (!http_is_json(req)) {
		http_problem(req, 415, "the request must be sent as application/json");
		return NULL;
	}
	r = json_parse(http_body(req), (unsigned)app->limits.json_depth, &body, &e);
	if (r < 0) {
		if (r == -ENOMEM)
			http_problem(req, 503, "no memory; nothing was changed");
		else
			http_problem(req, 400, "the body is not JSON: %s", err_text(&e));
		return NULL;
	}
	if (!cJSON_IsObject(body)) {
		cJSON_Delete(body);
		http_problem(req, 400, "the body must be a JSON object");
		return NULL;
	}
	return body;
}

void ask_refuse(struct http_request *req, const char *pointer, const char *detail)
{
	_cleanup_(buf_fini) struct buf errors = {0};
	struct json_writer w = {&errors, false};

	json_open(&w, '[');
	json_open(&w, '{');
	json_key(&w, "pointer");
	json_text(&w, pointer);
	json_key(&w, "detail");
	json_text(&w, detail);
	json_close(&w, '}');
	json_close(&w, ']');
	http_problem_errors(
		req, 422, "the request does not have the right shape", buf_view(&errors));
}

char *ask_reason(struct http_request *req, const cJSON *body)
{
	struct str reason = json_member(body, "reason");
	char *copy;

	if (!reason.n || reason.n > REASON_MAX) {
		ask_refuse(req, "/reason", "must say why, in 1 to 500 bytes");
		return NULL;
	}
	copy = str_dup(reason);
	if (!copy)
		http_problem(req, 503, "no memory");
	return copy;
}

bool ask_id(struct http_request *req, struct id *ret)
{
	if (id_parse(http_param(req, "id"), ret) == 0)
		return true;
	http_problem(req, 404, "there is no such order");
	return false;
}

bool ask_key(struct http_request *req, struct str *ret)
{
	bool is_fine;

	*ret = http_header(req, "Idempotency-Key");
	is_fine = !ret->p || (ret->n && ret->n <= KEY_MAX);
	for (size_t i = 0; i < ret->n && is_fine; i++)
		is_fine = ret->p[i] >= 0x21 && ret->p[i] <= 0x7e;
	if (!is_fine)
		http_problem(req, 400, "Idempotency-Key must be 1 to 255 visible ASCII characters");
	return is_fine;
}

struct command *ask_command(struct http_request *req, enum command_kind kind, char *reason)
{
	struct command *c = command_new(kind, req);

	if (!c) {
		free(reason);
		http_problem(req, 503, "no memory");
		return NULL;
	}
	c->reason = reason;
	return c;
}

void ask_answer_refused(struct http_request *req, const struct command *c)
{
	static const struct {
		int result, status;
	} statuses[] = {{-ENOENT, 404}, {-EALREADY, 409}, {-EAGAIN, 409}, {-EINVAL, 409},
		{-ERANGE, 409}, {-EEXIST, 422}, {-EPROTO, 500}, {-E2BIG, 500}};

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].result == c->result) {
			http_problem(req, statuses[i].status, "%s", err_text(&c->err));
			return;
		}
	http_add_header(req, "Retry-After", "5");
	http_problem(req, 503, "nothing was changed: %s", err_text(&c->err));
}
