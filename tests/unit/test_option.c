/* Options: units, reading with placed faults, tables that are not sound, the schema. */
#include "alloc_fault.h"
#include "base/option.h"
#include "faults.h"

struct sample {
	const char *text;
	uint8_t flag;
	int64_t count;
	double number, ratio;
	int64_t wait_ms, bytes;
	struct sl_range latency;
	int64_t level;
	struct sl_list list;
};

#define AT(field) offsetof(struct sample, field)

static const struct sl_option table[] = {
	{SL_OPTION_STRING, 0, "text", "a text", "hi", NULL, AT(text)},
	{SL_OPTION_BOOL, 0, "flag", "a flag", "true", NULL, AT(flag)},
	{SL_OPTION_INT, SL_OPTION_REQUIRED, "count", "how many", NULL, NULL, AT(count), 1, 10},
	{SL_OPTION_NUMBER, 0, "number", "a number", "2.5", NULL, AT(number), -1, 100},
	{SL_OPTION_RATIO, 0, "ratio", "a part", "0.5", NULL, AT(ratio)},
	{SL_OPTION_DURATION, 0, "wait", "a wait", "2m", NULL, AT(wait_ms), 1000, 3600000},
	{SL_OPTION_SIZE, 0, "bytes", "a size", "64KiB", NULL, AT(bytes)},
	{SL_OPTION_DURATION_RANGE, 0, "latency", "a range", "1s..2s", NULL, AT(latency)},
	{SL_OPTION_CHOICE, 0, "level", "a word", "info", "error|warning|info", AT(level)},
	{SL_OPTION_LIST, 0, "list", "some texts", "[a, b]", NULL, AT(list)},
};

#define LETTERS_10 "éééééééééé"
#define LETTERS_29 LETTERS_10 LETTERS_10 "ééééééééé"
#define LETTERS_40 LETTERS_10 LETTERS_10 LETTERS_10 LETTERS_10

struct outcome {
	struct sample sample;
	struct arena arena;
	char *faults;
	int result;
};

static void outcome_fini(struct outcome *o)
{
	arena_fini(&o->arena);
	free(o->faults);
}

static struct outcome read_text(const char *text, const char *const *skip)
{
	_cleanup_(yaml_freep) struct yaml *y = NULL;
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct outcome o = {0};

	REQUIRE(yaml_parse(str_of(text), &y, &faults) == 0);
	o.result = option_read(table, ARRAY_LEN(table), y->root, skip, &o.sample, sizeof o.sample,
		&o.arena, &faults);
	o.faults = faults_text(&faults);
	return o;
}

static void what_is_not_written_has_its_default(void)
{
	_cleanup_(outcome_fini) struct outcome o = read_text("count: 3\n", NULL);

	CHECK_INT(o.result, 0);
	CHECK_TEXT(o.faults, "");
	CHECK_TEXT(o.sample.text, "hi");
	CHECK(o.sample.flag == 1 && o.sample.count == 3 && o.sample.number == 2.5);
	CHECK(o.sample.ratio == 0.5 && o.sample.wait_ms == 120000 && o.sample.bytes == 65536);
	CHECK(o.sample.latency.low == 1000 && o.sample.latency.high == 2000);
	CHECK(o.sample.level == 2 && o.sample.list.n == 2);
	CHECK_TEXT(o.sample.list.items[1], "b");
}

static void what_is_written_wins(void)
{
	_cleanup_(outcome_fini) struct outcome o =
		read_text("{text: bye, flag: false, count: 10, number: -1, ratio: 1, wait: 1.5s, "
			  "bytes: 2MiB,\n"
			  " latency: 5ms, level: error, list: [x], other: 1}\n",
			(const char *const[]){"other", NULL});

	CHECK_INT(o.result, 0);
	CHECK_TEXT(o.faults, "");
	CHECK_TEXT(o.sample.text, "bye");
	CHECK(o.sample.flag == 0 && o.sample.count == 10 && o.sample.number == -1);
	CHECK(o.sample.ratio == 1 && o.sample.wait_ms == 1500 && o.sample.bytes == 2 << 20);
	CHECK(o.sample.latency.low == 5 && o.sample.latency.high == 5 && o.sample.level == 0);
	CHECK(o.sample.list.n == 1 && strcmp(o.sample.list.items[0], "x") == 0);
}

static void every_fault_is_placed_and_says_what_would_be_right(void)
{
	_cleanup_(outcome_fini) struct outcome o = read_text(
		"text: 5\nflag: yes\ncuont: 3\n"
		"number: 101\nratio: 1.5\nwait: 5\nbytes: [1]\nlatency: 2s..1s\nlevel: loud\n"
		"list: [a, 1]\n",
		NULL);

	CHECK_INT(o.result, -EINVAL);
	CHECK_TEXT(o.faults,
		"f:1:1: error: 'count' is missing: how many\n"
		"f:1:7: error: 'text' must be text; write it in quotes: \"5\"\n"
		"f:2:7: error: 'flag' must be true or false, not the text 'yes'\n"
		"f:3:1: error: unknown key 'cuont' (did you mean 'count'?)\n"
		"f:4:9: error: 'number' must be between -1 and 100, not '101'\n"
		"f:5:8: error: 'ratio' must be a number from 0 to 1, not '1.5'\n"
		"f:6:7: error: 'wait' must be a time with its unit, such as 200ms, 5s, 2m, 1h or "
		"30d, not '5'\n"
		"f:7:8: error: 'bytes' must be a size with its unit, such as 512B, 64KiB, 10MiB or "
		"1GiB, not a list\n"
		"f:8:10: error: 'latency' must be a time or a range from short to long, such as "
		"500ms or 1s..2s, not the text '2s..1s'\n"
		"f:9:8: error: 'level' must be one of error, warning, info, not the text 'loud'\n"
		"f:10:11: error: 'list' holds text only; this is none\n");
}

static void bounds_are_said_in_units(void)
{
	_cleanup_(outcome_fini) struct outcome o = read_text("count: 0\nwait: 2h\ntext:\n", NULL);

	CHECK_TEXT(o.faults, "f:1:8: error: 'count' must be between 1 and 10, not '0'\n"
			     "f:2:7: error: 'wait' must be between 1s and 1h, not the text '2h'\n"
			     "f:3:6: error: 'text' has no value; it must be text\n");
}

static void long_words_are_cut_between_letters(void)
{
	_cleanup_(outcome_fini) struct outcome o =
		read_text("count: 1\nwait: x" LETTERS_40 "\ny" LETTERS_40 ": 1\n", NULL);

	CHECK_TEXT(o.faults,
		"f:2:7: error: 'wait' must be a time with its unit, such as 200ms, 5s, 2m, 1h or "
		"30d, not the text 'x" LETTERS_29 "'\n"
		"f:3:1: error: unknown key 'y" LETTERS_29 "'\n");
}

static void a_list_where_a_map_belongs_is_one_fault(void)
{
	_cleanup_(outcome_fini) struct outcome o = read_text("[1]\n", NULL);

	CHECK_INT(o.result, -EINVAL);
	CHECK_TEXT(o.faults, "f:1:1: error: a map of options (key: value) is wanted here\n");
}

static void units_read_all_of_the_text_or_nothing(void)
{
	static const char *const bad[] = {"", "5", "s", "5 s", "5S", "-5s", "+5s", "1.s", ".5s",
		"0.5ms", "1.2.3s", "99999999999999999999d", "9223372036854775807d", "5sx", "1e3s"};
	int64_t v = 7;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK_INT(option_parse_duration(str_of(bad[i]), &v), -EINVAL);
	CHECK_INT(v, 7);
	CHECK(option_parse_duration(STR("400d"), &v) == 0 && v == 400 * INT64_C(86400000));
	CHECK(option_parse_duration(STR("0.25s"), &v) == 0 && v == 250);
	CHECK(option_parse_duration(STR("0s"), &v) == 0 && v == 0);
	CHECK(option_parse_size(STR("1.5KiB"), &v) == 0 && v == 1536);
	CHECK_INT(option_parse_size(STR("1KB"), &v), -EINVAL);
	CHECK_INT(option_parse_duration((struct str){NULL, 0}, &v), -EINVAL);
}

static void units_print_as_they_would_be_written(void)
{
	char text[OPTION_UNIT_TEXT_SIZE];

	option_duration_text(0, text);
	CHECK_TEXT(text, "0ms");
	option_duration_text(90000, text);
	CHECK_TEXT(text, "90s");
	option_duration_text(86400000, text);
	CHECK_TEXT(text, "1d");
	option_size_text(65536, text);
	CHECK_TEXT(text, "64KiB");
	option_size_text(1000, text);
	CHECK_TEXT(text, "1000B");
}

static void text_from_a_command_line_needs_no_quotes(void)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct sample s = {0};
	struct err e = {0};

	CHECK_INT(option_read_text(&table[0], STR("123"), &s, sizeof s, &arena, &e), 0);
	CHECK_TEXT(s.text, "123");
	CHECK_INT(option_read_text(&table[2], STR("11"), &s, sizeof s, &arena, &e), -EINVAL);
	CHECK_TEXT(err_text(&e), "'count' must be between 1 and 10, not '11'");
	CHECK_INT(option_read_text(&table[9], STR("[a"), &s, sizeof s, &arena, &e), -EINVAL);
	CHECK_INT(option_read_text(&table[9], STR("[]"), &s, sizeof s, &arena, &e), 0);
	CHECK_INT(s.list.n, 0);
	CHECK_INT(option_read_text(&table[9], STR("[a]"), &s, 4, &arena, &e), -EINVAL);
}

static void check_refused(const struct sl_option *options, size_t n, const char *want)
{
	struct err e = {0};

	CHECK_INT(option_check_table(options, n, 16, &e), -EINVAL);
	CHECK_TEXT(err_text(&e), want);
}

static void tables_that_are_not_sound_are_refused(void)
{
	const struct sl_option a = {SL_OPTION_INT, 0, "a", NULL, NULL, NULL, 0};
	struct sl_option o[2] = {a, a};

	CHECK_INT(option_check_table(table, ARRAY_LEN(table), sizeof(struct sample), NULL), 0);
	CHECK_INT(option_check_table(NULL, 0, 0, NULL), 0);
	check_refused(NULL, 1, "1 options, but no table of them");
	check_refused(o, 2, "option 'a' is there twice");
	o[1].name = "b";
	check_refused(o, 2, "options 'a' and 'b' share bytes of the config struct");
	o[1].offset = 12;
	check_refused(o, 2, "option 'b': its field does not lie in the config struct");
	o[1].offset = SIZE_MAX - 7;
	check_refused(o, 2, "option 'b': its field does not lie in the config struct");
	o[1].offset = 8;
	o[1].type = 77;
	check_refused(o, 2, "option 'b' is of a type (77) this host does not know");
	o[1].type = SL_OPTION_CHOICE;
	check_refused(o, 2, "option 'b' is a choice without words");
	o[1].type = SL_OPTION_DURATION;
	o[1].fallback = "5";
	check_refused(o, 2,
		"default of option 'b': 'b' must be a time with its unit, such as 200ms, 5s, 2m, "
		"1h "
		"or 30d, not '5'");
	o[1].name = "B!";
	check_refused(o, 2, "option 2: a name is a-z, 0-9 and _");
	o[1].name = NULL;
	check_refused(o, 2, "option 2: a name is a-z, 0-9 and _");
}

static void the_schema_says_type_default_and_bounds(void)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};

	option_schema(&table[2], 2, &w);
	CHECK_TEXT(out.data,
		"{\"count\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10,\"description\":"
		"\"how many\"},\"number\":{\"type\":\"number\",\"minimum\":-1,\"maximum\":100,"
		"\"description\":\"a number\",\"default\":2.5}}");
	buf_clear(&out);
	w.comma = false;
	option_schema(&table[8], 2, &w);
	CHECK_TEXT(out.data,
		"{\"level\":{\"enum\":[\"error\",\"warning\",\"info\"],\"description\":\"a word\","
		"\"default\":\"info\"},\"list\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}"
		","
		"\"description\":\"some texts\",\"default\":[\"a\",\"b\"]}}");
}

static void people_get_a_line_per_option(void)
{
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	REQUIRE(out != NULL);
	option_print(&table[2], 1, out);
	option_print(&table[5], 1, out);
	fclose(out);
	CHECK_TEXT(text, "count            integer        (required)     how many\n"
			 "wait             time           2m             a wait\n");
}

static void no_allocation_that_fails_is_missed(void)
{
	_cleanup_(yaml_freep) struct yaml *y = NULL;
	bool failed = true;

	REQUIRE(yaml_parse(STR("{cuont: 3, text: x, list: [a, b], wait: 5}"), &y, NULL) == 0);
	for (size_t n = 1; failed; n++) {
		struct yaml_faults faults = {0};
		struct arena arena = {0};
		struct sample s = {0};
		long before = alloc_fault_balance();
		int r;

		alloc_fault_at(n);
		r = option_read(
			table, ARRAY_LEN(table), y->root, NULL, &s, sizeof s, &arena, &faults);
		failed = alloc_fault_end();
		CHECK(r == -EINVAL || (failed && r == -ENOMEM));
		arena_fini(&arena);
		yaml_faults_fini(&faults);
		CHECK_INT(alloc_fault_balance(), before);
	}
}

UNIT_MAIN("option", TEST(what_is_not_written_has_its_default), TEST(what_is_written_wins),
	TEST(every_fault_is_placed_and_says_what_would_be_right), TEST(bounds_are_said_in_units),
	TEST(long_words_are_cut_between_letters), TEST(a_list_where_a_map_belongs_is_one_fault),
	TEST(units_read_all_of_the_text_or_nothing), TEST(units_print_as_they_would_be_written),
	TEST(text_from_a_command_line_needs_no_quotes), TEST(tables_that_are_not_sound_are_refused),
	TEST(the_schema_says_type_default_and_bounds), TEST(people_get_a_line_per_option),
	TEST(no_allocation_that_fails_is_missed))
