/* What people do to one order, a stage or the state: cancel, signal, pause, resume, adjust. */
#include "base/mem.h"
#include "net/ask.h"

/* --- one order --- */

/* Done: the answer is the order as it is now. */
static void answer_order(struct command *c)
{
	struct http_request *req = c->context;

	if (c->result < 0)
		ask_answer_refused(req, c);
	else
		orders_answer_read(c->owner, req, &c->id);
	command_free(c);
}

/* What needs nothing but a reason. */
static void ask_of_order(struct app *app, struct http_request *req, enum command_kind kind)
{
	_cleanup_(json_freep) cJSON *body = NULL;
	struct command *c;
	char *reason;
	struct id id;

	if (!ask_id(req, &id) || !(body = ask_body(app, req)) ||
		!(reason = ask_reason(req, body)) || !(c = ask_command(req, kind, reason)))
		return;
	c->id = id;
	c->on_answer = answer_order;
	app_submit(app, c);
}

void route_cancel_order(void *app, struct http_request *req)
{
	ask_of_order(app, req, COMMAND_CANCEL);
}

void route_erase_order(void *app, struct http_request *req)
{
	ask_of_order(app, req, COMMAND_ERASE);
}

void route_signal_order(void *arg, struct http_request *req)
{
	struct app *app = arg;
	_cleanup_(json_freep) cJSON *body = NULL;
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	struct command *c;
	struct str key;
	struct id id;

	if (!ask_id(req, &id) || !ask_key(req, &key) || !(body = ask_body(app, req)) ||
		!(c = ask_command(req, COMMAND_SIGNAL, NULL)))
		return;
	json_tree(&w, body);
	c->id = id;
	c->on_answer = answer_order;
	c->stage = str_dup(http_param(req, "stage"));
	c->key = key.n ? str_dup(key) : NULL;
	c->body = buf_steal(&text, NULL);
	if (!c->stage || !c->body || (key.n && !c->key)) {
		command_free(c);
		http_problem(req, 503, "no memory");
		return;
	}
	app_submit(app, c);
}

/* --- stages --- */

static void answer_stage(struct command *c)
{
	struct http_request *req = c->context;

	if (c->result < 0)
		ask_answer_refused(req, c);
	else
		route_pipeline(c->owner, req);
	command_free(c);
}

static void pause_or_resume(struct app *app, struct http_request *req, enum command_kind kind)
{
	_cleanup_(json_freep) cJSON *body = ask_body(app, req);
	char *reason = body ? ask_reason(req, body) : NULL;
	struct command *c = reason ? ask_command(req, kind, reason) : NULL;

	if (!c)
		return;
	c->on_answer = answer_stage;
	c->stage = str_dup(http_param(req, "name"));
	if (!c->stage) {
		command_free(c);
		http_problem(req, 503, "no memory");
		return;
	}
	app_submit(app, c);
}

void route_pause_stage(void *app, struct http_request *req)
{
	pause_or_resume(app, req, COMMAND_PAUSE);
}

void route_resume_stage(void *app, struct http_request *req)
{
	pause_or_resume(app, req, COMMAND_RESUME);
}

/* --- the state --- */

static void answer_adjusted(struct command *c)
{
	struct http_request *req = c->context;
	struct buf body = {0};
	struct json_writer w = {&body, false};

	if (c->result < 0) {
		ask_answer_refused(req, c);
	} else {
		json_open(&w, '{');
		json_key(&w, "adjusted");
		json_str(&w, c->effect.key);
		json_close(&w, '}');
		http_reply_json(req, 200, &body);
	}
	command_free(c);
}

/* `delta` adds, with `floor` (default 0) as the limit; `value` sets; null deletes. False: answered. */
static bool take_effect(struct http_request *req, const cJSON *body, struct command *c)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	const cJSON *delta = cJSON_GetObjectItemCaseSensitive(body, "delta");
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(body, "value");
	const cJSON *floor = cJSON_GetObjectItemCaseSensitive(body, "floor");

	if (!delta == !value) {
		ask_refuse(req, "/delta",
			"give either `delta` to add, or `value` to set (null deletes)");
		return false;
	}
	if (delta) {
		c->effect.kind = EFFECT_ADD;
		if (!json_to_int(delta, &c->effect.delta)) {
			ask_refuse(req, "/delta", "must be a whole number");
			return false;
		}
		if (cJSON_IsNull(floor))
			c->effect.floor = EFFECT_NO_FLOOR;
		else if (floor && !json_to_int(floor, &c->effect.floor)) {
			ask_refuse(req, "/floor", "must be a whole number, or null for none");
			return false;
		}
		return true;
	}
	c->effect.kind = cJSON_IsNull(value) ? EFFECT_DELETE : EFFECT_PUT;
	json_tree(&w, value);
	c->body = buf_steal(&text, NULL);
	c->effect.json = c->effect.kind == EFFECT_PUT ? str_of(c->body) : (struct str){0};
	return true;
}

static bool take_key(struct http_request *req, const cJSON *body, struct command *c)
{
	struct str key = json_member(body, "key");

	if (!key.n || key.n > 256) {
		ask_refuse(req, "/key", "must be a key of 1 to 256 bytes");
		return false;
	}
	if (str_starts(key, STR("stageline/"))) {
		ask_refuse(req, "/key", "keys that start with stageline/ are Stageline's own");
		return false;
	}
	c->key = str_dup(key);
	c->effect.key = str_of(c->key);
	if (!c->key)
		http_problem(req, 503, "no memory");
	return c->key != NULL;
}

void route_adjust_state(void *arg, struct http_request *req)
{
	struct app *app = arg;
	_cleanup_(json_freep) cJSON *body = ask_body(app, req);
	char *reason = body ? ask_reason(req, body) : NULL;
	struct command *c = reason ? ask_command(req, COMMAND_ADJUST, reason) : NULL;

	if (!c)
		return;
	c->on_answer = answer_adjusted;
	if (!take_key(req, body, c) || !take_effect(req, body, c)) {
		command_free(c);
		return;
	}
	app_submit(app, c);
}
