/* What http and exec are made of: signatures, what an answer means, lines for people; and that their page says what
 * their option tables say. */
#include "stages.h"

#include <stdio.h>

#include "../../plugins/answer.h"
#include "../../plugins/http_answer.h"
#include "../../plugins/question.h"
#include "../../plugins/signature.h"
#include "base/mem.h"
#include "base/option.h"
#include "stage/host.h"

static void text_finip(struct text *t)
{
	text_fini(t);
}

/* --- signatures --- */

/* The vector that the reference libraries of Standard Webhooks test themselves with. */
static void a_signature_is_that_of_standard_webhooks(void)
{
	static const char body[] = "{\"test\": 2432232314}";
	_cleanup_(text_finip) struct text out = {0}, two = {0};
	struct secrets secrets;
	const char *why;

	REQUIRE(secrets_read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", &secrets, &why) == 0);
	signature_write(
		&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body), &out);
	CHECK_TEXT(out.p, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
	REQUIRE(secrets_read("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\n"
			     "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
			&secrets, &why) == 0);
	CHECK_INT(secrets.n, 2);
	signature_write(
		&secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body), &two);
	CHECK(two.n == 2 * out.n + 1 && memcmp(two.p, out.p, out.n) == 0);
	CHECK(memcmp(two.p + out.n, " v1,", 4) == 0);
}

static void a_secret_has_24_to_64_bytes(void)
{
	static const char *const bad[] = {"", "\n", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!!",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		"AAAAAAAAAAAA",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw x"};
	_cleanup_(text_finip) struct text many = {0};
	struct secrets secrets;
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(secrets_read(bad[i], &secrets, &why), -EINVAL);
	for (size_t i = 0; i < SECRETS_MAX; i++)
		text_put(&many, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ");
	CHECK_INT(secrets_read(many.p, &secrets, &why), 0);
	text_put(&many, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
	CHECK_INT(secrets_read(many.p, &secrets, &why), -EINVAL);
	CHECK_TEXT(why, "there are more than 4 secrets");
	CHECK_INT(secrets_read("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA==", &secrets, &why), 0);
	CHECK_INT(secrets.list[0].n, 25);
}

/* --- what an answer means --- */

struct asked {
	struct stage_fixture fx;
	struct task *task;
	struct sl_task handle;
};

static const struct sl_host *ask(struct asked *a)
{
	struct err e = {0};

	if (stage_fixture_init(&a->fx, "STAGELINE_TEST_STAGES", "http",
		    "{url: 'http://example.com/'}", NULL, &e) < 0)
		CHECK_TEXT(err_text(&e), "");
	REQUIRE(a->fx.instance != NULL);
	a->task = stage_task(&a->fx, 1, "{}");
	a->handle = (struct sl_task){.task = a->task, .instance = a->fx.instance};
	return &a->fx.instance->host;
}

static void asked_fini(struct asked *a)
{
	task_free(a->task);
	stage_fixture_fini(&a->fx);
}

static int32_t verdict_of(struct asked *a, const struct sl_host *host, long status,
	const char *type, const char *body, long long retry_after_s)
{
	static const struct http_rules rules = {
		.timeout_ms = 9000, .wait_ms = 5000, .max_answer = 1000, .in_flight = 1};
	struct http_answer answer = {
		.url = "http://x/", .status = status, .retry_after_s = retry_after_s};
	int32_t verdict;

	task_clear_verdict(a->task);
	snprintf(answer.type, sizeof answer.type, "%s", type);
	text_put(&answer.body, body);
	verdict = http_answer_verdict(&answer, &rules, host, &a->handle);
	text_fini(&answer.body);
	return verdict;
}

static void every_status_has_its_verdict(void)
{
	struct asked a = {0};
	const struct sl_host *host = ask(&a);

	for (long status = 100; status < 600; status++) {
		int32_t verdict = verdict_of(&a, host, status, "", "", 7);
		bool is_done = status >= 200 && status < 300 && status != 202;
		bool is_no = status == 409 || status == 422;

		CHECK_INT(verdict, status == 202 ? SL_WAIT
				   : is_done	 ? SL_DONE
				   : is_no	 ? SL_FAIL
						 : SL_RETRY);
		CHECK_INT(a.task->delay_ms, status == 202		     ? 5000
					    : status == 429 || status == 503 ? 7000
									     : -1);
		CHECK(a.task->message && strstr(a.task->message, "POST http://x/: "));
	}
	CHECK_INT(verdict_of(&a, host, 429, "", "", INT64_MAX), SL_RETRY);
	CHECK_INT(a.task->delay_ms, 24 * 3600 * 1000);
	CHECK_INT(verdict_of(&a, host, 503, "", "", 0), SL_RETRY);
	CHECK_INT(a.task->delay_ms, -1);
	asked_fini(&a);
}

static void a_body_is_read_by_its_type_and_without_one_by_its_look(void)
{
	static const char body[] = " {\"message\":\"yes\"}\r\n";
	static const char *const json[] = {"", "application/json", "Application/JSON;charset=x",
		"application/problem+json", "application/vnd.shop.v1+json; a=b"};
	static const char *const other[] = {
		"text/plain", "application/jsonx", "text/html; x=+json"};
	struct asked a = {0};
	const struct sl_host *host = ask(&a);

	for (size_t i = 0; i < ARRAY_LEN(json); i++) {
		CHECK_INT(verdict_of(&a, host, 200, json[i], body, 0), SL_DONE);
		CHECK_TEXT(a.task->message, "yes");
	}
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		CHECK_INT(verdict_of(&a, host, 200, other[i], body, 0), SL_DONE);
		CHECK_TEXT(a.task->message, "POST http://x/: 200");
	}
	CHECK_INT(verdict_of(&a, host, 200, "", "yes", 0), SL_DONE);
	CHECK_INT(verdict_of(&a, host, 200, "application/json", "yes", 0), SL_RETRY);
	CHECK_INT(verdict_of(&a, host, 409, "application/json", "{\"detail\":", 0), SL_FAIL);
	CHECK_TEXT(a.task->message, "POST http://x/: 409");
	asked_fini(&a);
}

static void one_json_value_and_nothing_after_it(void)
{
	static const char *const good[] = {"{}", " {} \n", "7", "[1]", "\"x\""};
	static const char *const bad[] = {"", " ", "{", "{} x", "{}{}", "nonsense", "{}\x01"};

	for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
		bool is_good = i < ARRAY_LEN(good);
		const char *text = is_good ? good[i] : bad[i - ARRAY_LEN(good)];
		cJSON *value = answer_parse(text, strlen(text));

		CHECK((value != NULL) == is_good);
		cJSON_Delete(value);
	}
	CHECK(answer_parse("{}\0", 3) == NULL);
}

/* --- keys, lines --- */

static void another_signal_is_another_question(void)
{
	struct asked a = {0};
	const struct sl_host *host = ask(&a);
	struct question plain = question_of(host, &a.handle, 0), one, two;

	CHECK_TEXT(plain.key, host->idempotency_key(&a.handle));
	a.task->signal = "{\"n\":1}";
	one = question_of(host, &a.handle, 0);
	a.task->signal = "{\"n\":2}";
	two = question_of(host, &a.handle, 1);
	CHECK_INT(strlen(one.key), strlen(plain.key) + 17);
	CHECK(strcmp(one.key, two.key) != 0);
	CHECK_TEXT(two.direction, "undo");
	asked_fini(&a);
}

static void check_line(const char *in, size_t max, const char *expected)
{
	_cleanup_(text_finip) struct text out = {0};

	text_put(&out, "> ");
	text_line(&out, in, strlen(in), max);
	CHECK_TEXT(out.p + 2, expected);
}

static void a_line_for_people_is_one_line_of_utf8(void)
{
	check_line("", 10, "");
	check_line("plain", 10, "plain");
	check_line("\n a\t\r\n b \x1b[0m\x7f\n", 100, "a b [0m");
	check_line("\xc3\xbc\xff\xc3", 10, "\xc3\xbc??");
	check_line("\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf", 20, "?????????");
	check_line("\xc3\xbc\xc3\xbc\xc3\xbc", 5, "\xc3\xbc\xc3\xbc");
	check_line("a b c", 4, "a b");
}

/* --- their page --- */

static void check_options(const char *page, const char *name)
{
	const char *path;
	struct plugin_folders folders = stage_folders(&path, "STAGELINE_TEST_STAGES");
	const struct plugin *plugin;
	char *printed = NULL, head[64];
	const char *block;
	size_t n = 0;
	FILE *f = open_memstream(&printed, &n);

	REQUIRE(f && plugin_load(&folders, name, &plugin, NULL) == 0);
	option_print(plugin->stage->options, plugin->stage->n_options, f);
	fclose(f);
	snprintf(head, sizeof head, "```text options of %s\n", name);
	block = strstr(page, head);
	CHECK(block && strncmp(block + strlen(head), printed, n) == 0 &&
		strncmp(block + strlen(head) + n, "```\n", 4) == 0);
	if (getenv("PRINT"))
		printf("%s", printed);
	free(printed);
}

static void the_page_prints_the_option_tables(void)
{
	FILE *f = fopen(SOURCE_ROOT "/plugins/any-language.md", "re");
	static char page[64 * 1024];
	size_t n = f ? fread(page, 1, sizeof page - 1, f) : 0;

	REQUIRE(n > 0);
	fclose(f);
	check_options(page, "http");
	check_options(page, "exec");
}

UNIT_MAIN("services", TEST(a_signature_is_that_of_standard_webhooks),
	TEST(a_secret_has_24_to_64_bytes), TEST(every_status_has_its_verdict),
	TEST(a_body_is_read_by_its_type_and_without_one_by_its_look),
	TEST(one_json_value_and_nothing_after_it), TEST(another_signal_is_another_question),
	TEST(a_line_for_people_is_one_line_of_utf8), TEST(the_page_prints_the_option_tables))
