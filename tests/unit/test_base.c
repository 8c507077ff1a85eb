/* The ground floor: strings, buffers, JSON, time, ids, queues. */
#include <math.h>

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/slice.h"
#include "unit.h"

static int parse_json(const char *text)
{
	cJSON *j = NULL;
	int r = json_parse(str_of(text), 4, &j, NULL);

	cJSON_Delete(j);
	return r;
}

static void json_gate_refuses_what_rfc_8259_forbids(void)
{
	static const char *const bad[] = {"", "  ", "{", "{}x", "[1,]", "\"a\nb\"", "\"\\u0000\"",
		"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "[[[[[1]]]]]", "\"open", "nul",
		"{\"a\":1}{}", "01", "-", "1.", ".5", "+1", "1e", "1e999", "\"\\x\"", "\"\\u12g4\"",
		"\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "[1 2]", "{\"a\" 1}", "{a:1}",
		"{\"a\":1,}", "tru", "\x0b1", "[1]]",
		"1234567890123456789012345678901234567890123456789012345678901"};
	static const char *const good[] = {"0", "-0", "-1.5e-3", "1E+2", " true ", "[]", "{}",
		"\"\\ud83d\\ude00\"", "[1,\t2 ]", "\"\xc3\xa9\"", "{\"\":null}", "[[],{},[{}]]"};
	bool is_compact;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(parse_json(bad[i]), -EINVAL);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		CHECK_INT(parse_json(good[i]), 0);
	CHECK(json_check(STR("{\"a b\":[1,\" \"]}"), 4, &is_compact, NULL) == 0 && is_compact);
	CHECK(json_check(STR("{\"a\": 1}"), 4, &is_compact, NULL) == 0 && !is_compact);
	CHECK(json_check(STR("1\n"), 4, &is_compact, NULL) == 0 && !is_compact);
	CHECK_INT(parse_json("[[[[1]]]]"), 0);
	CHECK_INT(parse_json(" {\"a\": \"[[[[[[\", \"b\": \"\\\"}\"} \n"), 0);
}

/* Each member, by its place in the text, is what cJSON finds there. */
static void members_are_found_in_the_text(const char *text)
{
	_cleanup_(json_freep) cJSON *tree = NULL;
	const cJSON *expected;
	struct json_scan s;
	struct str key, value;

	REQUIRE(json_parse(str_of(text), 8, &tree, NULL) == 0);
	REQUIRE(json_scan_begin(&s, str_of(text)));
	expected = tree->child;
	while (json_scan_next(&s, &key, &value)) {
		_cleanup_(json_freep) cJSON *j = NULL;

		REQUIRE(expected != NULL);
		CHECK(str_is(key, expected->string));
		REQUIRE(json_parse(value, 8, &j, NULL) == 0);
		CHECK(cJSON_Compare(j, expected, true));
		expected = expected->next;
	}
	CHECK(expected == NULL);
}

static void a_scan_finds_every_member_where_it_stands(void)
{
	static const char *const objects[] = {"{}", " { } ", "{\"a\":1}",
		"{\"a\":\"}\",\"b\":[\"]\",{\"c\":\"\\\"}\"}],\"d\":{}}",
		"{ \"a\" : -1.5e3 , \"b\" : true , \"\" : null }\n",
		"{\"a\":\"\\\\\",\"b\":\"\\\\\\\"\",\"c\":[[],[[]]]}",
		"{\"a\":{\"b\":{\"c\":[1,2]}},\"e\":\"\xc3\xa9\"}"};
	struct json_scan s;

	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		members_are_found_in_the_text(objects[i]);
	CHECK(!json_scan_begin(&s, STR("[1]")));
	CHECK(!json_scan_begin(&s, STR(" ")));
}

static void what_needs_no_tree_is_told_from_what_does(void)
{
	int64_t n = 7;

	CHECK(str_is(json_scan_text(STR("\"plain\"")), "plain"));
	CHECK(json_scan_text(STR("\"\"")).p != NULL && json_scan_text(STR("\"\"")).n == 0);
	CHECK(json_scan_text(STR("\"\\n\"")).p == NULL);
	CHECK(json_scan_text(STR("12")).p == NULL);
	CHECK(json_scan_int(STR("-120"), &n) && n == -120);
	CHECK(json_scan_int(STR("999999999999999"), &n) && n == INT64_C(999999999999999));
	CHECK(!json_scan_int(STR("1.0"), &n) && !json_scan_int(STR("1e3"), &n));
	CHECK(!json_scan_int(STR("-"), &n) && !json_scan_int(STR("\"1\""), &n));
	CHECK(!json_scan_int(STR("1000000000000000"), &n));
}

static bool money(const char *text, int64_t *minor)
{
	_cleanup_(json_freep) cJSON *j = NULL;

	REQUIRE(json_parse(str_of(text), 4, &j, NULL) == 0);
	return json_to_money(j, minor);
}

static void money_is_exact_to_two_decimals(void)
{
	_cleanup_(buf_fini) struct buf b = {0};
	struct json_writer w = {&b, false};
	int64_t minor = 0;

	CHECK(money("999.99", &minor) && minor == 99999);
	CHECK(money("0.1", &minor) && minor == 10);
	CHECK(money("-5", &minor) && minor == -500);
	CHECK(money("9999999999999.99", &minor) && minor == 999999999999999);
	CHECK(!money("0.001", &minor));
	CHECK(!money("999.999", &minor));
	CHECK(!money("1e300", &minor));
	CHECK(!money("\"1\"", &minor));
	for (int64_t i = -20000; i < 20000; i += 7) {
		char text[32];

		buf_clear(&b);
		w.comma = false;
		json_money(&w, i);
		snprintf(text, sizeof text, "%s", b.data);
		CHECK(money(text, &minor) && minor == i);
	}
}

static void writer_puts_commas_and_escapes(void)
{
	_cleanup_(buf_fini) struct buf b = {0};
	struct json_writer w = {&b, false};

	json_open(&w, '{');
	json_key(&w, "a\"");
	json_text(&w, "x\n\x01\\");
	json_key(&w, "b");
	json_open(&w, '[');
	json_int(&w, 1);
	json_bool(&w, true);
	json_null(&w);
	json_money(&w, -5);
	json_double(&w, 0.1);
	json_close(&w, ']');
	json_members(&w, STR("{\"c\":1}"));
	json_members(&w, STR("{}"));
	json_close(&w, '}');
	CHECK_TEXT(b.data, "{\"a\\\"\":\"x\\n\\u0001\\\\\",\"b\":[1,true,null,-0.05,0.1],\"c\":1}");
}

static void what_was_written_can_be_read_whatever_the_bytes(void)
{
	static const struct {
		const char *bytes, *written;
	} cases[] = {{"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", NULL},
		{"\xef\xbf\xbd\xc3\xa9", NULL}, {"cut \xc3", "cut \xef\xbf\xbd"},
		{"\xff", "\xef\xbf\xbd"},
		{"\xc3\xa9\xc3\"\xc3\xa9", "\xc3\xa9\xef\xbf\xbd\\\"\xc3\xa9"},
		{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, {"\xa9z", "\xef\xbf\xbdz"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *want = cases[i].written ? cases[i].written : cases[i].bytes;
		_cleanup_(buf_fini) struct buf b = {0}, quoted = {0};
		struct json_writer w = {&b, false};

		buf_fmt(&quoted, "\"%s\"", want);
		json_text(&w, cases[i].bytes);
		CHECK_TEXT(b.data, quoted.data);
		CHECK_INT(parse_json(b.data), 0);
	}
}

static void a_text_is_cut_between_letters(void)
{
	static const char whole[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
	static const size_t left[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};

	for (size_t n = 0; n < ARRAY_LEN(left); n++) {
		char text[sizeof whole];

		snprintf(text, n + 1, "%s", whole);
		utf8_cut(text);
		CHECK_INT(strlen(text), left[n]);
	}
}

/* The short way and the long way to a number's text. */
static void numbers_have_the_shortest_text_that_reads_back(void)
{
	static const struct {
		double v;
		const char *text;
	} cases[] = {{0, "0"}, {-0.0, "-0"}, {1, "1"}, {-1, "-1"}, {0.1, "0.1"}, {10.5, "10.5"},
		{999.99, "999.99"}, {-0.07, "-0.07"}, {1e11, "100000000000"}, {1e15, "1e+15"},
		{0.001, "0.001"}, {1.0 / 3, "0.3333333333333333"},
		{123456789012.34, "123456789012.34"}, {9007199254740993.0, "9007199254740992"},
		{INFINITY, "null"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_(buf_fini) struct buf b = {0};
		struct json_writer w = {&b, false};

		json_double(&w, cases[i].v);
		CHECK_TEXT(b.data, cases[i].text);
	}
}

static void time_text_reads_back(void)
{
	static const int64_t times[] = {
		0, 1769853600123456, 253402300799999999, -1, 951782400000000};

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		char text[CLOCK_TEXT_SIZE];
		int64_t back = 0;

		clock_text(times[i], text);
		CHECK_INT(clock_parse(str_of(text), &back), 0);
		CHECK_INT(back, times[i]);
	}
	CHECK_INT(clock_parse(STR("2026-02-30T00:00:00Z"), &(int64_t){0}), -EINVAL);
	CHECK_INT(clock_parse(STR("2026-02-03T00:00:00"), &(int64_t){0}), -EINVAL);
	CHECK_INT(clock_parse(STR("2026-02-03T00:00:00.Z"), &(int64_t){0}), -EINVAL);
	CHECK_INT(clock_parse(STR("2026-02-03T00:00:00+00:00"), &(int64_t){0}), -EINVAL);
}

static void a_time_may_have_an_offset(void)
{
	int64_t us = 0;

	CHECK_INT(clock_parse_offset(STR("1970-01-01T02:00:01+02:00"), &us), 0);
	CHECK_INT(us, 1000000);
	CHECK_INT(clock_parse_offset(STR("1969-12-31T18:30:00.5-05:30"), &us), 0);
	CHECK_INT(us, 500000);
	CHECK_INT(clock_parse_offset(STR("1970-01-01T02:00:01+24:00"), &us), -EINVAL);
	CHECK_INT(clock_parse_offset(STR("1970-01-01T02:00:01+02:00Z"), &us), -EINVAL);
}

static void ids_are_version_7_and_sort_by_time(void)
{
	char a[ID_TEXT_SIZE], b[ID_TEXT_SIZE];
	struct id id, back;

	id_create(&id, 1769853600123456);
	id_text(&id, a);
	CHECK(a[14] == '7' && strchr("89ab", a[19]) != NULL);
	CHECK_INT(id_parse(str_of(a), &back), 0);
	CHECK(id_eq(&id, &back));
	id_create(&id, 1769853600124456);
	id_text(&id, b);
	CHECK(strcmp(a, b) < 0);
	CHECK_INT(id_parse(STR("0190"), &back), -EINVAL);
	CHECK_INT(id_parse(STR("0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeeg"), &back), -EINVAL);
}

static void sha256_gives_the_standard_answer(void)
{
	uint8_t bytes[DIGEST_SIZE];
	char text[DIGEST_TEXT_SIZE];
	struct digest d;

	REQUIRE(digest_init(&d) == 0);
	digest_start(&d);
	digest_add(&d, "abc", 3);
	digest_finish(&d, bytes);
	digest_text(bytes, text);
	CHECK_TEXT(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	digest_fini(&d);
}

/* The sequencer hashes every event; there nothing may fail. */
/* The sequencer hashes every event; there nothing may fail. */
static void a_digest_needs_no_memory_once_it_is_there(void)
{
	uint8_t want[DIGEST_SIZE], bytes[DIGEST_SIZE];
	struct digest d;

	REQUIRE(digest_once(STR("abc"), want) == 0);
	REQUIRE(digest_init(&d) == 0);
	alloc_fault_from(1);
	for (int i = 0; i < 3; i++) {
		digest_start(&d);
		digest_add(&d, "abc", 3);
		CHECK_INT(digest_finish(&d, bytes), 0);
	}
	CHECK(!alloc_fault_end());
	CHECK(memcmp(bytes, want, sizeof want) == 0);
	digest_fini(&d);
}

static void want_of_memory_is_not_taken_for_bad_json(void)
{
	bool has_failed = true;

	for (size_t n = 1; has_failed && n < 100; n++) {
		int r;

		alloc_fault_at(n);
		r = parse_json("{\"a\":[1,\"two\",{\"b\":null}]}");
		has_failed = alloc_fault_end();
		CHECK_INT(r, has_failed ? -ENOMEM : 0);
	}
	CHECK(!has_failed);
}

static void arena_hands_out_aligned_zeroed_memory(void)
{
	_cleanup_(arena_fini) struct arena a = {0};

	for (size_t size = 1; size < 200000; size = size * 3 + 1) {
		unsigned char *p = arena_alloc(&a, size);

		REQUIRE(p != NULL);
		CHECK(((uintptr_t)p & 15) == 0 && p[0] == 0 && p[size - 1] == 0);
		memset(p, 0xff, size);
	}
}

static void queue_keeps_order_and_a_poke_wakes(void)
{
	struct queue_node nodes[3], *n;
	struct queue q;

	REQUIRE(queue_init(&q, false) == 0);
	CHECK(queue_take(&q, 0) == NULL);
	for (int i = 0; i < 3; i++)
		queue_push(&q, &nodes[i]);
	n = queue_take(&q, INT64_MAX);
	CHECK(n == &nodes[0] && n->next == &nodes[1] && nodes[2].next == NULL);
	queue_poke(&q);
	CHECK(queue_take(&q, INT64_MAX) == NULL);
	CHECK(queue_take(&q, clock_mono_ms() + 5) == NULL);
	queue_fini(&q);
}

/* `sched runtime` of the calling thread in ns, as the kernel tells it; 0: it does not. */
static uint64_t slice_ns(void)
{
	uint64_t attributes[6] = {0}; /* the third is nice and priority, the fourth the runtime */

	REQUIRE(syscall(SYS_sched_getattr, 0, attributes, sizeof attributes, 0) == 0);
	return attributes[3];
}

static void a_short_slice_changes_nothing_else(void)
{
	int policy = sched_getscheduler(0), nice = getpriority(PRIO_PROCESS, 0);
	uint64_t before_ns = slice_ns();

	slice_shorten();
	CHECK_INT(sched_getscheduler(0), policy);
	CHECK_INT(getpriority(PRIO_PROCESS, 0), nice);
	CHECK(slice_ns() <= before_ns);
	CHECK(slice_ns() == before_ns || slice_ns() == 100000);
}

UNIT_MAIN("base", TEST(json_gate_refuses_what_rfc_8259_forbids),
	TEST(a_scan_finds_every_member_where_it_stands),
	TEST(what_needs_no_tree_is_told_from_what_does), TEST(money_is_exact_to_two_decimals),
	TEST(writer_puts_commas_and_escapes), TEST(what_was_written_can_be_read_whatever_the_bytes),
	TEST(a_text_is_cut_between_letters), TEST(numbers_have_the_shortest_text_that_reads_back),
	TEST(time_text_reads_back), TEST(a_time_may_have_an_offset),
	TEST(ids_are_version_7_and_sort_by_time), TEST(sha256_gives_the_standard_answer),
	TEST(a_digest_needs_no_memory_once_it_is_there),
	TEST(want_of_memory_is_not_taken_for_bad_json), TEST(arena_hands_out_aligned_zeroed_memory),
	TEST(queue_keeps_order_and_a_poke_wakes), TEST(a_short_slice_changes_nothing_else))
