/* What is different between two states of an order: which members are told, and where. */
#include "alloc_fault.h"
#include "base/json.h"
#include "cli/order_compare.h"
#include "unit.h"

/* The list as JSON. `before` NULL: there was no order. Owned. */
static char *compared(const char *before, const char *after)
{
	_cleanup_(json_freep) cJSON *a = NULL, *b = NULL, *changes = NULL;
	struct buf text = {0};

	if (before)
		REQUIRE(json_parse(str_of(before), 16, &a, NULL) == 0);
	REQUIRE(json_parse(str_of(after), 16, &b, NULL) == 0);
	changes = order_compare(a, b);
	REQUIRE(changes != NULL);
	json_tree(&(struct json_writer){&text, false}, changes);
	return buf_steal(&text, NULL);
}

static void check(const char *before, const char *after, const char *want)
{
	_cleanup_(freep) char *got = compared(before, after);

	CHECK_TEXT(got, want);
}

static void what_is_the_same_is_not_told(void)
{
	check("{}", "{}", "[]");
	check("{\"a\":{\"x\":1,\"y\":[1,2]},\"b\":0.10}", "{\"b\":0.1,\"a\":{\"y\":[1,2],\"x\":1}}",
		"[]");
	check("{\"a\":{},\"b\":[],\"c\":[{}]}", "{\"c\":[{}],\"b\":[],\"a\":{}}", "[]");
}

static void numbers_are_the_same_when_they_are_equal(void)
{
	check("{\"n\":[5500000000000004,1.0]}", "{\"n\":[5500000000000005,1]}",
		"[{\"pointer\":\"/n/0\",\"before\":5500000000000004,\"after\":5500000000000005}]");
}

static void a_member_is_told_where_it_is(void)
{
	check("{\"a\":1,\"deep\":{\"x\":\"t\",\"y\":2}}",
		"{\"a\":1.5,\"deep\":{\"x\":\"u\",\"y\":2}}",
		"[{\"pointer\":\"/a\",\"before\":1,\"after\":1.5},"
		"{\"pointer\":\"/deep/x\",\"before\":\"t\",\"after\":\"u\"}]");
}

static void names_are_escaped_in_a_pointer(void)
{
	check("{\"a/b~c\":1}", "{\"a/b~c\":2}",
		"[{\"pointer\":\"/a~1b~0c\",\"before\":1,\"after\":2}]");
}

static void what_came_and_what_went_lacks_a_side(void)
{
	check("{\"went\":1,\"null\":null}", "{\"null\":0,\"came\":2}",
		"[{\"pointer\":\"/went\",\"before\":1},"
		"{\"pointer\":\"/null\",\"before\":null,\"after\":0},"
		"{\"pointer\":\"/came\",\"after\":2}]");
}

static void lists_are_compared_place_by_place(void)
{
	check("{\"items\":[{\"q\":1},{\"q\":2},{\"q\":3}]}", "{\"items\":[{\"q\":1},{\"q\":5}]}",
		"[{\"pointer\":\"/items/1/q\",\"before\":2,\"after\":5},"
		"{\"pointer\":\"/items/2/q\",\"before\":3}]");
}

static void what_became_another_kind_is_told_whole(void)
{
	check("{\"a\":{\"x\":1},\"b\":[1],\"c\":[]}", "{\"a\":[1],\"b\":\"1\",\"d\":{}}",
		"[{\"pointer\":\"/a\",\"before\":{\"x\":1},\"after\":[1]},"
		"{\"pointer\":\"/b\",\"before\":[1],\"after\":\"1\"},"
		"{\"pointer\":\"/c\",\"before\":[]},{\"pointer\":\"/d\",\"after\":{}}]");
}

/* Below the top, names that are Stageline's own at the top are anybody's. */
static void what_only_says_when_is_not_told_of_the_order_itself(void)
{
	check("{\"id\":\"1\",\"created_at\":\"1\",\"updated_at\":\"1\",\"last_seq\":1,\"note\":{"
	      "\"id\":1}}",
		"{\"id\":\"2\",\"created_at\":\"2\",\"updated_at\":\"2\",\"last_seq\":2,\"note\":{"
		"\"id\":2}}",
		"[{\"pointer\":\"/note/id\",\"before\":1,\"after\":2}]");
}

static void stages_are_the_same_by_name(void)
{
	check("{\"stages\":[{\"name\":\"a\",\"status\":\"done\",\"attempt\":1},"
	      "{\"name\":\"b\",\"status\":\"idle\",\"attempt\":0,\"label\":\"B\",\"after\":[\"a\"]}"
	      "]}",
		"{\"stages\":[{\"name\":\"b\",\"status\":\"held\",\"attempt\":2,\"error\":\"no\","
		"\"label\":\"BB\",\"after\":[]},{\"name\":\"c\",\"status\":\"idle\"}]}",
		"[{\"stage\":\"a\",\"pointer\":\"/status\",\"before\":\"done\"},"
		"{\"stage\":\"a\",\"pointer\":\"/attempt\",\"before\":1},"
		"{\"stage\":\"b\",\"pointer\":\"/status\",\"before\":\"idle\",\"after\":\"held\"},"
		"{\"stage\":\"b\",\"pointer\":\"/attempt\",\"before\":0,\"after\":2},"
		"{\"stage\":\"b\",\"pointer\":\"/error\",\"after\":\"no\"},"
		"{\"stage\":\"c\",\"pointer\":\"/status\",\"after\":\"idle\"}]");
}

static void before_there_was_an_order_all_of_it_is_new(void)
{
	check(NULL,
		"{\"id\":\"1\",\"items\":[{\"q\":1}],\"stages\":[{\"name\":\"a\",\"status\":"
		"\"idle\"}]}",
		"[{\"pointer\":\"/items/0/q\",\"after\":1},"
		"{\"stage\":\"a\",\"pointer\":\"/status\",\"after\":\"idle\"}]");
}

static void without_memory_there_is_no_half_of_a_comparison(void)
{
	_cleanup_(json_freep) cJSON *a = NULL, *b = NULL;
	bool has_failed = ALLOC_FAULT_IS_THERE;
	size_t n = 1;

	REQUIRE(json_parse(STR("{\"a\":{\"x\":\"t\"},\"l\":[1]}"), 16, &a, NULL) == 0);
	REQUIRE(json_parse(
			STR("{\"a\":{\"x\":\"u\"},\"stages\":[{\"name\":\"s\",\"error\":\"e\"}]}"),
			16, &b, NULL) == 0);
	for (; has_failed; n++) {
		long balance = alloc_fault_balance();
		cJSON *changes;

		alloc_fault_at(n);
		changes = order_compare(a, b);
		has_failed = alloc_fault_end();
		CHECK(!changes == has_failed);
		cJSON_Delete(changes);
		CHECK_INT(alloc_fault_balance(), balance);
	}
	CHECK(n > 10 || !ALLOC_FAULT_IS_THERE);
}

UNIT_MAIN("order_compare", TEST(what_is_the_same_is_not_told),
	TEST(numbers_are_the_same_when_they_are_equal), TEST(a_member_is_told_where_it_is),
	TEST(names_are_escaped_in_a_pointer), TEST(what_came_and_what_went_lacks_a_side),
	TEST(lists_are_compared_place_by_place), TEST(what_became_another_kind_is_told_whole),
	TEST(what_only_says_when_is_not_told_of_the_order_itself),
	TEST(stages_are_the_same_by_name), TEST(before_there_was_an_order_all_of_it_is_new),
	TEST(without_memory_there_is_no_half_of_a_comparison))
