/* The pipeline file: what it means, everything wrong with one in one go, and the shipped one. */
#include <openssl/crypto.h>

#include "alloc_fault.h"
#include "base/buf.h"
#include "base/clock.h"
#include "faults.h"
#include "model/pipeline.h"

static char *read_shipped(const char *path, size_t *ret_length)
{
	char *text = NULL;

	REQUIRE(yaml_read(path, &text, ret_length, NULL) == 0);
	return text;
}

static struct pipeline *parsed(const char *text)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(freep) char *wrong = NULL;
	struct pipeline *p = NULL;
	int r = pipeline_parse(str_of(text), &p, &faults);

	wrong = faults_text(&faults);
	CHECK_TEXT(wrong, "");
	REQUIRE(r == 0);
	return p;
}

static void check_faults(const char *text, const char *want)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(freep) char *got = NULL;
	struct pipeline *p = NULL;

	CHECK_INT(pipeline_parse(str_of(text), &p, &faults), -EINVAL);
	CHECK(p == NULL);
	got = faults_text(&faults);
	CHECK_TEXT(got, want);
}

static void the_shipped_pipeline_is_right(void)
{
	size_t length;
	_cleanup_(freep) char *text = read_shipped(SOURCE_ROOT "/config/orders.yaml", &length);
	_cleanup_(pipeline_freep) struct pipeline *p = parsed(text);

	CHECK_TEXT(p->name, "orders");
	CHECK_INT(p->n_stages, 4);
	CHECK_INT(strlen(p->digest), 16);
	CHECK_TEXT(p->stages[1].status, "payment_processing");
	CHECK_TEXT(p->stages[1].undo_event, "payment_refunded");
	CHECK_INT(p->stages[3].after, 1 << 2);
	CHECK_INT(p->stages[3].in_flight, 1024);
	CHECK_INT(p->stages[1].breaker.failures, 10);
	CHECK_INT(p->stages[2].breaker.failures, 0);
	CHECK_INT(pipeline_find(p, STR("inventory")), 2);
	CHECK_INT(pipeline_find(p, STR("nobody")), -1);
	CHECK_INT(yaml_get(p->state, "stock/PROD-004")->integer, 0);
	CHECK_TEXT(p->catalog.p, "[{\"id\":\"PROD-001\",\"name\":\"Laptop\",\"price\":999.99},"
				 "{\"id\":\"PROD-002\",\"name\":\"Mouse\",\"price\":29.99},"
				 "{\"id\":\"PROD-003\",\"name\":\"Keyboard\",\"price\":79.99},"
				 "{\"id\":\"PROD-004\",\"name\":\"Monitor\",\"price\":299.99}]");
}

static void a_stage_needs_no_more_than_its_name(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p =
		parsed("pipeline: p\nstages: [{name: pick-up}]\n");
	const struct stage_spec *s = &p->stages[0];

	CHECK_TEXT(s->plugin, "pick-up");
	CHECK_TEXT(s->status, "pick-up");
	CHECK_TEXT(s->event, "pick_up_done");
	CHECK(s->undo_event == NULL);
	CHECK(s->after == 0 && s->workers == 4 && s->in_flight == 256 && s->timeout_ms == 10000);
	CHECK(s->retry.attempts == 5 && s->retry.backoff_ms == 200 && s->retry.factor == 2);
	CHECK(s->retry.max_ms == 30000 && s->retry.jitter == 0.2 && !s->irreversible);
	CHECK(s->config == NULL && p->state == NULL);
	CHECK(s->breaker.failures == 0 && s->rate.n == 0 && s->on_exhausted == EXHAUSTED_HOLD);
	CHECK_TEXT(p->catalog.p, "[]");
}

static void defaults_hold_where_a_stage_says_nothing(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p =
		parsed("pipeline: p\ndefaults: {workers: 9, retry: {attempts: 2, jitter: 0}}\n"
		       "stages:\n- {name: a, timeout: 1s, retry: {attempts: 7}}\n- {name: b, "
		       "workers: 1}\n");

	CHECK(p->stages[0].workers == 9 && p->stages[0].timeout_ms == 1000);
	CHECK(p->stages[0].retry.attempts == 7 && p->stages[0].retry.jitter == 0);
	CHECK(p->stages[1].workers == 1 && p->stages[1].timeout_ms == 10000);
	CHECK_INT(p->stages[1].retry.attempts, 2);
}

static void a_breaker_is_there_where_somebody_asks_for_it(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p =
		parsed("pipeline: p\nstages:\n- {name: a, breaker: {failures: 3, window: 1m}}\n"
		       "- {name: b, breaker: {}}\n- name: c\n");
	const struct breaker_policy *b = &p->stages[0].breaker;

	CHECK(b->failures == 3 && b->window_ms == 60000);
	CHECK(b->open_for_ms == 15000 && b->probes == 1);
	CHECK(p->stages[1].breaker.failures == 10 && p->stages[1].breaker.window_ms == 30000);
	CHECK(p->stages[2].breaker.failures == 0 && p->stages[2].breaker.window_ms == 0);
}

static void a_breaker_for_all_can_be_changed_or_taken_away(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p =
		parsed("pipeline: p\ndefaults: {breaker: {failures: 5}, on_exhausted: fail}\n"
		       "stages:\n- name: a\n- {name: b, breaker: {open_for: 1s}, "
		       "on_exhausted: hold}\n- {name: c, breaker: {failures: 0}}\n");

	CHECK_INT(p->stages[0].breaker.failures, 5);
	CHECK_INT(p->stages[0].on_exhausted, EXHAUSTED_FAIL);
	CHECK_INT(p->stages[1].breaker.failures, 5);
	CHECK_INT(p->stages[1].breaker.open_for_ms, 1000);
	CHECK_INT(p->stages[1].on_exhausted, EXHAUSTED_HOLD);
	CHECK_INT(p->stages[2].breaker.failures, 0);
}

static void a_rate_is_a_number_and_its_time(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p = parsed(
		"pipeline: p\nstages: [{name: a, rate: 200/s}, {name: b, rate: 1/m}, {name: c, "
		"rate: '1000000/h'}]\n");

	CHECK(p->stages[0].rate.n == 200 && p->stages[0].rate.per_ms == 1000);
	CHECK(p->stages[1].rate.n == 1 && p->stages[1].rate.per_ms == 60000);
	CHECK(p->stages[2].rate.n == 1000000 && p->stages[2].rate.per_ms == 3600000);
}

static void odd_rates_are_refused(void)
{
	static const char *const bad[] = {"200", "0/s", "-1/s", "1.5/s", "1000001/s", "1/d", "/s",
		"1/", "1/s/s", "01/s", "99999999999999999999/s", "''", "[1]", "{}", ""};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_(buf_fini) struct buf text = {0};

		buf_fmt(&text, "pipeline: p\nstages: [{name: a, rate: %s}]", bad[i]);
		check_faults(text.data,
			"f:2:26: error: 'rate' must be a number up to 1000000 and its time, such "
			"as 200/s, 30/m or 5/h\n");
	}
}

static void odd_policies_are_refused(void)
{
	check_faults("pipeline: p\ndefaults: {rate: 1/s}\nstages:\n"
		     "- {name: a, breaker: {failure: 1, probes: 0}, on_exhausted: stop}\n"
		     "- {name: b, breaker: 3}\n",
		"f:2:12: error: unknown key 'rate'\n"
		"f:4:23: error: unknown key 'failure' (did you mean 'failures'?)\n"
		"f:4:43: error: 'probes' must be between 1 and 1000, not '0'\n"
		"f:4:61: error: 'on_exhausted' must be one of hold, fail, not the text 'stop'\n"
		"f:5:22: error: 'breaker' must be a map of options\n");
}

static void branches_and_joins_come_from_after(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p = parsed(
		"pipeline: p\nstages:\n- {name: join, after: [a, b]}\n- {name: a, after: []}\n"
		"- {name: b, after: []}\n- {name: end, after: [join]}\n- name: last\n");

	CHECK_INT(p->stages[0].after, 1 << 1 | 1 << 2);
	CHECK_INT(p->stages[1].after, 0);
	CHECK_INT(p->stages[3].after, 1 << 0);
	CHECK_INT(p->stages[4].after, 1 << 3);
}

static void circles_are_named_once(void)
{
	check_faults(
		"pipeline: p\nstages:\n- {name: a, after: [c]}\n- name: b\n- name: c\n- name: d\n",
		"f:3:20: error: stages that wait for each other never start: a -> c -> b -> a\n");
}

static void all_faults_of_a_file_come_in_one_go(void)
{
	check_faults("pipeline: Orders\n"
		     "defaults: {worker: 4, timeout: 10, retry: {backoff: 40s}}\n"
		     "catalog:\n"
		     "  - {id: A, name: x, price: 1.999}\n"
		     "  - {id: A, name: y, price: 1, extra: [1]}\n"
		     "state: {a: , b: .inf}\n"
		     "stages:\n"
		     "  - name: payment\n"
		     "    status: failed\n"
		     "    event: order_created\n"
		     "    after: [payment, shiping]\n"
		     "  - name: shipping\n"
		     "    braker: {}\n"
		     "    config: [1]\n"
		     "  - name: payment\n"
		     "    event: shipping_done\n"
		     "  - {}\n"
		     "  - 5\n",
		"f:1:11: error: name 'Orders' must start with a letter and be a-z, 0-9, _ and -, "
		"up "
		"to 64\n"
		"f:2:12: error: unknown key 'worker' (did you mean 'workers'?)\n"
		"f:2:32: error: 'timeout' must be a time with its unit, such as 200ms, 5s, 2m, 1h "
		"or "
		"30d, not '10'\n"
		"f:2:53: error: the longest wait (max: 30s) is shorter than the first one "
		"(backoff: "
		"40s)\n"
		"f:4:29: error: 'price' must be a number above 0 with at most two decimals, such "
		"as "
		"19.99\n"
		"f:5:10: error: product 'A' is there already, in line 4\n"
		"f:5:39: error: 'extra' must be text, a finite number, true, false or null\n"
		"f:6:12: error: 'a' has no initial value\n"
		"f:6:17: error: a state value must be a finite number\n"
		"f:9:13: error: status 'failed' has a meaning of its own; give the stage another "
		"`status`\n"
		"f:10:12: error: event 'order_created' is an event of Stageline itself; choose "
		"another\n"
		"f:11:13: error: stage 'payment' cannot come after itself\n"
		"f:11:22: error: no stage is called 'shiping' (did you mean 'shipping'?)\n"
		"f:13:5: error: unknown key 'braker' (did you mean 'breaker'?)\n"
		"f:14:13: error: 'config' must be a map of the plugin's options\n"
		"f:15:11: error: stage 'payment' is there already, in line 8; names must differ\n"
		"f:16:12: error: event 'shipping_done' is the event of stage 'shipping' already; "
		"every event needs its own name\n"
		"f:17:5: error: 'name' is missing: the stage's name: a-z, 0-9, _ and -\n"
		"f:18:5: error: a map of options (key: value) is wanted here\n");
}

static void a_word_of_the_wrong_type_is_one_fault(void)
{
	check_faults(
		"pipeline: p\nstages: [{name: a, status: 1, event: 2, undo_event: 3, after: b}]\n",
		"f:2:28: error: 'status' must be text; write it in quotes: \"1\"\n"
		"f:2:38: error: 'event' must be text; write it in quotes: \"2\"\n"
		"f:2:53: error: 'undo_event' must be text; write it in quotes: \"3\"\n"
		"f:2:63: error: 'after' must be a list, such as [a, b], not the text 'b'\n");
}

static void an_empty_file_says_what_is_missing(void)
{
	check_faults("",
		"f:1:1: error: 'pipeline' is missing: the pipeline's name: a-z, 0-9, _ and "
		"-\n"
		"f:1:1: error: 'stages' is missing: what an order goes through\n");
	check_faults("pipeline: p\nstages: []\n",
		"f:2:9: error: 'stages' must be a list of 1 to 64 stages\n");
}

static void sixty_five_stages_are_too_many(void)
{
	_cleanup_(buf_fini) struct buf text = {0};
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;

	buf_text(&text, "pipeline: p\nstages:\n");
	for (int i = 0; i < 64; i++)
		buf_fmt(&text, "- name: s%d\n", i);
	p = parsed(text.data);
	CHECK(p->n_stages == 64 && p->stages[63].after == UINT64_C(1) << 62);
	buf_text(&text, "- name: one-more\n");
	check_faults(text.data, "f:3:1: error: 'stages' must be a list of 1 to 64 stages\n");
}

static void reading_goes_on_past_faults(void)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;

	CHECK_INT(pipeline_read(
			  STR("stages: [{plugin: x}, {}, {name: b, workers: -1}]"), &p, &faults),
		0);
	REQUIRE(p != NULL);
	CHECK_INT(faults.n, 4);
	CHECK_INT(p->n_stages, 2);
	CHECK_TEXT(p->stages[0].name, "?");
	CHECK_TEXT(p->stages[1].plugin, "b");
}

static void state_values_become_json(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p =
		parsed("pipeline: p\nstate: {k: {a: [1, 2.5, 'x', true, null], \"é\\n\": 0x10}}\n"
		       "stages: [{name: a}]\n");
	_cleanup_(buf_fini) struct buf out = {0};

	pipeline_state_json(p->state->first, &out);
	CHECK_TEXT(out.data, "{\"a\":[1,2.5,\"x\",true,null],\"é\\n\":16}");
}

static void prices_are_exact(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p =
		parsed("pipeline: p\ncatalog:\n- {id: a, name: A, price: 0.1, tag: new, n: 3}\n"
		       "- {id: b, name: B, price: 20}\n- {id: c, name: C, price: 999999999999.99}\n"
		       "stages: [{name: a}]\n");

	CHECK_TEXT(p->catalog.p,
		"[{\"id\":\"a\",\"name\":\"A\",\"price\":0.10,\"tag\":\"new\",\"n\":3},"
		"{\"id\":\"b\",\"name\":\"B\",\"price\":20.00},"
		"{\"id\":\"c\",\"name\":\"C\",\"price\":999999999999.99}]");
}

static void odd_prices_are_refused(void)
{
	static const char *const bad[] = {"0", "-1", "1.234", "1e3", "0x10", ".inf", "'5'", "[1]",
		"9999999999999", "+1", ".5"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_(buf_fini) struct buf text = {0};

		buf_fmt(&text,
			"pipeline: p\nstages: [{name: a}]\ncatalog: [{id: a, name: A, price: %s}]",
			bad[i]);
		check_faults(text.data,
			"f:3:35: error: 'price' must be a number above 0 with at most "
			"two decimals, such as 19.99\n");
	}
}

static void a_generation_is_named_by_its_text(void)
{
	_cleanup_(pipeline_freep) struct pipeline *p = parsed("{pipeline: p, stages: [{name: a}]}");

	/* printf '{pipeline: p, stages: [{name: a}]}' | sha256sum */
	CHECK_TEXT(p->digest, "599e0447bada48e8");
}

static void a_set_keeps_one_of_each(void)
{
	static const char one[] = "{pipeline: p, stages: [{name: a}]}";
	struct pipeline_set set = {0};
	struct pipeline *p = parsed(one);
	const struct pipeline *other;

	CHECK(pipeline_set_add(&set, p) == p);
	CHECK(pipeline_set_add(&set, parsed(one)) == p);
	other = pipeline_set_add(&set, parsed("{pipeline: q, stages: [{name: a}]}"));
	CHECK(other != p && pipeline_set_find(&set, str_of(other->digest)) == other);
	CHECK(pipeline_set_find(&set, str_of(p->digest)) == p);
	CHECK(pipeline_set_find(&set, STR("0000000000000000")) == NULL);
	pipeline_set_fini(&set);
}

static void the_schema_in_config_is_the_one_the_tables_print(void)
{
	size_t length;
	_cleanup_(freep) char *text =
		read_shipped(SOURCE_ROOT "/config/pipeline.schema.json", &length);
	_cleanup_(buf_fini) struct buf out = {0};
	_cleanup_(json_freep) cJSON *want = NULL, *got = NULL;
	struct json_writer w = {&out, false};

	pipeline_schema(&w);
	REQUIRE(json_parse(buf_view(&out), JSON_DEPTH_MAX, &want, NULL) == 0);
	REQUIRE(json_parse((struct str){text, length}, JSON_DEPTH_MAX, &got, NULL) == 0);
	CHECK(cJSON_Compare(want, got, true)); /* else: stageline check --schema > that file */
}

/* Parses with the n-th allocation failing. Returns whether it got that far. */
static bool parse_without_memory(struct str text, size_t n)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;
	bool failed;
	int r;

	alloc_fault_at(n);
	r = pipeline_parse(text, &p, &faults);
	failed = alloc_fault_end();
	CHECK_INT(r, failed && r ? -ENOMEM : 0);
	CHECK((r == 0) == (p != NULL));
	return failed;
}

/* libcrypto keeps a queue of errors per thread, which is not what is looked for. */
static long balance_without_libcrypto(void)
{
	OPENSSL_thread_stop();
	return alloc_fault_balance();
}

/* Twice: what libcrypto keeps for the process is there on the second run. */
static void no_allocation_that_fails_is_missed(void)
{
	size_t length;
	_cleanup_(freep) char *text = read_shipped(SOURCE_ROOT "/config/orders.yaml", &length);
	long before = 0;

	for (int run = 0; run < 2; run++) {
		before = balance_without_libcrypto();
		for (size_t n = 1; parse_without_memory((struct str){text, length}, n); n++)
			;
	}
	CHECK_INT(balance_without_libcrypto(), before);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

/* SEED=… repeats a run. */
static void damaged_files_never_crash(void)
{
	static const char bytes[] = "[]{}:,-&*!|>'\"%@`#?~ \n\t\\<0a\xff\xc3";
	size_t length;
	_cleanup_(freep) char *text = read_shipped(SOURCE_ROOT "/config/orders.yaml", &length);
	_cleanup_(freep) char *copy = malloc(length);
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_wall_us();

	REQUIRE(copy != NULL);
	printf("SEED=%llu ", (unsigned long long)seed);
	for (int i = 0; i < 2000; i++) {
		_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
		_cleanup_(pipeline_freep) struct pipeline *p = NULL;
		size_t n = length - next_random(&seed) % 4 * (next_random(&seed) % length) / 4;
		int r;

		memcpy(copy, text, length);
		for (uint64_t hits = 1 + next_random(&seed) % 8; hits; hits--)
			copy[next_random(&seed) % length] =
				bytes[next_random(&seed) % (sizeof bytes - 1)];
		r = pipeline_parse((struct str){copy, n}, &p, &faults);
		CHECK(r == 0 ? faults.n == 0 : r == -EINVAL && faults.n > 0);
	}
}

UNIT_MAIN("pipeline", TEST(the_shipped_pipeline_is_right),
	TEST(a_stage_needs_no_more_than_its_name), TEST(defaults_hold_where_a_stage_says_nothing),
	TEST(a_breaker_is_there_where_somebody_asks_for_it),
	TEST(a_breaker_for_all_can_be_changed_or_taken_away), TEST(a_rate_is_a_number_and_its_time),
	TEST(odd_rates_are_refused), TEST(odd_policies_are_refused),
	TEST(branches_and_joins_come_from_after), TEST(circles_are_named_once),
	TEST(all_faults_of_a_file_come_in_one_go), TEST(an_empty_file_says_what_is_missing),
	TEST(a_word_of_the_wrong_type_is_one_fault), TEST(sixty_five_stages_are_too_many),
	TEST(reading_goes_on_past_faults), TEST(state_values_become_json), TEST(prices_are_exact),
	TEST(odd_prices_are_refused), TEST(a_generation_is_named_by_its_text),
	TEST(a_set_keeps_one_of_each), TEST(the_schema_in_config_is_the_one_the_tables_print),
	TEST(no_allocation_that_fails_is_missed), TEST(damaged_files_never_crash))
