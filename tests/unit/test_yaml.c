/* YAML: scalars of the core schema, places, faults, and what aliases must not do. */
#include "alloc_fault.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/yaml.h"
#include "faults.h"

#include <math.h>

/* Parses and frees; the faults as text, "" when there are none. Returns owned. */
static char *faults_of(const char *text)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(yaml_freep) struct yaml *y = NULL;

	yaml_parse(str_of(text), &y, &faults);
	return faults_text(&faults);
}

static void check_faults(const char *text, const char *want)
{
	_cleanup_(freep) char *got = faults_of(text);

	CHECK_TEXT(got, want);
}

static struct yaml *parsed(const char *text)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct yaml *y = NULL;

	REQUIRE(yaml_parse(str_of(text), &y, &faults) == 0 && faults.n == 0);
	return y;
}

static void plain_scalars_resolve_by_the_core_schema(void)
{
	static const struct {
		const char *text;
		enum yaml_type type;
		double number;
	} cases[] = {{"~", YAML_NULL, 0}, {"null", YAML_NULL, 0}, {"NULL", YAML_NULL, 0},
		{"nULL", YAML_STRING, 0}, {"true", YAML_BOOL, 0}, {"False", YAML_BOOL, 0},
		{"on", YAML_STRING, 0}, {"yes", YAML_STRING, 0}, {"no", YAML_STRING, 0},
		{"off", YAML_STRING, 0}, {"y", YAML_STRING, 0}, {"12", YAML_INT, 12},
		{"-12", YAML_INT, -12}, {"+7", YAML_INT, 7}, {"0777", YAML_INT, 777},
		{"0o17", YAML_INT, 15}, {"0x1F", YAML_INT, 31}, {"0o8", YAML_STRING, 0},
		{"0x", YAML_STRING, 0}, {"-0x1", YAML_STRING, 0}, {"1_000", YAML_STRING, 0},
		{"190:20:30", YAML_STRING, 0}, {"2026-01-01", YAML_STRING, 0},
		{"-", YAML_STRING, 0}, {".", YAML_STRING, 0}, {"1.5", YAML_FLOAT, 1.5},
		{".5", YAML_FLOAT, .5}, {"5.", YAML_FLOAT, 5}, {"1e3", YAML_FLOAT, 1000},
		{"-1.5E-1", YAML_FLOAT, -.15}, {"1e", YAML_STRING, 0},
		{".inf", YAML_FLOAT, HUGE_VAL}, {"-.INF", YAML_FLOAT, -HUGE_VAL},
		{"inf", YAML_STRING, 0}, {"nan", YAML_STRING, 0},
		{"9223372036854775807", YAML_INT, 9223372036854775807.0}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct yaml_node node = {.text = str_of(cases[i].text)};

		CHECK(yaml_resolve(&node));
		CHECK_INT(node.type, cases[i].type);
		CHECK(node.number == cases[i].number);
	}
}

static void quoted_scalars_are_strings(void)
{
	_cleanup_(yaml_freep) struct yaml *y =
		parsed("- '12'\n- \"true\"\n- ''\n- !!str 5\n- |\n  7\n");

	for (const struct yaml_node *n = y->root->first; n; n = n->next)
		CHECK_INT(n->type, YAML_STRING);
	CHECK_INT(y->root->n_children, 5);
}

static void nodes_know_their_places(void)
{
	_cleanup_(yaml_freep) struct yaml *y = parsed("# é\na: 1\n\"é\": {b: [x,  y]}\n");
	const struct yaml_node *map = yaml_get(y->root, "é"), *list = yaml_get(map, "b");

	CHECK_INT(yaml_get(y->root, "a")->line, 2);
	CHECK_INT(yaml_get(y->root, "a")->column, 4);
	CHECK_INT(map->key_line, 3);
	CHECK_INT(map->key_column, 1);
	CHECK_INT(map->column, 6);
	CHECK_INT(list->key_column, 7);
	CHECK_INT(list->first->next->column, 15);
	CHECK(yaml_get(y->root, "c") == NULL && yaml_get(list, "x") == NULL);
}

static void an_empty_file_is_a_null(void)
{
	_cleanup_(yaml_freep) struct yaml *y = parsed("# nothing\n");

	CHECK_INT(y->root->type, YAML_NULL);
}

static void duplicate_keys_name_the_first(void)
{
	check_faults("a: 1\nb: 2\n  # x\na: 3\n'a': 4\n",
		"f:4:1: error: duplicate key 'a'; the first one is in line 1, column 1\n"
		"f:5:1: error: duplicate key 'a'; the first one is in line 1, column 1\n");
}

static void keys_must_be_text(void)
{
	check_faults("1: a\ntrue: b\n[x]: c\n'2': d\nyes: e\n",
		"f:1:1: error: a key must be text: write it in quotes, \"1\"\n"
		"f:2:1: error: a key must be text: write it in quotes, \"true\"\n"
		"f:3:1: error: a key must be text, not a list or a map\n");
}

static void the_merge_key_is_refused(void)
{
	check_faults("a: &x {b: 1}\nc:\n  <<: *x\n",
		"f:3:3: error: '<<' (merge) is not part of YAML 1.2: write the keys out here\n");
	check_faults("'<<': 1\n", "");
}

static void a_second_document_is_refused(void)
{
	check_faults("a: 1\n---\nb: 1\n",
		"f:2:1: error: a second document starts here; a file holds one\n");
	check_faults("---\na: 1\n...\n", "");
}

static void broken_text_is_placed(void)
{
	check_faults("a: 1\nbé: \xff\n", "f:2:5: error: not valid UTF-8 (byte 0xff)\n");
	check_faults(
		"a:\n\tb: 1\n", "f:2:1: error: a tab character; YAML is indented with spaces\n");
	check_faults("a: \x01\n", "f:1:4: error: control characters are not allowed\n");
	check_faults("a: \"x\\0y\"\n",
		"f:1:4: error: text with a NUL character (\\0) is not accepted\n");
	check_faults("a: [1, 2\nb: 3\n",
		"f:2:2: error: did not find expected ',' or ']' while parsing a flow sequence that "
		"starts in line 1\n");
	check_faults("a: 99999999999999999999\nb: 1e999\nc: '99999999999999999999'\n",
		"f:1:4: error: the number does not fit; if it is text, put it in quotes\n"
		"f:2:4: error: the number does not fit; if it is text, put it in quotes\n");
	check_faults("a: !new x\nb: !!int x\n",
		"f:1:4: error: the tag '!new' is not known here; leave it out\n"
		"f:2:4: error: the value is not of the type its tag says\n");
}

static void nesting_has_a_limit(void)
{
	char text[200];

	memset(text, '[', 100);
	memset(text + 100, ']', 100);
	text[199] = '\0';
	check_faults(text, "f:1:33: error: nested more than 32 deep\n");
	memmove(text + 32, text + 200 - 33, 33);
	check_faults(text, "");
}

static void aliases_share_what_they_repeat(void)
{
	_cleanup_(yaml_freep) struct yaml *y =
		parsed("a: &x [1, 2]\nb: *x\nc: &y hi\nd: [*y, *y]\n");
	const struct yaml_node *a = yaml_get(y->root, "a"), *b = yaml_get(y->root, "b");

	CHECK(a->first == b->first && b->n_children == 2 && a != b);
	CHECK_INT(b->line, 2);
	CHECK_INT(b->key_line, 2);
	CHECK(str_is(yaml_get(y->root, "d")->first->next->text, "hi"));
	CHECK(yaml_get(y->root, "d")->first->next->next == NULL);
}

static void aliases_that_cannot_be_written_out_are_refused(void)
{
	check_faults("a: &x [1, *x]\n",
		"f:1:11: error: the alias '*x' stands inside the value that it repeats\n");
	check_faults("a: *x\n",
		"f:1:4: error: the alias '*x' repeats nothing: no '&' with that name above\n");
}

static void check_bomb(const char *text, const char *want)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(freep) char *got = NULL;
	struct yaml *y = NULL;
	long before = alloc_fault_balance();
	int64_t start = clock_mono_ms();

	CHECK_INT(yaml_parse(str_of(text), &y, &faults), -EINVAL);
	CHECK(clock_mono_ms() - start < 1000);
	CHECK(alloc_fault_balance() - before <= 1);
	got = faults_text(&faults);
	CHECK_TEXT(got, want);
}

static void an_alias_bomb_stays_small(void)
{
	_cleanup_(buf_fini) struct buf text = {0};

	buf_text(&text, "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 10; i++) {
		buf_fmt(&text, "l%d: &l%d [", i, i);
		for (int j = 0; j < 10; j++)
			buf_fmt(&text, "%s*l%d", j ? ", " : "", i - 1);
		buf_text(&text, "]\n");
	}
	check_bomb(text.data, "f:5:25: error: too large: more than 50000 values or 1048576 bytes, "
			      "aliases counted\n");
	buf_clear(&text);
	buf_text(&text, "a: &a ");
	for (int i = 0; i < 100000; i++)
		buf_char(&text, 'x');
	buf_text(&text, "\nb: [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n");
	check_bomb(text.data, "f:2:41: error: too large: more than 50000 values or 1048576 bytes, "
			      "aliases counted\n");
}

static void many_keys_and_anchors_are_fast(void)
{
	_cleanup_(buf_fini) struct buf text = {0};
	int64_t start = clock_mono_ms();

	for (int i = 0; i < 20000; i++)
		buf_fmt(&text, "k%d: 1\n", i * 7919 % 20000);
	check_faults(text.data, "");
	buf_clear(&text);
	for (int i = 0; i < 20000; i++)
		buf_fmt(&text, "- &a%d x\n", i);
	check_faults(text.data, "f:1001:3: error: more than 1000 anchors in one file\n");
	CHECK(clock_mono_ms() - start < 5000);
}

static void faults_are_sorted_bounded_and_said_once(void)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(freep) char *text = NULL;
	struct err e = {0};

	yaml_fault(&faults, NULL, "whole");
	for (int i = 60; i > 0; i--)
		yaml_fault(&faults, &(struct yaml_node){.line = i, .column = 1}, "x\n\033[2J");
	yaml_fault(&faults, NULL, "whole");
	CHECK_INT(faults.n, 61);
	text = faults_text(&faults);
	CHECK(strncmp(text, "f: error: whole\nf:12:1: error: x??[2J\nf:13", 42) == 0);
	CHECK(strstr(text, "f: error: 11 more, not shown\n") != NULL);
	yaml_faults_first(&faults, &e);
	CHECK_TEXT(err_text(&e), "whole");
}

static void a_slip_is_guessed_and_a_stranger_is_not(void)
{
	static const char *const words[] = {"workers", "timeout", "retry", "after", NULL};

	CHECK_TEXT(yaml_suggest(STR("worker"), words), "workers");
	CHECK_TEXT(yaml_suggest(STR("wrokers"), words), "workers");
	CHECK_TEXT(yaml_suggest(STR("TIMEOUT"), words), "timeout");
	CHECK_TEXT(yaml_suggest(STR("rtery"), words), "retry");
	CHECK(yaml_suggest(STR("breaker"), words) == NULL);
	CHECK(yaml_suggest(STR("rate"), words) == NULL);
	CHECK(yaml_suggest(STR(""), words) == NULL);
	CHECK(yaml_suggest(STR("x"), words) == NULL);
}

static void no_allocation_that_fails_is_missed(void)
{
	static const char text[] = "a: &x [1, {b: 'c', d: 2}]\nb: *x\nb: |\n  text\n1: x\n";
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		struct yaml_faults faults = {0};
		struct yaml *y = NULL;
		long before = alloc_fault_balance();
		int r;

		alloc_fault_at(n);
		r = yaml_parse(str_of(text), &y, &faults);
		failed = alloc_fault_end();
		CHECK(r == 0 || (failed && r == -ENOMEM));
		CHECK((r == 0) == (y != NULL));
		yaml_destroy(y);
		yaml_faults_fini(&faults);
		CHECK_INT(alloc_fault_balance(), before);
	}
}

UNIT_MAIN("yaml", TEST(plain_scalars_resolve_by_the_core_schema), TEST(quoted_scalars_are_strings),
	TEST(nodes_know_their_places), TEST(an_empty_file_is_a_null),
	TEST(duplicate_keys_name_the_first), TEST(keys_must_be_text),
	TEST(the_merge_key_is_refused), TEST(a_second_document_is_refused),
	TEST(broken_text_is_placed), TEST(nesting_has_a_limit),
	TEST(aliases_share_what_they_repeat), TEST(aliases_that_cannot_be_written_out_are_refused),
	TEST(an_alias_bomb_stays_small), TEST(many_keys_and_anchors_are_fast),
	TEST(faults_are_sorted_bounded_and_said_once),
	TEST(a_slip_is_guessed_and_a_stranger_is_not), TEST(no_allocation_that_fails_is_missed))
