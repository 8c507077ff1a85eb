/* Loading the pipeline file anew: who asks for it, what is answered, logged and kept of how it went. */
#include "base/log.h"
#include "base/mem.h"
#include "net/ask.h"

enum { LOGGED_MAX = 20 };

static void log_faults(const struct command *c)
{
	_cleanup_(json_freep) cJSON *faults = c->errors ? cJSON_Parse(c->errors) : NULL;
	const cJSON *fault;
	int n = 0;

	log_error("reload refused: the generation that is current stays");
	cJSON_ArrayForEach (fault, faults) {
		int64_t line = 0, column = 0;

		if (n++ == LOGGED_MAX)
			break;
		json_to_int(cJSON_GetObjectItemCaseSensitive(fault, "line"), &line);
		json_to_int(cJSON_GetObjectItemCaseSensitive(fault, "column"), &column);
		log_error("%s:%lld:%lld: %s", json_member(fault, "file").p, (long long)line,
			(long long)column, json_member(fault, "detail").p);
	}
	n = cJSON_GetArraySize(faults);
	if (n > LOGGED_MAX)
		log_error("faults=%d in all", n);
	if (!faults)
		log_error("%s", err_text(&c->err));
}

/* Not the file's fault, but a reason all the same. */
static char *reason_as_errors(const struct command *c)
{
	struct buf text = {0};
	struct json_writer w = {&text, false};

	json_open(&w, '[');
	json_open(&w, '{');
	json_key(&w, "detail");
	json_text(&w, err_text(&c->err));
	json_close(&w, '}');
	json_close(&w, ']');
	return buf_steal(&text, NULL);
}

/* What GET /pipeline tells of it from now on. */
static void keep_report(struct app *app, struct command *c)
{
	struct reload_report *report = &app->last_reload;

	free(report->errors);
	*report = (struct reload_report){.at_us = clock_wall_us(),
		.is_ok = c->result == 0,
		.is_unchanged = c->is_unchanged,
		.errors = steal_ptr(c->errors)};
	if (c->result < 0 && !report->errors)
		report->errors = reason_as_errors(c);
	memcpy(report->generation, engine_pipeline(app->engine)->digest, sizeof report->generation);
}

void reload_write_report(struct app *app, struct json_writer *w)
{
	const struct reload_report *report = &app->last_reload;

	if (!report->at_us) {
		json_null(w);
		return;
	}
	json_open(w, '{');
	json_key(w, "at");
	json_time(w, report->at_us);
	json_key(w, "ok");
	json_bool(w, report->is_ok);
	json_key(w, "unchanged");
	json_bool(w, report->is_unchanged);
	json_key(w, "generation");
	json_text(w, report->generation);
	json_key(w, "errors");
	json_raw(w, report->errors ? str_of(report->errors) : STR("[]"));
	json_close(w, '}');
}

static void answer_request(struct app *app, struct http_request *req, const struct command *c)
{
	struct buf body = {0};
	struct json_writer w = {&body, false};

	if (c->result == -EINVAL) {
		http_problem_errors(req, 422,
			"the pipeline file has faults; the generation that is current stays",
			str_of(app->last_reload.errors));
		return;
	}
	if (c->result < 0) {
		ask_answer_refused(req, c);
		return;
	}
	json_open(&w, '{');
	json_key(&w, "generation");
	json_text(&w, c->digest);
	json_key(&w, "unchanged");
	json_bool(&w, c->is_unchanged);
	json_close(&w, '}');
	http_reply_json(req, 200, &body);
}

static void on_reloaded(struct command *c)
{
	struct app *app = c->owner;
	struct http_request *req = c->context;

	if (c->result == -EINVAL)
		log_faults(c);
	else if (c->result < 0)
		log_error("reload: nothing was changed: %s", err_text(&c->err));
	else if (c->is_unchanged)
		log_info("reload: generation=%s is current already", c->digest);
	keep_report(app, c);
	if (req)
		answer_request(app, req, c);
	command_free(c);
}

static void submit(struct app *app, struct http_request *req)
{
	struct command *c = command_new(COMMAND_RELOAD, req);

	if (!c && req)
		http_problem(req, 503, "no memory");
	if (!c)
		return;
	c->on_answer = on_reloaded;
	app_submit(app, c);
}

void app_reload(struct app *app)
{
	submit(app, NULL);
}

void route_reload(void *arg, struct http_request *req)
{
	struct app *app = arg;

	if (app->n_unanswered >= app->limits.unanswered) {
		http_problem(req, 503, "too much waits for the disk");
		return;
	}
	submit(app, req);
}
