/* The frames between the daemon and a stage's process: what goes in comes out, and nothing else gets in. */
#include <stdio.h>
#include <time.h>

#include "stage/wire.h"
#include "unit.h"

static struct task *sample(void)
{
	static struct effect effects[] = {
		{.kind = EFFECT_ADD, .key = {"stock/A", 7}, .delta = -2, .floor = 0},
		{.kind = EFFECT_PUT, .key = {"note", 4}, .json = {"{\"a\":1}", 7}},
		{.kind = EFFECT_DELETE, .key = {"old", 3}},
	};
	struct task *t = task_new(STR("{\"id\":1}"), STR("{}"), STR("[true]"));

	REQUIRE(t != NULL);
	t->order_seq = 77;
	t->order_id.bytes[15] = 9;
	t->attempt = 3;
	t->turn = 2;
	t->undo = true;
	t->verdict = VERDICT_DONE;
	t->message = "fine";
	t->result = "{\"x\":1}";
	t->delay_ms = 5;
	t->effects = effects;
	t->n_effects = ARRAY_LEN(effects);
	return t;
}

static struct str frame_body(const struct buf *out, enum wire_type type)
{
	struct str rest = buf_view(out);
	struct wire_frame frame;

	REQUIRE(wire_take(&rest, WIRE_TASK_MAX, &frame) == 1);
	CHECK_INT(frame.type, type);
	CHECK_INT(rest.n, 0);
	return frame.body;
}

static void a_task_crosses(void)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct task *t = sample(), *got = NULL;
	uint64_t number = 0;

	wire_put_task(&out, 42, t);
	REQUIRE(wire_get_task(frame_body(&out, WIRE_TASK), &number, &got) == 0);
	CHECK_INT(number, 42);
	CHECK(got->order_seq == 77 && got->order_id.bytes[15] == 9 && got->attempt == 3);
	CHECK(got->turn == 2 && got->undo);
	CHECK_TEXT(got->order, "{\"id\":1}");
	CHECK_TEXT(got->results, "{}");
	CHECK_TEXT(got->signal, "[true]");
	task_free(got);
	task_free(t);
}

static void an_answer_crosses(void)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct task *t = sample();
	struct wire_answer a;
	struct task_effect e;

	wire_put_answer(&out, 7, t);
	REQUIRE(wire_get_answer(frame_body(&out, WIRE_ANSWER), &a) == 0);
	CHECK(a.number == 7 && a.said.verdict == VERDICT_DONE && a.said.delay_ms == 5 &&
		a.said.n_effects == 3);
	CHECK_TEXT(a.said.message, "fine");
	CHECK_TEXT(a.said.result, "{\"x\":1}");
	CHECK(a.said.shortage == NULL);
	REQUIRE(task_effect_unpack(&a.said.effects, &e) == 0);
	CHECK(e.kind == EFFECT_ADD && e.delta == -2 && e.floor == 0);
	CHECK_TEXT(e.key, "stock/A");
	REQUIRE(task_effect_unpack(&a.said.effects, &e) == 0);
	CHECK(e.kind == EFFECT_PUT && str_is(e.json, "{\"a\":1}"));
	REQUIRE(task_effect_unpack(&a.said.effects, &e) == 0);
	CHECK(e.kind == EFFECT_DELETE && a.said.effects.n == 0);
	task_free(t);
}

/* Reads a body as every type there is: only that none of them reads outside counts. */
static int read_as(enum wire_type type, struct str body)
{
	static struct wire_module modules[WIRE_MODULES_MAX];
	uint64_t trace[WIRE_TRACE_MAX], number;
	struct wire_start start;
	struct wire_answer answer;
	struct wire_crash crash;
	struct task *t = NULL;
	const char *text;
	uint32_t level;
	size_t n;
	int r = -EPROTO;

	switch (type) {
	case WIRE_START:
		return wire_get_start(body, &start);
	case WIRE_TASK:
		r = wire_get_task(body, &number, &t);
		task_free(t);
		return r;
	case WIRE_MODULES:
		return wire_get_modules(body, modules, &n);
	case WIRE_READY:
	case WIRE_LEAVE:
		return wire_get_text(body, &text);
	case WIRE_ANSWER:
		return wire_get_answer(body, &answer);
	case WIRE_LOG:
		return wire_get_log(body, &level, &text);
	case WIRE_CRASH:
		return wire_get_crash(body, &crash);
	case WIRE_WAKE:
		return wire_get_wake(body, &number);
	case WIRE_TRACE:
		return wire_get_trace(body, trace, &n);
	}
	return r;
}

/* One frame of every type, in memory that ends where the body ends. */
static void put_all(struct buf *out)
{
	struct wire_module module = {1, 2, 3, "/lib/x.so"};
	struct wire_start start = {.path = "/p.so", .name = "p", .pipeline = STR("pipeline: p")};
	static const char numbers[32];
	struct task *t = sample();
	char head[WIRE_HEAD];

	wire_put_start(out, &start);
	wire_put_task(out, 1, t);
	wire_put_modules(out, &module, 1);
	wire_put_text(out, WIRE_READY, "");
	wire_put_text(out, WIRE_LEAVE, "tired");
	wire_put_answer(out, 1, t);
	wire_put_wake(out, (uint64_t)1 << 32);
	wire_put_log(out, 2, "hello");
	wire_head(head, WIRE_CRASH, sizeof numbers);
	buf_add(out, head, sizeof head);
	buf_add(out, numbers, sizeof numbers);
	wire_head(head, WIRE_TRACE, 16);
	buf_add(out, head, sizeof head);
	buf_add(out, numbers, 16);
	task_free(t);
}

static void a_body_that_is_cut_off_or_too_long_is_refused(void)
{
	_cleanup_(buf_fini) struct buf all = {0};
	struct wire_frame frame;
	struct str rest;
	int n_types = 0;

	put_all(&all);
	for (rest = buf_view(&all); wire_take(&rest, WIRE_TASK_MAX, &frame) == 1; n_types++) {
		char *longer = calloc(1, frame.body.n + 1);

		CHECK_INT(read_as(frame.type, frame.body), 0);
		memcpy(longer, frame.body.p, frame.body.n);
		CHECK_INT(read_as(frame.type, (struct str){longer, frame.body.n + 1}), -EPROTO);
		free(longer);
		for (size_t n = 0; n < frame.body.n; n++) {
			char *cut = malloc(n + 1);

			memcpy(cut, frame.body.p, n);
			/* A trace may end after any address. */
			if (frame.type != WIRE_TRACE || n % 8)
				CHECK_INT(read_as(frame.type, (struct str){cut, n}), -EPROTO);
			free(cut);
		}
	}
	CHECK_INT(n_types, WIRE_WAKE);
	CHECK_INT(rest.n, 0);
}

static void a_head_that_is_none_is_refused(void)
{
	static const struct {
		uint32_t length;
		uint16_t type, version;
	} heads[] = {{4, 0, WIRE_VERSION}, {4, WIRE_WAKE + 1, WIRE_VERSION},
		{4, WIRE_LOG, WIRE_VERSION + 1}, {UINT32_MAX, WIRE_LOG, WIRE_VERSION},
		{1024 - WIRE_HEAD + 1, WIRE_LOG, WIRE_VERSION}};
	struct wire_frame frame;

	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		struct str in = {(const char *)&heads[i], sizeof heads[i]};

		CHECK_INT(wire_take(&in, 1024, &frame), -EPROTO);
		in.n = WIRE_HEAD - 1;
		CHECK_INT(wire_take(&in, 1024, &frame), 0);
	}
}

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16) % n;
}

/* Frames with some bytes changed, and plain noise. What is taken for good is not the point; that every length is
 * looked at is, and the sanitizers watch. */
static void noise_is_read_within_its_bounds(void)
{
	const char *seed = getenv("STAGELINE_SEED");
	_cleanup_(buf_fini) struct buf all = {0};

	random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL) | 1;
	printf("(seed %llu) ", (unsigned long long)random_state);
	put_all(&all);
	for (int i = 0; i < 20000; i++) {
		size_t n = i % 4 ? all.len : random_below(512);
		char *bytes = malloc(n + 1);
		struct wire_frame frame;
		struct str rest = {bytes, n};

		memcpy(bytes, all.data, n < all.len ? n : all.len);
		for (uint32_t k = 1 + random_below(8); k && n; k--)
			bytes[random_below((uint32_t)n)] = (char)random_below(256);
		while (wire_take(&rest, WIRE_ANSWER_MAX, &frame) == 1)
			read_as(frame.type, frame.body);
		for (int type = WIRE_START; type <= WIRE_TRACE; type++)
			read_as((enum wire_type)type, (struct str){bytes, n});
		free(bytes);
	}
}

UNIT_MAIN("wire", TEST(a_task_crosses), TEST(an_answer_crosses),
	TEST(a_body_that_is_cut_off_or_too_long_is_refused), TEST(a_head_that_is_none_is_refused),
	TEST(noise_is_read_within_its_bounds))
