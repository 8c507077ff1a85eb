/* http: asks the user's own service by POST and takes its answer for the verdict. plugins/any-language.md is its
 * page. A call waits for its answer without a thread; the stage is woken when it is there. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "http_loop.h"
#include "http_setup.h"
#include "question.h"
#include "refuse.h"

enum { LATER_SPARE_MS = 5000 };

struct http {
	const struct sl_host *host;
	const struct http_config *config;
	struct http_setup setup;
	struct http_loop *loop;
};

/* --- what is sent --- */

__attribute__((format(printf, 2, 3))) static bool add_header(
	struct http_call *call, const char *format, ...)
{
	char line[HTTP_HEADER_MAX + 1];
	struct curl_slist *grown;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	grown = n > 0 && (size_t)n < sizeof line ? curl_slist_append(call->headers, line) : NULL;
	if (!grown)
		return false;
	call->headers = grown;
	return true;
}

/* The order's id is a UUID: without its dashes it is the id of a trace. Whatever else it is gets one of its own. */
static void trace_id(const char *order_id, char out[33])
{
	size_t n = 0;

	for (const char *c = order_id; *c && n < 32; c++)
		if (isxdigit((unsigned char)*c))
			out[n++] = (char)tolower((unsigned char)*c);
	if (n < 32)
		snprintf(out, 33, "%016" PRIx64 "%016" PRIx64,
			text_hash(order_id, strlen(order_id)), text_hash(out, n) | 1);
	out[32] = '\0';
}

static bool add_headers(const struct http *h, const struct question *q, const char *order_id,
	uint32_t attempt, struct http_call *call)
{
	long long now_s = h->host->now_us(h->host) / 1000000;
	uint64_t span = (text_hash(q->key, strlen(q->key)) ^ attempt) | 1;
	struct text signature = {0};
	char trace[33];
	bool ok;

	trace_id(order_id, trace);
	signature_write(&h->setup.secrets, q->key, now_s, call->body.p, call->body.n, &signature);
	ok = add_header(call, "Content-Type: application/cloudevents+json; charset=utf-8") &&
	     add_header(call, "Accept: application/json, application/problem+json") &&
	     add_header(call, "Expect:") && add_header(call, "Idempotency-Key: %s", q->key) &&
	     add_header(call, "traceparent: 00-%s-%016" PRIx64 "-01", trace, span) &&
	     add_header(call, "webhook-id: %s", q->key) &&
	     add_header(call, "webhook-timestamp: %lld", now_s) &&
	     (!signature.n || add_header(call, "webhook-signature: %s", signature.p));
	for (size_t i = 0; ok && i < h->config->headers.n; i++)
		ok = add_header(call, "%s", h->config->headers.items[i]);
	for (const struct curl_slist *more = h->setup.more_headers; ok && more; more = more->next)
		ok = add_header(call, "%s", more->data);
	ok = ok && !signature.failed;
	text_fini(&signature);
	return ok;
}

static void write_time(const struct sl_host *host, struct text *out)
{
	int64_t us = host->now_us(host);
	time_t s = us / 1000000;
	struct tm tm;
	char text[32];

	gmtime_r(&s, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	text_fmt(out, "%s.%06dZ", text, (int)(us % 1000000));
}

/* A CloudEvent 1.0 in its JSON format. */
static void write_body(const struct http *h, const struct question *q, const struct sl_task *task,
	const char *order_id, struct text *out)
{
	text_put(out, "{\"specversion\":\"1.0\",\"id\":");
	text_json(out, q->key);
	text_fmt(out, ",\"source\":\"/stages/%s\",\"type\":\"stageline.stage.%s\",\"subject\":",
		h->host->stage_name(h->host), q->direction);
	text_json(out, order_id);
	text_put(out, ",\"time\":\"");
	write_time(h->host, out);
	text_put(out, "\",\"datacontenttype\":\"application/json\",\"data\":{");
	question_write(q, h->host, task, out);
	text_put(out, "}}");
}

static char *read_order_id(const struct http *h, const struct sl_task *task)
{
	size_t n;
	const char *order = h->host->order(task, &n);
	cJSON *json = cJSON_ParseWithLength(order, n);
	const char *id = answer_text(json, "id");
	char *copy = strdup(id ? id : "-");

	cJSON_Delete(json);
	return copy;
}

static struct http_call *make_call(
	const struct http *h, const struct http_target *target, struct sl_task *task, bool is_undo)
{
	struct question q = question_of(h->host, task, is_undo);
	struct http_call *call = calloc(1, sizeof *call);
	char *order_id = read_order_id(h, task);
	bool ok = call && order_id;

	if (ok) {
		call->pending.ticket = h->host->ticket(task);
		call->url = target->url;
		call->answer.url = target->shown;
		call->deadline_ms = http_now_ms() + h->config->timeout;
		write_body(h, &q, task, order_id, &call->body);
		ok = call->pending.ticket && !call->body.failed &&
		     add_headers(h, &q, order_id, h->host->attempt(task), call);
	}
	free(order_id);
	if (ok)
		return call;
	http_call_free(call);
	return NULL;
}

/* --- run and undo --- */

static int32_t ask(
	struct http *h, const struct http_target *target, struct sl_task *task, bool is_undo)
{
	bool is_under_way;
	struct http_call *call = http_loop_take(h->loop, h->host->ticket(task), &is_under_way);

	if (call) {
		int32_t verdict =
			http_answer_verdict(&call->answer, &h->setup.rules, h->host, task);

		http_call_free(call);
		return verdict;
	}
	if (!is_under_way) {
		call = make_call(h, target, task, is_undo);
		if (!call) {
			h->host->set_message(task,
				h->host->ticket(task) ? "no memory"
						      : "this host has no way to wake a stage");
			return SL_RETRY;
		}
		http_loop_start(h->loop, call);
	}
	h->host->delay(task, h->config->timeout + LATER_SPARE_MS);
	return SL_LATER;
}

static int32_t http_run(void *self, struct sl_task *task)
{
	struct http *h = self;

	return ask(h, &h->setup.run, task, false);
}

static int32_t http_undo(void *self, struct sl_task *task)
{
	struct http *h = self;

	return ask(h, &h->setup.undo, task, true);
}

/* --- the instance --- */

static void http_destroy(void *self)
{
	struct http *h = self;

	http_loop_destroy(h->loop);
	http_setup_fini(&h->setup);
	free(h);
}

static int32_t http_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct http *h;
	int r;

	if (host->size < offsetof(struct sl_host, wake) + sizeof host->wake)
		return refuse(host, -ENOSYS, "needs a host with ABI 1.1");
	h = calloc(1, sizeof *h);
	if (!h)
		return refuse(host, -ENOMEM, "no memory");
	h->host = host;
	h->config = config;
	r = http_setup_read(host, h->config, &h->setup);
	if (r == 0)
		r = http_loop_create(&(struct http_loop_options){.host = host,
					     .rules = h->setup.rules,
					     .connect_timeout_ms = h->config->connect_timeout,
					     .ca_file = h->config->ca_file},
			&h->loop);
	if (r < 0) {
		http_destroy(h);
		return r;
	}
	*ret_self = h;
	return 0;
}

#define OPTION(its_type, field, ...)                                                               \
	{                                                                                          \
		.type = SL_OPTION_##its_type, .name = #field,                                      \
		.offset = offsetof(struct http_config, field), __VA_ARGS__                         \
	}
#define DAY_MS INT64_C(86400000)

static const struct sl_option options[] = {
	OPTION(STRING, url, .flags = SL_OPTION_REQUIRED, .summary = "where to POST to"),
	OPTION(STRING, undo_url, .summary = "where to POST undo to; without it, to url"),
	OPTION(STRING, secret_file,
		.summary = "file with the secret that signs: whsec_…, one per line"),
	OPTION(STRING, secret, .summary = "the secret itself, where no file can be"),
	OPTION(STRING, ca_file, .summary = "certificates (PEM) to trust instead of the system's"),
	OPTION(LIST, headers, .summary = "further headers, each 'Name: value'"),
	OPTION(STRING, headers_file,
		.summary = "file with further ones, one per line: those that are secret"),
	OPTION(DURATION, timeout, .fallback = "9s", .min = 1, .max = DAY_MS,
		.summary = "from the task to the end of the answer"),
	OPTION(DURATION, connect_timeout, .fallback = "3s", .min = 1, .max = DAY_MS,
		.summary = "until the connection stands"),
	OPTION(INT, in_flight, .fallback = "50", .min = 1, .max = 10000,
		.summary = "requests under way at once; further ones wait"),
	OPTION(SIZE, max_answer, .fallback = "256KiB", .min = 1, .max = 16 * 1024 * 1024,
		.summary = "largest body of an answer"),
	OPTION(DURATION, wait, .fallback = "1d", .min = 1, .max = 400 * DAY_MS,
		.summary = "how long a 202 waits for its signal"),
};

SL_EXPORT const struct sl_stage stageline_stage = {
	.size = sizeof(struct sl_stage),
	.abi = SL_ABI,
	.name = "http",
	.version = "1.0",
	.summary = "Asks your own service by POST: CloudEvents, signed, its answer is the verdict",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS | SL_STAGE_NETWORK,
	.n_options = sizeof options / sizeof options[0],
	.option_size = sizeof(struct sl_option),
	.config_size = sizeof(struct http_config),
	.options = options,
	.create = http_create,
	.destroy = http_destroy,
	.run = http_run,
	.undo = http_undo,
};
