/* One call of a plugin: what it sees, what of its answer is taken, and what is refused. */
#include "base/clock.h"
#include "stages.h"

static struct task *run(const char *order)
{
	struct stage_fixture fx;
	struct err e = {0};
	struct task *t;

	REQUIRE(stage_fixture_init(&fx, "STAGELINE_TEST_MOCKS", "probe", NULL, "[\"cat\"]", &e) ==
		0);
	t = stage_task(&fx, 1, order);
	instance_run(fx.instance, t);
	stage_fixture_fini(&fx);
	return t;
}

static void a_plugin_sees_its_task(void)
{
	_cleanup_(task_freep) struct task *t = run("{\"do\":\"tell\"}");

	CHECK_INT(t->verdict, VERDICT_DONE);
	CHECK_TEXT(t->message, "00000000-0000-7000-0000-000001000000:probe:run 1 0 probe {} "
			       "[\"cat\"] 13 1");
	CHECK(t->started_us > 0 && t->duration_us >= 0);
	CHECK_INT(t->delay_ms, -1);
}

static void results_are_written_anew_and_effects_are_copied(void)
{
	_cleanup_(task_freep) struct task *t = run("{\"do\":\"effects\"}");

	REQUIRE(t->verdict == VERDICT_DONE && t->n_effects == 3);
	CHECK_TEXT(t->result, "{\"x\":1,\"y\":\"\xc3\xa4\"}");
	CHECK_TEXT(t->shortage, "none left");
	CHECK(t->effects[0].kind == EFFECT_ADD && str_is(t->effects[0].key, "stock/A"));
	CHECK(t->effects[0].delta == -2 && t->effects[0].floor == 0);
	CHECK(t->effects[1].kind == EFFECT_PUT && str_is(t->effects[1].json, "{\"a\":[1,2]}"));
	CHECK(t->effects[2].kind == EFFECT_DELETE && str_is(t->effects[2].key, "old"));
}

static void only_done_carries_effects(void)
{
	_cleanup_(task_freep) struct task *t = run("{\"do\":\"retry\"}");

	CHECK_INT(t->verdict, VERDICT_RETRY);
	CHECK_TEXT(t->message, "try later");
	CHECK_INT(t->delay_ms, 1500);
	CHECK(t->n_effects == 0 && t->shortage == NULL);
}

static void a_number_that_is_no_verdict_is_a_retry_that_names_it(void)
{
	_cleanup_(task_freep) struct task *a = run("{\"do\":\"garbage\"}");
	_cleanup_(task_freep) struct task *b = run("{\"do\":\"negative\"}");

	CHECK_INT(a->verdict, VERDICT_RETRY);
	CHECK_TEXT(a->message, "plugin 'probe' gave 77, which is no verdict");
	CHECK(a->result == NULL);
	CHECK_INT(b->verdict, VERDICT_RETRY);
	CHECK_TEXT(b->message, "plugin 'probe' gave -1, which is no verdict");
}

static void a_refused_result_or_effect_is_no_done(void)
{
	_cleanup_(task_freep) struct task *a = run("{\"do\":\"bad-result\"}");
	_cleanup_(task_freep) struct task *b = run("{\"do\":\"too-many\"}");

	CHECK_INT(a->verdict, VERDICT_RETRY);
	CHECK_TEXT(a->message,
		"plugin 'probe' gave an invalid result (not a JSON object, or too large)");
	CHECK_INT(b->verdict, VERDICT_RETRY);
	CHECK_INT(b->n_effects, 0);
}

static void what_is_out_of_bounds_is_refused(void)
{
	_cleanup_(task_freep) struct task *t = run("{\"do\":\"refusals\"}");

	CHECK_TEXT(t->message, "15 refused");
	CHECK_INT(t->verdict, VERDICT_FAIL);
}

static void delays_are_kept_within_reason(void)
{
	_cleanup_(task_freep) struct task *past = run("{\"do\":\"in-the-past\"}");
	_cleanup_(task_freep) struct task *later = run("{\"do\":\"next-week\"}");
	_cleanup_(task_freep) struct task *wait = run("{\"do\":\"wait\"}");

	CHECK_INT(past->delay_ms, 0);
	CHECK_INT(later->delay_ms, 24 * 3600 * 1000);
	CHECK_INT(later->turn, 1);
	CHECK(later->due_ms - clock_mono_ms() <= 24 * 3600 * 1000);
	CHECK_INT(wait->verdict, VERDICT_WAIT);
	CHECK_INT(wait->delay_ms, 3 * 24 * 3600 * 1000);
}

static void a_turn_starts_with_nothing(void)
{
	struct stage_fixture fx;
	struct task *t;

	REQUIRE(stage_fixture_init(&fx, "STAGELINE_TEST_MOCKS", "probe", NULL, NULL, NULL) == 0);
	t = stage_task(&fx, 1, "{\"do\":\"later\"}");
	instance_run(fx.instance, t);
	CHECK_INT(t->verdict, VERDICT_LATER);
	CHECK_INT(t->turn, 1);
	instance_run(fx.instance, t);
	CHECK_INT(t->verdict, VERDICT_DONE);
	CHECK(t->message == NULL);
	CHECK_INT(t->delay_ms, -1);
	task_free(t);
	stage_fixture_fini(&fx);
}

static void an_undo_that_does_not_exist_is_refused(void)
{
	struct stage_fixture fx;
	struct task *t;

	REQUIRE(stage_fixture_init(&fx, "STAGELINE_TEST_MOCKS", "probe", NULL, NULL, NULL) == 0);
	CHECK(!instance_can_undo(fx.instance));
	t = stage_task(&fx, 1, "{\"do\":\"nothing\"}");
	t->undo = true;
	instance_run(fx.instance, t);
	CHECK_INT(t->verdict, VERDICT_RETRY);
	CHECK_TEXT(t->message, "plugin 'probe' gave no way to undo");
	task_free(t);
	stage_fixture_fini(&fx);
}

UNIT_MAIN("instance", TEST(a_plugin_sees_its_task),
	TEST(results_are_written_anew_and_effects_are_copied), TEST(only_done_carries_effects),
	TEST(a_number_that_is_no_verdict_is_a_retry_that_names_it),
	TEST(a_refused_result_or_effect_is_no_done), TEST(what_is_out_of_bounds_is_refused),
	TEST(delays_are_kept_within_reason), TEST(a_turn_starts_with_nothing),
	TEST(an_undo_that_does_not_exist_is_refused))
