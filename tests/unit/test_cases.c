/* Files of cases: what they may say, and where a fault of them is said to be. */
#include <unistd.h>

#include "kit/cases.h"
#include "kit/span.h"
#include "unit.h"

static const char pipeline_text[] =
	"pipeline: p\n"
	"stages:\n"
	"  - {name: pay, plugin: x, status: paying, event: paid, undo_event: refunded}\n"
	"  - {name: ship, plugin: x, status: shipping, event: shipped, irreversible: true}\n";

static const char order_text[] = "order: {customer_email: a@b.c, total_amount: 1.5,\n"
				 "  items: [{product_id: A, name: A, quantity: 1, price: 1.5}]}\n";

struct fixture {
	struct pipeline *pipeline;
	struct case_file *file;
	struct yaml_faults faults;
	char path[64];
};

/* Reads `text`, behind the order when it is to have one. */
static int fixture_init(struct fixture *fx, bool has_order, const char *text)
{
	struct err e = {0};
	FILE *f;
	int fd;

	*fx = (struct fixture){.path = "/tmp/stageline-cases-XXXXXX"};
	REQUIRE(pipeline_parse(str_of(pipeline_text), &fx->pipeline, &fx->faults) == 0);
	fd = mkstemp(fx->path);
	REQUIRE(fd >= 0);
	f = fdopen(fd, "w");
	REQUIRE(f != NULL);
	fputs(has_order ? order_text : "", f);
	fputs(text, f);
	REQUIRE(fclose(f) == 0);
	return case_file_read(fx->path, fx->pipeline, &fx->file, &fx->faults, &e);
}

static void fixture_fini(struct fixture *fx)
{
	unlink(fx->path);
	case_file_free(fx->file);
	yaml_faults_fini(&fx->faults);
	pipeline_free(fx->pipeline);
}

static void a_script_goes_step_by_step_and_its_last_step_stays(void)
{
	struct fixture fx;
	const struct case_stage *s;

	REQUIRE(fixture_init(&fx, true,
			"cases:\n"
			"- name: a\n"
			"  stages: {pay: [retry, {verdict: fail, message: no, takes: 2s}]}\n"
			"  expect: {status: failed}\n") == 0);
	REQUIRE(fx.file->n == 1);
	s = &fx.file->cases[0].stages[0];
	CHECK_INT(case_step_of(s, false, 0)->verdict, VERDICT_RETRY);
	CHECK_INT(case_step_of(s, false, 0)->delay_ms, -1);
	CHECK_INT(case_step_of(s, false, 1)->verdict, VERDICT_FAIL);
	CHECK_INT(case_step_of(s, false, 9)->takes_ms, 2000);
	CHECK_TEXT(case_step_of(s, false, 9)->message, "no");
	fixture_fini(&fx);
}

static void the_undo_of_a_played_stage_is_played_and_of_a_real_one_real(void)
{
	struct fixture fx;
	const struct case_stage *stages;

	REQUIRE(fixture_init(&fx, true,
			"stages: {pay: done}\n"
			"cases:\n"
			"- {name: a, expect: {status: completed}}\n"
			"- name: b\n"
			"  stages: {pay: [crash, real], ship: {undo: retry}}\n"
			"  expect: {status: completed}\n") == 0);
	stages = fx.file->cases[0].stages;
	CHECK(!case_stage_is_real(&stages[0]) && case_stage_is_real(&stages[1]));
	CHECK(!case_step_of(&stages[0], true, 0)->is_real);
	CHECK_INT(case_step_of(&stages[0], true, 0)->verdict, VERDICT_DONE);
	stages = fx.file->cases[1].stages;
	CHECK(case_step_of(&stages[0], true, 0)->is_real);
	CHECK(case_step_of(&stages[1], false, 0)->is_real);
	CHECK_INT(case_step_of(&stages[1], true, 0)->verdict, VERDICT_RETRY);
	fixture_fini(&fx);
}

static void a_case_replaces_single_members_of_the_shared_order(void)
{
	struct fixture fx;
	_cleanup_(json_freep) cJSON *order = NULL;

	REQUIRE(fixture_init(&fx, true,
			"cases:\n"
			"- name: a\n"
			"  order: {customer_email: x@y.z, note: {gift: true}}\n"
			"  expect: {status: completed}\n") == 0);
	order = cJSON_Parse(fx.file->cases[0].order.p);
	CHECK_TEXT(json_member(order, "customer_email").p, "x@y.z");
	CHECK(strstr(fx.file->cases[0].order.p, "\"total_amount\":1.50") != NULL);
	CHECK(strstr(fx.file->cases[0].order.p, "\"note\":{\"gift\":true}") != NULL);
	fixture_fini(&fx);
}

static void check_fault(const char *text, int line, int column, const char *words)
{
	struct fixture fx;
	bool is_there = false;

	CHECK_INT(fixture_init(&fx, true, text), -EINVAL);
	CHECK(fx.file == NULL);
	for (size_t i = 0; i < fx.faults.n && i < YAML_FAULTS_MAX; i++) {
		const struct yaml_fault *f = &fx.faults.list[i];

		/* `line` does not count the order's two */
		is_there |= f->line == line + 2 && f->column == column && strstr(f->text, words);
	}
	if (!is_there) {
		yaml_faults_print(&fx.faults, text, stdout);
		CHECK_TEXT("none", words);
	}
	fixture_fini(&fx);
}

#define HEAD "cases:\n- name: a\n  expect: {status: failed}\n"

static void a_fault_is_said_where_it_is(void)
{
	check_fault("cases: {}\n", 1, 8, "'cases' must be a list");
	check_fault("case: []\n", 1, 1, "unknown key 'case' (did you mean 'cases'?)");
	check_fault("cases:\n- {name: a}\n", 2, 3, "'expect' is missing");
	check_fault("cases:\n- {name: a, expect: {status: compleed}}\n", 2, 30,
		"no status 'compleed' (did you mean 'completed'?)");
	check_fault(HEAD "  stages: {pai: done}\n", 4, 12, "no stage 'pai' (did you mean 'pay'?)");
	check_fault(HEAD "  stages: {pay: dome}\n", 4, 17,
		"'dome' is no verdict; one is done|fail|retry|wait|timeout|crash|real (did you "
		"mean "
		"'done'?)");
	check_fault(HEAD "  stages: {pay: []}\n", 4, 17, "a list of 1 to");
	check_fault(HEAD "  stages: {pay: {run: done, undu: done}}\n", 4, 29, "unknown key 'undu'");
	check_fault(HEAD "  stages: {pay: {verdict: fail, effects: [{delete: k}]}}\n", 4, 42,
		"only 'done' has effects");
	check_fault(HEAD "  stages: {pay: {effects: [{add: k, put: l}]}}\n", 4, 28,
		"an effect has one of 'add', 'put' and 'delete'");
	check_fault(HEAD "  order: {total_amount: x}\n", 4, 25, "the order: /total_amount");
	check_fault(HEAD "  order: {items: [{product_id: A, name: A, quantity: 1.5, price: 1}]}\n",
		4, 54, "/items/0/quantity");
	check_fault(HEAD "- name: a\n  expect: {status: failed}\n", 4, 9, "is there already");
}

static void what_people_do_is_checked_too(void)
{
	check_fault(HEAD "  people: [{at: 3s}]\n", 4, 12, "one of cancel, retry");
	check_fault(HEAD "  people: [{cancel: a, retry: b}]\n", 4, 12, "one of cancel, retry");
	check_fault(HEAD "  people: [{signal: shop}]\n", 4, 21,
		"no stage 'shop' (did you mean 'ship'?)");
	check_fault(HEAD "  people: [{after: payed, cancel: x}]\n", 4, 20, "no event 'payed'");
	check_fault(HEAD "  people: [{adjust: k}]\n", 4, 12, "either 'by' or 'to'");
	check_fault(HEAD "  people: [{cancel: k, by: 3}]\n", 4, 24, "'by' goes with adjust");
}

static void what_is_expected_is_checked_too(void)
{
	check_fault("cases:\n- {name: a, expect: {status: failed, events: [paid, payed]}}\n", 2, 53,
		"no event 'payed'");
	check_fault("cases:\n- {name: a, expect: {status: failed, calls: {pay: -1}}}\n", 2, 51,
		"a number of calls");
	check_fault("cases:\n- {name: a, expect: {status: failed, takes: 2}}\n", 2, 45,
		"must be a time or a range");
	check_fault("cases:\n- {name: a, expect: {status: failed, events: [{stage: pay}]}}\n", 2,
		47, "'type' is missing");
}

static void an_order_must_be_somewhere(void)
{
	struct fixture fx;

	CHECK_INT(fixture_init(&fx, false, "cases:\n- {name: a, expect: {status: failed}}\n"),
		-EINVAL);
	REQUIRE(fx.faults.n == 1);
	CHECK(strstr(fx.faults.list[0].text, "'order' is missing") != NULL);
	fixture_fini(&fx);
}

static void a_length_of_time_is_as_exact_as_one_wants_to_read_it(void)
{
	static const struct {
		int64_t ms;
		const char *text;
	} list[] = {{0, "0ms"}, {999, "999ms"}, {1000, "1.000s"}, {59999, "59.999s"},
		{60000, "1m00s"}, {3599999, "59m59s"}, {7205870, "2h00m05s"}};
	char text[SPAN_TEXT_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		span_text(list[i].ms, text);
		CHECK_TEXT(text, list[i].text);
	}
}

UNIT_MAIN("cases", TEST(a_script_goes_step_by_step_and_its_last_step_stays),
	TEST(the_undo_of_a_played_stage_is_played_and_of_a_real_one_real),
	TEST(a_case_replaces_single_members_of_the_shared_order), TEST(a_fault_is_said_where_it_is),
	TEST(what_people_do_is_checked_too), TEST(what_is_expected_is_checked_too),
	TEST(an_order_must_be_somewhere),
	TEST(a_length_of_time_is_as_exact_as_one_wants_to_read_it))
