/* The stage of the authors' page, as page.sh compiled it, loaded and run. */
#include "stages.h"

static void the_stage_of_the_page_runs_and_undoes(void)
{
	struct stage_fixture fx;
	struct err e = {0};
	struct task *t;

	if (stage_fixture_init(&fx, "STAGELINE_TEST_PAGE", "gift", "{per_order: 2}", NULL, &e) < 0)
		CHECK_TEXT(err_text(&e), "");
	REQUIRE(fx.instance != NULL);
	t = stage_task(&fx, 1, "{}");
	instance_run(fx.instance, t);
	CHECK_INT(t->verdict, VERDICT_DONE);
	CHECK_TEXT(t->result, "{\"gifts\":2}");
	CHECK_TEXT(t->shortage, "No gifts left");
	REQUIRE(t->n_effects == 1);
	CHECK(str_is(t->effects[0].key, "stock/gift") && t->effects[0].delta == -2);
	t->undo = true;
	instance_run(fx.instance, t);
	CHECK_INT(t->verdict, VERDICT_DONE);
	CHECK(t->n_effects == 1 && t->effects[0].delta == 2);
	task_free(t);
	stage_fixture_fini(&fx);
}

static void its_options_are_checked(void)
{
	struct stage_fixture fx;

	CHECK_INT(stage_fixture_init(
			  &fx, "STAGELINE_TEST_PAGE", "gift", "{per_order: 10}", NULL, NULL),
		-EINVAL);
	stage_fixture_fini(&fx);
}

UNIT_MAIN("page", TEST(the_stage_of_the_page_runs_and_undoes), TEST(its_options_are_checked))
