/* The history: what its rings keep of what counters and gauges say, for how long, and how it reads. */
#include "base/mem.h"
#include "net/history.h"
#include "unit.h"

static struct history *history;
static struct histogram commit_us;
static struct host_reading host;
static struct tally *tallies, *pay;
static struct engine_stage_gauges gauges;

static void open_history(void)
{
	commit_us = (struct histogram){0};
	host = (struct host_reading){.generation = "0123456789abcdef", .commit_us = &commit_us};
	history = history_create();
	REQUIRE(history != NULL);
	pay = tally_get(&tallies, "payment");
	REQUIRE(pay != NULL);
	gauges = (struct engine_stage_gauges){.is_current = true, .served_by = 1};
}

static void close_history(void)
{
	history_free(history);
	tally_free_all(&tallies);
}

static void second(void)
{
	host.wall_us += 1000000;
	host.mono_ms += 1000;
	history_begin(history, &host);
	history_stage(history, pay, &gauges);
	history_end(history);
}

static void verdicts(enum verdict v, int n)
{
	struct task t = {.verdict = v, .duration_us = 100};

	for (int i = 0; i < n; i++)
		tally_verdict(pay, &t);
}

static cJSON *whole(void)
{
	_cleanup_(buf_fini) struct buf text = {0};
	cJSON *j = NULL;

	history_json(history, &(struct json_writer){&text, false});
	REQUIRE(json_parse(buf_view(&text), 8, &j, NULL) == 0);
	return j;
}

static cJSON *sample(void)
{
	_cleanup_(buf_fini) struct buf text = {0};
	cJSON *j = NULL;

	history_sample_json(history, &(struct json_writer){&text, false});
	REQUIRE(json_parse(buf_view(&text), 8, &j, NULL) == 0);
	return j;
}

static const cJSON *at(const cJSON *j, const char *a, const char *b, const char *c)
{
	const char *const path[] = {a, b, c};

	for (size_t i = 0; i < 3 && path[i]; i++)
		j = cJSON_GetObjectItemCaseSensitive(j, path[i]);
	return j;
}

static int nth(const cJSON *list, int i)
{
	const cJSON *item = cJSON_GetArrayItem(list, i);

	return cJSON_IsNumber(item) ? item->valueint : -1;
}

static void a_second_has_what_came_since_the_one_before(void)
{
	_cleanup_(json_freep) cJSON *j = NULL;
	const cJSON *out, *errors;

	open_history();
	host.orders.accepted = 1000;
	verdicts(VERDICT_DONE, 7);
	second(); /* what was before it belongs to none */
	host.orders.accepted += 5;
	host.orders.on_hold = 2;
	verdicts(VERDICT_DONE, 3);
	verdicts(VERDICT_RETRY, 1);
	verdicts(VERDICT_TIMEOUT, 1);
	verdicts(VERDICT_FAIL, 2);
	gauges.waiting = 4;
	second();
	j = whole();
	CHECK_INT(nth(at(j, "orders", "accepted", NULL), 0), 0);
	CHECK_INT(nth(at(j, "orders", "accepted", NULL), 1), 5);
	CHECK_INT(nth(at(j, "orders", "on_hold", NULL), 1), 2);
	CHECK_INT(nth(at(j, "at_ms", NULL, NULL), 1), 2000);
	CHECK_INT(nth(at(j, "span_ms", NULL, NULL), 1), 1000);
	out = at(j, "stages", "payment", "out");
	errors = at(j, "stages", "payment", "errors");
	CHECK_INT(nth(out, 0), 0);
	CHECK_INT(nth(out, 1), 7);
	CHECK_INT(nth(errors, 1), 2);
	CHECK_INT(nth(at(j, "stages", "payment", "failed"), 1), 2);
	CHECK_INT(nth(at(j, "stages", "payment", "in"), 1), 4);
	close_history();
}

static void it_keeps_five_minutes_and_no_more(void)
{
	_cleanup_(json_freep) cJSON *j = NULL;

	open_history();
	for (int i = 0; i < 3 * HISTORY_SECONDS / 2; i++)
		second();
	j = whole();
	CHECK_INT(cJSON_GetArraySize(at(j, "at_ms", NULL, NULL)), HISTORY_SECONDS);
	CHECK_INT(cJSON_GetArraySize(at(j, "stages", "payment", "out")), HISTORY_SECONDS);
	CHECK_INT(nth(at(j, "at_ms", NULL, NULL), 0),
		(3 * HISTORY_SECONDS / 2 + 1 - HISTORY_SECONDS) * 1000);
	CHECK_INT(nth(at(j, "at_ms", NULL, NULL), HISTORY_SECONDS - 1),
		3 * HISTORY_SECONDS / 2 * 1000);
	close_history();
}

static void quantiles_are_those_of_the_last_minute(void)
{
	open_history();
	second();
	verdicts(VERDICT_DONE, 1);
	second();
	for (int i = 0; i < 70; i++) {
		_cleanup_(json_freep) cJSON *j = sample();
		const cJSON *p50 = at(j, "stages", "payment", "p50_us");

		if (i < 50)
			CHECK(cJSON_IsNumber(p50) && p50->valueint <= 100);
		if (i >= 61)
			CHECK(cJSON_IsNull(p50));
		second();
	}
	close_history();
}

static void a_stage_that_came_later_has_nulls_before(void)
{
	_cleanup_(json_freep) cJSON *j = NULL;

	open_history();
	host.mono_ms += 1000;
	history_begin(history, &host);
	history_end(history);
	CHECK_INT((int64_t)history_stages(history), 0);
	second();
	j = whole();
	CHECK(cJSON_IsNull(cJSON_GetArrayItem(at(j, "stages", "payment", "out"), 0)));
	CHECK_INT(nth(at(j, "stages", "payment", "out"), 1), 0);
	close_history();
}

static void a_stage_that_is_no_more_is_forgotten_with_its_last_second(void)
{
	open_history();
	second();
	gauges.is_current = false;
	for (int i = 0; i < HISTORY_SECONDS - 1; i++) {
		second();
		CHECK_INT((int64_t)history_stages(history), 1);
	}
	second();
	CHECK_INT((int64_t)history_stages(history), 0);
	gauges.waiting = 1; /* an order of its generation is there again */
	second();
	CHECK_INT((int64_t)history_stages(history), 1);
	close_history();
}

static void more_stages_than_there_are_places_have_no_history(void)
{
	char name[16];

	open_history();
	history_begin(history, &host);
	for (int i = 0; i < HISTORY_STAGES_MAX + 10; i++) {
		struct tally *t;

		snprintf(name, sizeof name, "stage%d", i);
		t = tally_get(&tallies, name);
		REQUIRE(t != NULL);
		history_stage(history, t, &gauges);
	}
	history_end(history);
	CHECK_INT((int64_t)history_stages(history), HISTORY_STAGES_MAX);
	close_history();
}

static void a_sample_tells_how_the_stage_stands(void)
{
	_cleanup_(json_freep) cJSON *j = NULL;
	const cJSON *stage;

	open_history();
	gauges.is_paused = true;
	gauges.breaker = 1;
	gauges.served_by = 0;
	gauges.out = 3;
	second();
	j = sample();
	stage = at(j, "stages", "payment", NULL);
	CHECK(cJSON_IsTrue(at(stage, "paused", NULL, NULL)));
	CHECK(strcmp(at(stage, "breaker", NULL, NULL)->valuestring, "open") == 0);
	CHECK_INT(at(stage, "served_by", NULL, NULL)->valueint, 0);
	CHECK_INT(at(stage, "running", NULL, NULL)->valueint, 3);
	CHECK(strcmp(at(j, "generation", NULL, NULL)->valuestring, "0123456789abcdef") == 0);
	close_history();
}

UNIT_MAIN("history", TEST(a_second_has_what_came_since_the_one_before),
	TEST(it_keeps_five_minutes_and_no_more), TEST(quantiles_are_those_of_the_last_minute),
	TEST(a_stage_that_came_later_has_nulls_before),
	TEST(a_stage_that_is_no_more_is_forgotten_with_its_last_second),
	TEST(more_stages_than_there_are_places_have_no_history),
	TEST(a_sample_tells_how_the_stage_stands))
