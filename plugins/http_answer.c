/* The verdict of what came of a request: 2xx done, 202 wait, 409 and 422 fail, everything else retry. */
#include "http_answer.h"

#include <string.h>
#include <strings.h>

#include "answer.h"

enum { STATUS_ACCEPTED = 202, STATUS_CONFLICT = 409, STATUS_UNPROCESSABLE = 422 };
enum { DETAIL_MAX = 400, RETRY_AFTER_MAX_S = 24 * 3600 };

static int32_t say(
	int32_t verdict, struct text *message, const struct sl_host *host, struct sl_task *task)
{
	if (!message->failed && message->p)
		answer_message(message->p, host, task);
	text_fini(message);
	return verdict;
}

/* --- no answer --- */

static void describe_failure(const struct http_answer *a, struct text *out)
{
	static const struct {
		CURLcode code;
		const char *words;
	} failures[] = {
		{CURLE_COULDNT_CONNECT, "could not connect"},
		{CURLE_COULDNT_RESOLVE_HOST, "could not find the host"},
		{CURLE_SSL_CONNECT_ERROR, "could not connect by TLS"},
		{CURLE_PEER_FAILED_VERIFICATION, "its certificate is refused"},
		{CURLE_SSL_CACERT_BADFILE, "ca_file cannot be used"},
		{CURLE_GOT_NOTHING, "the connection was closed without an answer"},
		{CURLE_RECV_ERROR, "the connection broke before the end of the answer"},
		{CURLE_SEND_ERROR, "the connection broke while the request was sent"},
		{CURLE_PARTIAL_FILE, "the connection was closed before the end of the answer"},
		{CURLE_UNSUPPORTED_PROTOCOL, "the answer is not HTTP"},
		{CURLE_WEIRD_SERVER_REPLY, "the answer is not HTTP"},
	};
	const char *words = "no answer";

	for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
		if (failures[i].code == a->code)
			words = failures[i].words;
	text_put(out, words);
	if (a->code == CURLE_COULDNT_CONNECT && a->os_errno)
		text_fmt(out, ": %s", strerror((int)a->os_errno));
	else if (a->detail[0])
		text_fmt(out, ": %s", a->detail);
}

static int32_t have_no_answer(const struct http_answer *a, const struct http_rules *rules,
	const struct sl_host *host, struct sl_task *task)
{
	struct text message = {0};

	text_fmt(&message, "POST %s: ", a->url);
	if (a->code == CURLE_OUT_OF_MEMORY)
		text_put(&message, "no memory");
	else if (a->code == CURLE_FILESIZE_EXCEEDED)
		text_fmt(&message, "the answer is larger than %lld bytes",
			(long long)rules->max_answer);
	else if (a->code == CURLE_AGAIN)
		text_fmt(&message,
			"not sent within %lld ms: in_flight (%ld) others were under way all the "
			"time",
			(long long)rules->timeout_ms, rules->in_flight);
	else if (a->code == CURLE_OPERATION_TIMEDOUT)
		text_fmt(&message, "%s within %lld ms",
			a->is_connected ? "no answer" : "could not connect",
			(long long)rules->timeout_ms);
	else
		describe_failure(a, &message);
	return say(SL_RETRY, &message, host, task);
}

/* --- an answer --- */

static bool is_2xx(long status)
{
	return status >= 200 && status < 300;
}

/* By its type; without one, by how it begins. */
static bool is_json(const struct http_answer *a)
{
	size_t n = strcspn(a->type, "; ");

	if (!a->body.n)
		return false;
	if (!n)
		return a->body.p[strspn(a->body.p, " \t\r\n")] == '{';
	return (n == 16 && strncasecmp(a->type, "application/json", n) == 0) ||
	       (n > 5 && strncasecmp(a->type + n - 5, "+json", 5) == 0);
}

/* What the body says in words: detail and title are those of RFC 9457. NULL: nothing. */
static const char *words_of(const cJSON *body)
{
	static const char *const names[] = {"detail", "message", "title"};
	const char *text = NULL;

	for (size_t i = 0; i < sizeof names / sizeof names[0] && !text; i++)
		text = answer_text(body, names[i]);
	return text;
}

/* "POST URL: 500 Internal Server Error", and what the body says of it. */
static void describe_status(const struct http_answer *a, const cJSON *body, struct text *out)
{
	const char *text = words_of(body);

	text_fmt(out, "POST %s: %ld", a->url, a->status);
	if (a->reason[0])
		text_fmt(out, " %s", a->reason);
	if (text) {
		text_put(out, ": ");
		text_line(out, text, strlen(text), DETAIL_MAX);
	}
	if (a->status >= 300 && a->status < 400)
		text_put(out, a->redirect.n ? ", a redirect to " : ", a redirect");
	if (a->redirect.n)
		text_line(out, a->redirect.p, a->redirect.n, DETAIL_MAX);
	if (a->status >= 300 && a->status < 400)
		text_put(out, ", which is not followed");
}

static int32_t is_done(const struct http_answer *a, const cJSON *body, const struct sl_host *host,
	struct sl_task *task)
{
	struct text message = {0}, why = {0};
	int32_t verdict = SL_DONE;

	text_fmt(&message, "POST %s: %ld%s%s", a->url, a->status, a->reason[0] ? " " : "",
		a->reason);
	if (body && !cJSON_IsObject(body))
		text_put(&why, "its JSON is no object");
	else if (!body && is_json(a))
		text_put(&why, "its body is no JSON");
	else if (body)
		verdict = answer_hand_in(body, host, task, &why);
	if (why.n) {
		text_fmt(&message, ", but %s", why.p);
		verdict = SL_RETRY;
	}
	text_fini(&why);
	if (verdict == SL_DONE && answer_text(body, "message")) {
		text_fini(&message);
		return verdict;
	}
	return say(verdict, &message, host, task);
}

static int32_t is_no(const struct http_answer *a, const cJSON *body, const struct sl_host *host,
	struct sl_task *task)
{
	struct text message = {0};
	const char *text = words_of(body);

	if (text)
		text_put(&message, text);
	else
		describe_status(a, NULL, &message);
	return say(SL_FAIL, &message, host, task);
}

static int32_t is_accepted(const struct http_answer *a, const cJSON *body,
	const struct http_rules *rules, const struct sl_host *host, struct sl_task *task)
{
	struct text message = {0};
	const char *text = answer_text(body, "message");

	host->delay(task, rules->wait_ms);
	if (text)
		text_put(&message, text);
	else
		describe_status(a, NULL, &message);
	return say(SL_WAIT, &message, host, task);
}

static int32_t is_trouble(const struct http_answer *a, const cJSON *body,
	const struct sl_host *host, struct sl_task *task)
{
	struct text message = {0};
	long long s = a->retry_after_s;

	if ((a->status == 429 || a->status == 503) && s > 0)
		host->delay(task, (s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S) * 1000);
	describe_status(a, body, &message);
	return say(SL_RETRY, &message, host, task);
}

int32_t http_answer_verdict(const struct http_answer *a, const struct http_rules *rules,
	const struct sl_host *host, struct sl_task *task)
{
	cJSON *body = NULL;
	int32_t verdict;

	if (a->code != CURLE_OK)
		return have_no_answer(a, rules, host, task);
	if (is_json(a))
		body = answer_parse(a->body.p, a->body.n);
	if (a->status == STATUS_ACCEPTED)
		verdict = is_accepted(a, body, rules, host, task);
	else if (is_2xx(a->status))
		verdict = is_done(a, body, host, task);
	else if (a->status == STATUS_CONFLICT || a->status == STATUS_UNPROCESSABLE)
		verdict = is_no(a, body, host, task);
	else
		verdict = is_trouble(a, body, host, task);
	cJSON_Delete(body);
	return verdict;
}
