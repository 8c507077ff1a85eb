/* Conditions: every comparison, what is said of them, and everything wrong with one. */
#include "alloc_fault.h"
#include "faults.h"
#include "model/condition.h"
#include "model/pipeline.h"

static const char order_text[] =
	"{\"total_amount\":100.10,\"customer\":{\"country\":\"DE\",\"vip\":true,\"note\":null},"
	"\"items\":[{\"product_id\":\"A\",\"quantity\":1,\"tags\":[\"new\",\"big\"]},"
	"{\"product_id\":\"B\",\"quantity\":5}],\"empty\":[],\"text\":\"5\"}";
static const char results_text[] = "{\"payment\":{\"risk\":0.7,\"transaction_id\":\"TXN-1\"}}";

/* A condition with the tree that it points into. */
struct read {
	struct arena arena;
	struct yaml *document;
	struct yaml_faults faults;
	const struct condition *c;
};

static void read_fini(struct read *r)
{
	yaml_destroy(r->document);
	yaml_faults_fini(&r->faults);
	arena_fini(&r->arena);
}

static void read_text(const char *text, struct read *r)
{
	*r = (struct read){0};
	REQUIRE(yaml_parse(str_of(text), &r->document, &r->faults) == 0);
	REQUIRE(condition_read(r->document->root, &r->arena, &r->c, &r->faults) == 0);
}

static bool holds(const char *text)
{
	_cleanup_(json_freep) cJSON *order = NULL, *results = NULL;
	_cleanup_(read_fini) struct read r;

	read_text(text, &r);
	if (r.faults.n)
		printf("\n  %s: %s", text, r.faults.list[0].text);
	REQUIRE(r.faults.n == 0);
	REQUIRE(json_parse(str_of(order_text), JSON_DEPTH_MAX, &order, NULL) == 0);
	REQUIRE(json_parse(str_of(results_text), JSON_DEPTH_MAX, &results, NULL) == 0);
	return condition_holds(r.c, order, results);
}

static void check_all(const char *const *texts, size_t n, bool want)
{
	for (size_t i = 0; i < n; i++) {
		bool got = holds(texts[i]);

		if (got != want)
			printf("\n  %s", texts[i]);
		CHECK(got == want);
	}
}

static void comparisons_that_hold(void)
{
	static const char *const texts[] = {
		"{field: total_amount, above: 100}",
		"{field: total_amount, at_least: 100.10}",
		"{field: total_amount, equals: 100.1}",
		"{field: total_amount, below: 100.11}",
		"{field: total_amount, at_most: 100.10}",
		"{field: total_amount, not_equals: 100.11}",
		"{field: customer.country, equals: DE}",
		"{field: customer.country, in: [AT, DE]}",
		"{field: customer.country, not_in: [AT, CH]}",
		"{field: customer.country, starts_with: D}",
		"{field: customer.country, contains: E}",
		"{field: customer.vip, equals: true}",
		"{field: customer.country, exists: true}",
		"{field: customer.phone, exists: false}",
		"{field: items, exists: true}",
		"{field: empty, exists: true}",
		"{field: results.payment, exists: true}",
		"{field: results.payment.risk, above: 0.5}",
		"{field: results.payment.transaction_id, starts_with: TXN-}",
	};

	check_all(texts, ARRAY_LEN(texts), true);
}

static void comparisons_that_do_not_hold(void)
{
	static const char *const texts[] = {
		"{field: total_amount, above: 100.10}",
		"{field: total_amount, at_least: 100.11}",
		"{field: total_amount, below: 100.10}",
		"{field: total_amount, at_most: 100}",
		"{field: total_amount, not_equals: 100.1}",
		"{field: customer.country, in: [AT, CH]}",
		"{field: customer.country, not_in: [AT, DE]}",
		"{field: customer.country, starts_with: E}",
		"{field: customer.country, contains: e}",
		"{field: customer.country, exists: false}",
		"{field: results.shipping, exists: true}",
		"{field: Total_amount, above: 1}",
	};

	check_all(texts, ARRAY_LEN(texts), false);
}

static void what_is_missing_or_of_another_type_is_no_match(void)
{
	static const char *const no[] = {
		"{field: nobody, equals: 1}",
		"{field: nobody.there, below: 1}",
		"{field: customer.note, equals: x}",
		"{field: customer.note, exists: true}",
		"{field: text, equals: 5}",
		"{field: text, above: 4}",
		"{field: text, in: [5, 5.0]}",
		"{field: total_amount, starts_with: '1'}",
		"{field: total_amount, contains: '1'}",
		"{field: customer, equals: DE}",
		"{field: customer.country.code, exists: true}",
		"{field: customer.vip, equals: 1}",
	};
	static const char *const yes[] = {
		"{field: nobody, not_equals: 1}",
		"{field: customer.note, not_in: [x]}",
		"{field: text, not_equals: 5}",
		"{not: {field: nobody, above: 1}}",
	};

	check_all(no, ARRAY_LEN(no), false);
	check_all(yes, ARRAY_LEN(yes), true);
}

static void any_element_of_an_array_matches(void)
{
	static const char *const yes[] = {
		"{field: items.product_id, equals: B}",
		"{field: items.quantity, at_least: 5}",
		"{field: items.product_id, not_equals: C}",
		"{field: items.tags, contains: big}",
		"{field: items.tags, exists: true}",
	};
	static const char *const no[] = {
		"{field: items.product_id, equals: C}",
		"{field: items.product_id, not_equals: B}",
		"{field: items.quantity, above: 5}",
		"{field: items.tags, contains: bi}",
		"{field: items.tags, equals: big}",
		"{field: empty.product_id, exists: true}",
	};

	check_all(yes, ARRAY_LEN(yes), true);
	check_all(no, ARRAY_LEN(no), false);
}

#define YES "{field: text, equals: '5'}"
#define NO  "{field: text, equals: '6'}"

static void conditions_are_put_together(void)
{
	static const char *const yes[] = {
		"{all: [" YES ", " YES "]}",
		"{any: [" NO ", " YES "]}",
		"{not: " NO "}",
		"{not: {all: [" YES ", " NO "]}}",
		"{all: [{any: [" NO ", {not: " NO "}]}, {not: {not: " YES "}}]}",
	};
	static const char *const no[] = {
		"{all: [" YES ", " NO "]}",
		"{any: [" NO "]}",
		"{not: " YES "}",
		"{not: {any: [" YES ", " NO "]}}",
	};

	check_all(yes, ARRAY_LEN(yes), true);
	check_all(no, ARRAY_LEN(no), false);
}

static void check_why_not(const char *text, const char *want)
{
	_cleanup_(buf_fini) struct buf out = {0};
	_cleanup_(read_fini) struct read r;

	read_text(text, &r);
	REQUIRE(r.faults.n == 0);
	condition_why_not(r.c, &out);
	CHECK_TEXT(out.data, want);
}

static void the_reason_is_a_sentence(void)
{
	check_why_not("{field: total_amount, above: 100}", "total_amount is not above 100");
	check_why_not("{field: a, not_equals: x}", "a is 'x'");
	check_why_not("{field: a, not_in: [x, 2, true]}", "a is one of 'x', 2, true");
	check_why_not("{field: a, in: [1, 2, 3, 4, 5, 6]}", "a is not one of 1, 2, 3, 4, 5, …");
	check_why_not("{field: a.b, exists: true}", "a.b is not there");
	check_why_not("{field: a.b, exists: false}", "a.b is there");
	check_why_not("{not: {field: a, starts_with: x}}", "a starts with 'x'");
	check_why_not("{all: [{field: a, below: 1}, {field: b, contains: x}]}",
		"a is not below 1 or b does not contain 'x'");
	check_why_not("{any: [{field: a, at_least: 1}, {all: [{field: b, at_most: 2}, {field: c, "
		      "equals: 3}]}]}",
		"a is not at least 1 and (b is not at most 2 or c is not 3)");
	check_why_not(
		"{not: {any: [{field: a, equals: 1}, {field: b, equals: 2}]}}", "a is 1 or b is 2");
}

static void a_long_reason_is_cut_between_characters(void)
{
	_cleanup_(buf_fini) struct buf text = {0}, out = {0};
	_cleanup_(read_fini) struct read r;

	buf_text(&text, "{any: [");
	for (int i = 0; i < 20; i++)
		buf_text(&text, "{field: aäöü, equals: ääääääääääääääääääääääääääääääääääääää}, ");
	buf_text(&text, "]}");
	read_text(text.data, &r);
	condition_why_not(r.c, &out);
	CHECK(out.len <= CONDITION_TEXT_MAX + strlen("…") && out.len > CONDITION_TEXT_MAX - 4);
	CHECK(utf8_valid(buf_view(&out)));
}

static void check_faults(const char *text, const char *want)
{
	_cleanup_(freep) char *got = NULL;
	_cleanup_(read_fini) struct read r;

	read_text(text, &r);
	got = faults_text(&r.faults);
	CHECK_TEXT(got, want);
}

static void what_is_no_condition_is_said_at_its_place(void)
{
	check_faults("5",
		"f:1:1: error: a condition is a map, such as {field: total_amount, above: 100}\n");
	check_faults("{}",
		"f:1:1: error: 'field' is missing: what of the order is compared, such as "
		"total_amount\nf:1:1: error: a comparison is missing, such as `above: 100`\n");
	check_faults("{field: a}", "f:1:1: error: a comparison is missing, such as `above: 100`\n");
	check_faults("{feild: a, abov: 1}",
		"f:1:1: error: 'field' is missing: what of the order is compared, such as "
		"total_amount\nf:1:2: error: unknown key 'feild' (did you mean 'field'?)\n"
		"f:1:12: error: unknown key 'abov' (did you mean 'above'?)\n");
	check_faults("{field: a, above: 1, below: 2}",
		"f:1:22: error: one comparison at a time; put 'above' and 'below' together with "
		"`all`\n");
	check_faults("{any: [" YES "], field: a}",
		"f:1:37: error: 'field' cannot stand beside 'any'; put both into a list of "
		"`all`\n");
	check_faults("{all: [], }", "f:1:7: error: 'all' must be a list of conditions\n");
	check_faults("{all: [{any: x}, {not: [1]}, 7]}",
		"f:1:14: error: 'any' must be a list of conditions\n"
		"f:1:24: error: a condition is a map, such as {field: total_amount, above: 100}\n"
		"f:1:30: error: a condition is a map, such as {field: total_amount, above: 100}\n");
}

static void literals_must_fit_their_comparison(void)
{
	static const char list[] = "a list of 1 to 256 values: text, numbers, true or false";
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"above: x", "'above' must be a number, not the text 'x'"},
		{"at_least: '5'", "'at_least' must be a number, not the text '5'"},
		{"below: true", "'below' must be a number, not 'true'"},
		{"at_most: .nan", "'at_most' must be a number, not '.nan'"},
		{"above: .inf", "'above' must be a number, not '.inf'"},
		{"equals: 9007199254740993000", "'equals' must be text, a number, true or false, "
						"not '9007199254740993000'"},
		{"equals: ~", "'equals' must be text, a number, true or false, not '~'"},
		{"not_equals: [1]", "'not_equals' must be text, a number, true or false"},
		{"contains: {a: 1}", "'contains' must be text, a number, true or false"},
		{"exists: 1", "'exists' must be true or false, not '1'"},
		{"exists: yes", "'exists' must be true or false, not the text 'yes'"},
		{"starts_with: 1", "'starts_with' must be text, not '1'"},
		{"starts_with: ''", "'starts_with' must be text, not the text ''"},
		{"in: []", "'in' must be "},
		{"not_in: [1, [2]]", "'not_in' must be "},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_(buf_fini) struct buf text = {0}, want = {0};
		size_t n = strlen(cases[i].want);

		buf_fmt(&text, "field: a\n%s", cases[i].text);
		buf_fmt(&want, "f:2:%zu: error: %s%s\n", strcspn(cases[i].text, ":") + 3,
			cases[i].want, cases[i].want[n - 1] == ' ' ? list : "");
		check_faults(text.data, want.data);
	}
	check_faults("{field: a, in: x}",
		"f:1:16: error: 'in' must be a list of 1 to 256 values: text, numbers, true or "
		"false, not the text 'x'\n");
}

static void odd_fields_are_refused(void)
{
	static const char *const bad[] = {
		"5", "''", ".a", "a.", "a..b", "results", "results.", "[a]", "{a: b}", ""};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_(buf_fini) struct buf text = {0};

		buf_fmt(&text, "{equals: 1, field: %s}", bad[i]);
		check_faults(text.data,
			"f:1:20: error: 'field' must be a path of names, such as total_amount, "
			"customer.country or results.STAGE.risk\n");
	}
}

static void depth_and_number_are_bounded(void)
{
	_cleanup_(buf_fini) struct buf deep = {0}, wide = {0};

	for (int i = 0; i < 8; i++)
		buf_text(&deep, "{not: ");
	buf_text(&deep, YES "}}}}}}}}");
	check_faults(deep.data, "f:1:49: error: a condition has at most 64 parts, 8 deep\n");
	deep.data[deep.len - 1] = '\0';
	check_faults(deep.data + strlen("{not: "), "");
	buf_text(&wide, "any:\n");
	for (int i = 0; i < 63; i++)
		buf_text(&wide, "- " YES "\n");
	check_faults(wide.data, "");
	for (int i = 0; i < 3; i++)
		buf_text(&wide, "- " YES "\n");
	check_faults(wide.data, "f:65:3: error: a condition has at most 64 parts, 8 deep\n");
}

static void check_pipeline(const char *when, const char *want)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;
	_cleanup_(buf_fini) struct buf text = {0};
	_cleanup_(freep) char *got = NULL;

	buf_fmt(&text,
		"pipeline: p\nstages:\n- name: first\n- name: risk\n"
		"- {name: beside, after: [first]}\n- name: last\n  after: [risk]\n  when: %s\n",
		when);
	CHECK_INT(pipeline_parse(buf_view(&text), &p, &faults), *want ? -EINVAL : 0);
	CHECK(!p || p->stages[3].when);
	got = faults_text(&faults);
	CHECK_TEXT(got, want);
}

static void only_results_that_are_there_can_be_asked_for(void)
{
	check_pipeline("{field: results.risk.score, above: 1}", "");
	check_pipeline("{not: {all: [{field: results.first.x, exists: true}]}}", "");
	check_pipeline("{any: [{field: results.beside.x, above: 1}, {field: results.last.x, above: "
		       "1}]}",
		"f:8:24: error: 'beside' has no result yet: stage 'last' does not come after it\n"
		"f:8:61: error: 'last' has no result yet: stage 'last' does not come after it\n");
	check_pipeline("{field: results.rsik.score, above: 1}",
		"f:8:17: error: no stage is called 'rsik' (did you mean 'risk'?)\n");
	check_pipeline("", "f:8:8: error: a condition is a map, such as {field: total_amount, "
			   "above: 100}\n");
	check_pipeline("{field: results.nobody, above: x}",
		"f:8:17: error: no stage is called 'nobody'\n"
		"f:8:40: error: 'above' must be a number, not the text 'x'\n");
}

static bool read_without_memory(const struct yaml_node *node, size_t n)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(arena_fini) struct arena arena = {0};
	const struct condition *c = NULL;
	bool failed;
	int r;

	alloc_fault_at(n);
	r = condition_read(node, &arena, &c, &faults);
	failed = alloc_fault_end();
	CHECK_INT(r, failed ? -ENOMEM : 0);
	CHECK((r == 0) == (c != NULL));
	return failed;
}

static void no_allocation_that_fails_is_missed(void)
{
	_cleanup_(buf_fini) struct buf text = {0};
	_cleanup_(yaml_freep) struct yaml *document = NULL;
	size_t n = 1;

	buf_text(&text, "any:\n");
	for (int i = 0; i < 60; i++)
		buf_text(&text, "- {field: results.payment.risk.of.many.kinds, in: [1, 2, a]}\n");
	REQUIRE(yaml_parse(buf_view(&text), &document, NULL) == 0);
	while (read_without_memory(document->root, n))
		n++;
	CHECK(n > 2 || !ALLOC_FAULT_IS_THERE);
}

UNIT_MAIN("condition", TEST(comparisons_that_hold), TEST(comparisons_that_do_not_hold),
	TEST(what_is_missing_or_of_another_type_is_no_match), TEST(any_element_of_an_array_matches),
	TEST(conditions_are_put_together), TEST(the_reason_is_a_sentence),
	TEST(a_long_reason_is_cut_between_characters),
	TEST(what_is_no_condition_is_said_at_its_place), TEST(literals_must_fit_their_comparison),
	TEST(odd_fields_are_refused), TEST(depth_and_number_are_bounded),
	TEST(only_results_that_are_there_can_be_asked_for),
	TEST(no_allocation_that_fails_is_missed))
