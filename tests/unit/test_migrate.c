/* Migration: what an order keeps, what is refused, and that the fold gives the same whatever happened between.
 *
 * The random test takes its seed from STAGELINE_SEED or the clock, and prints it. */
#include <time.h>

#include "alloc_fault.h"
#include "model/apply.h"
#include "model/migrate.h"
#include "model/pipeline_build.h"
#include "unit.h"

static const char *const texts[] = {
	"pipeline: p\ndefaults: {retry: {attempts: 3, backoff: 1ms}}\nstages:\n"
	"  - {name: a, undo_event: a_undone}\n"
	"  - {name: b, undo_event: b_undone}\n"
	"  - {name: c, undo_event: c_undone}\n",
	/* Other places, one more in front, one between. */
	"pipeline: p\ndefaults: {retry: {attempts: 3, backoff: 1ms}}\nstages:\n"
	"  - {name: z, undo_event: z_undone}\n"
	"  - {name: a, undo_event: a_undone, after: []}\n"
	"  - {name: y, undo_event: y_undone}\n"
	"  - {name: b, undo_event: b_undone, after: [a, y]}\n"
	"  - {name: c, undo_event: c_undone, after: [z, b], when: {field: total_amount, at_least: "
	"5}}\n",
	/* Without c, and what b did is for good. */
	"pipeline: p\ndefaults: {retry: {attempts: 2, backoff: 1ms}}\nstages:\n"
	"  - {name: b, irreversible: true}\n"
	"  - {name: a, undo_event: a_undone}\n",
};
enum { FIRST, MOVED, SHORT, GENERATIONS };

struct world {
	struct pipeline_set set;
	const struct pipeline *p[GENERATIONS];
	struct arena arena;
	struct event_list log;
	struct order *order;
	int64_t seq, now_us;
};

static int no_number(void *arg, struct str key, int64_t *ret)
{
	(void)arg, (void)key;
	*ret = 0;
	return 0;
}

static struct decide_env env_of(struct world *w)
{
	return (struct decide_env){.now_us = ++w->now_us, .state_number = no_number};
}

static void take(struct world *w, struct event_list *list)
{
	for (struct event *ev = list->first; ev; ev = ev->next) {
		ev->seq = ++w->seq;
		if (ev->kind == EVENT_ORDER_CREATED) {
			ev->order_seq = ev->seq;
			REQUIRE(apply(w->order, ev) == 0);
		} else {
			REQUIRE(fold(&w->order, ev, &w->set) == 0);
		}
	}
	if (!list->first)
		return;
	*w->log.last = list->first;
	w->log.last = list->last;
}

static void settle(struct world *w)
{
	struct event_list list;
	int r;

	do {
		struct decide_env env = env_of(w);

		event_list_init(&list, &w->arena);
		r = decide_settle(&env, w->order, &list);
		REQUIRE(r >= 0);
		take(w, &list);
	} while (r > 0);
}

static void world_init(struct world *w, int generation)
{
	struct id id = {.bytes = {1}};
	struct decide_env env;
	struct event_list list;

	*w = (struct world){.now_us = 1000};
	for (int i = 0; i < GENERATIONS; i++) {
		_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
		struct pipeline *p = NULL;
		int r = pipeline_parse(str_of(texts[i]), &p, &faults);

		if (r < 0)
			yaml_faults_print(&faults, "text", stderr);
		REQUIRE(r == 0);
		w->p[i] = pipeline_set_add(&w->set, p);
	}
	event_list_init(&w->log, &w->arena);
	event_list_init(&list, &w->arena);
	env = env_of(w);
	w->order = order_new(w->p[generation]);
	REQUIRE(decide_create(&env, &id, w->p[generation], STR("{\"total_amount\":9}"),
			(struct str){0}, &list) == 0);
	take(w, &list);
	settle(w);
}

static void world_fini(struct world *w)
{
	order_free(w->order);
	arena_fini(&w->arena);
	pipeline_set_fini(&w->set);
}

static int stage(const struct world *w, const char *name)
{
	int i = pipeline_find(w->order->pipeline, str_of(name));

	REQUIRE(i >= 0);
	return i;
}

static const char *word(const struct world *w, const char *name)
{
	return order_stage_word(w->order, (size_t)stage(w, name));
}

static void answer(struct world *w, size_t i, enum verdict verdict)
{
	struct decide_env env = env_of(w);
	struct task t = {.stage = i,
		.attempt = w->order->stages[i].attempt,
		.undo = w->order->stages[i].undo,
		.verdict = verdict,
		.message = "said so",
		.result = verdict == VERDICT_DONE ? "{\"r\":1}" : NULL,
		.delay_ms = -1,
		.duration_us = 1000};
	struct event_list list;

	event_list_init(&list, &w->arena);
	REQUIRE(decide_verdict(&env, w->order, &t, &list) == 0);
	take(w, &list);
	settle(w);
}

static int move_to(struct world *w, int generation, struct err *e)
{
	struct decide_env env = env_of(w);
	struct event_list list;
	int r;

	*e = (struct err){0};
	event_list_init(&list, &w->arena);
	r = decide_migrate(&env, w->order, w->p[generation], STR("why"), &list, e);
	CHECK_INT(list.n, r == 0);
	if (r < 0)
		return r;
	take(w, &list);
	settle(w);
	return 0;
}

static void what_has_begun_stays_as_it_is(void)
{
	struct world w;
	struct err e;

	world_init(&w, FIRST);
	answer(&w, 0, VERDICT_DONE);
	answer(&w, 1, VERDICT_RETRY);
	CHECK_INT(move_to(&w, MOVED, &e), 0);
	CHECK(w.order->pipeline == w.p[MOVED]);
	CHECK_TEXT(word(&w, "a"), "done");
	CHECK_TEXT(w.order->stages[stage(&w, "a")].result, "{\"r\":1}");
	CHECK_TEXT(word(&w, "b"), "retrying");
	CHECK_INT(w.order->stages[stage(&w, "b")].attempt, 2);
	CHECK_INT(w.order->stages[stage(&w, "b")].n_used, 1);
	CHECK_TEXT(w.order->stages[stage(&w, "b")].error, "said so");
	CHECK_TEXT(word(&w, "z"), "queued");
	CHECK_TEXT(word(&w, "y"), "queued");
	CHECK_TEXT(word(&w, "c"), "idle");
	CHECK_INT(w.order->n_moves, 1);
	world_fini(&w);
}

static void what_is_queued_and_was_never_tried_waits_for_its_turn_again(void)
{
	struct world w;
	struct err e;

	world_init(&w, FIRST);
	answer(&w, 0, VERDICT_DONE);
	CHECK_TEXT(word(&w, "b"), "queued");
	CHECK_INT(move_to(&w, MOVED, &e), 0);
	CHECK_TEXT(word(&w, "b"), "idle");
	answer(&w, (size_t)stage(&w, "y"), VERDICT_DONE);
	CHECK_TEXT(word(&w, "b"), "queued");
	CHECK_INT(w.order->stages[stage(&w, "b")].attempt, 1);
	world_fini(&w);
}

static void a_stage_that_has_begun_has_to_be_there(void)
{
	struct world w;
	struct err e;

	world_init(&w, FIRST);
	answer(&w, 0, VERDICT_DONE);
	answer(&w, 1, VERDICT_DONE);
	CHECK_INT(move_to(&w, FIRST, &e), -EALREADY);
	CHECK_INT(move_to(&w, SHORT, &e), -ENOENT);
	CHECK(strstr(err_text(&e), "stage 'b' is done, and generation") != NULL);
	CHECK(strstr(err_text(&e), "could not undo it") != NULL);
	CHECK_INT(move_to(&w, MOVED, &e), 0);
	answer(&w, (size_t)stage(&w, "z"), VERDICT_DONE);
	CHECK_INT(move_to(&w, FIRST, &e), -ENOENT);
	CHECK(strstr(err_text(&e), "stage 'z' is done, and generation") != NULL);
	CHECK(strstr(err_text(&e), "has no such stage") != NULL);
	world_fini(&w);
}

static void an_attempt_that_is_out_is_waited_for(void)
{
	struct world w;
	struct err e;

	world_init(&w, FIRST);
	w.order->out = 1;
	CHECK_INT(move_to(&w, MOVED, &e), -EAGAIN);
	CHECK_TEXT(err_text(&e), "stage 'a' is running: try again later");
	w.order->out = 0;
	CHECK_INT(move_to(&w, MOVED, &e), 0);
	world_fini(&w);
}

static void what_is_not_begun_may_be_gone(void)
{
	struct world w;
	struct err e;

	world_init(&w, FIRST);
	CHECK_INT(move_to(&w, SHORT, &e), 0);
	CHECK_TEXT(word(&w, "b"), "queued");
	CHECK_TEXT(word(&w, "a"), "idle");
	answer(&w, 0, VERDICT_DONE);
	answer(&w, 1, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "completed");
	CHECK_INT(move_to(&w, FIRST, &e), -EINVAL);
	CHECK_TEXT(err_text(&e), "the order is completed");
	world_fini(&w);
}

static void an_order_that_turns_round_is_undone_there(void)
{
	struct world w;
	struct err e;

	world_init(&w, FIRST);
	answer(&w, 0, VERDICT_DONE);
	answer(&w, 1, VERDICT_DONE);
	answer(&w, 2, VERDICT_FAIL);
	CHECK_TEXT(word(&w, "b"), "undoing");
	CHECK_INT(move_to(&w, MOVED, &e), 0);
	CHECK_TEXT(word(&w, "z"), "idle");
	answer(&w, (size_t)stage(&w, "b"), VERDICT_DONE);
	answer(&w, (size_t)stage(&w, "a"), VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "failed");
	CHECK_TEXT(order_error(w.order), "said so");
	world_fini(&w);
}

static void a_condition_is_asked_by_the_new_pipeline(void)
{
	struct world w;
	struct err e;

	world_init(&w, FIRST);
	answer(&w, 0, VERDICT_DONE);
	answer(&w, 1, VERDICT_DONE);
	CHECK_TEXT(word(&w, "c"), "queued");
	CHECK_INT(move_to(&w, MOVED, &e), 0);
	answer(&w, (size_t)stage(&w, "z"), VERDICT_DONE);
	CHECK_TEXT(word(&w, "c"), "queued"); /* 9 is at least 5 */
	world_fini(&w);
}

static void an_event_that_does_not_fit_is_refused_by_the_fold(void)
{
	struct world w;
	struct event ev = {.kind = EVENT_ORDER_MIGRATED, .seq = 99, .generation = STR("nobody")};

	world_init(&w, FIRST);
	ev.order_seq = w.order->seq;
	CHECK_INT(fold(&w.order, &ev, &w.set), -EPROTO);
	ev.generation = str_of(w.p[FIRST]->digest);
	CHECK_INT(fold(&w.order, &ev, &w.set), -EPROTO);
	ev.generation = str_of(w.p[MOVED]->digest);
	ev.order_seq++;
	CHECK_INT(fold(&w.order, &ev, &w.set), -EPROTO);
	ev.order_seq--;
	CHECK_INT(apply(w.order, &ev), -EPROTO);
	CHECK_INT(fold(&w.order, &ev, &w.set), 0);
	world_fini(&w);
}

static void without_memory_nothing_is_moved(void)
{
	bool failed = ALLOC_FAULT_IS_THERE;

	for (size_t n = 1; failed; n++) {
		_cleanup_(buf_fini) struct buf before = {0}, after = {0};
		struct event ev = {.kind = EVENT_ORDER_MIGRATED, .seq = 99};
		struct world w;
		int r;

		world_init(&w, FIRST);
		answer(&w, 0, VERDICT_DONE);
		answer(&w, 1, VERDICT_DONE);
		ev.order_seq = w.order->seq;
		ev.generation = str_of(w.p[MOVED]->digest);
		order_json(w.order, &(struct json_writer){&before, false});
		alloc_fault_at(n);
		r = fold(&w.order, &ev, &w.set);
		failed = alloc_fault_end();
		CHECK_INT(r, failed ? -ENOMEM : 0);
		order_json(w.order, &(struct json_writer){&after, false});
		CHECK(failed == str_eq(buf_view(&before), buf_view(&after)));
		world_fini(&w);
	}
}

/* --- any order of things --- */

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

/* All events once more, through their text: the same order. */
static void check_fold(struct world *w)
{
	_cleanup_(buf_fini) struct buf live = {0}, again = {0};
	struct order *o = NULL;

	for (struct event *ev = w->log.first; ev; ev = ev->next) {
		_cleanup_(buf_fini) struct buf text = {0};
		struct event read = *ev;

		event_encode(ev, &text);
		REQUIRE(event_decode(buf_view(&text), &read, &w->arena) == 0);
		if (!o) {
			o = order_new(pipeline_set_find(&w->set, read.generation));
			REQUIRE(apply(o, &read) == 0);
		} else {
			REQUIRE(fold(&o, &read, &w->set) == 0);
		}
	}
	order_json(w->order, &(struct json_writer){&live, false});
	order_json(o, &(struct json_writer){&again, false});
	CHECK_TEXT(again.data, live.data);
	CHECK_INT(o->n_moves, w->order->n_moves);
	order_free(o);
}

static void step(struct world *w, uint64_t *random)
{
	static const enum verdict verdicts[] = {
		VERDICT_DONE, VERDICT_DONE, VERDICT_RETRY, VERDICT_FAIL, VERDICT_WAIT};
	size_t i = next_random(random) % w->order->pipeline->n_stages;
	const struct stage_state *s = &w->order->stages[i];
	struct decide_env env = env_of(w);
	struct event_list list;
	struct err e;

	event_list_init(&list, &w->arena);
	if (next_random(random) % 4 == 0) {
		move_to(w, (int)(next_random(random) % GENERATIONS), &e);
	} else if (s->status == STAGE_QUEUED || s->status == STAGE_RETRYING) {
		answer(w, i, verdicts[next_random(random) % ARRAY_LEN(verdicts)]);
	} else if (s->status == STAGE_WAITING) {
		REQUIRE(decide_signal(&env, w->order, i, STR("{}"), (struct str){0}, &list) == 0);
	} else if (s->status == STAGE_HELD) {
		REQUIRE(decide_release(&env, w->order, i,
				next_random(random) % 2 ? STR("retry") : STR("skip"),
				(struct str){0}, STR("why"), &list) == 0);
	} else if (next_random(random) % 16 == 0 && w->order->phase == ORDER_RUNNING) {
		REQUIRE(decide_cancel(&env, w->order, STR("why"), &list) == 0);
	}
	take(w, &list);
	settle(w);
}

static void random_moves_strand_nobody_and_fold_the_same(void)
{
	const char *given = getenv("STAGELINE_SEED");
	uint64_t random = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL), seed = random;
	int n_moves = 0;

	printf("STAGELINE_SEED=%llu\n", (unsigned long long)seed);
	random = random * 2654435761u + 1;
	for (int i = 0; i < 500; i++) {
		struct world w;
		int k = 0;

		world_init(&w, (int)(next_random(&random) % GENERATIONS));
		while (!order_is_terminal(w.order) && k++ < 5000)
			step(&w, &random);
		CHECK(order_is_terminal(w.order));
		n_moves += w.order->n_moves;
		check_fold(&w);
		world_fini(&w);
	}
	CHECK(n_moves > 100);
}

/* --- builds --- */

static void the_builds_of_plugins_are_part_of_a_generation(void)
{
	static const char text[] = "pipeline: p\nstages:\n  - {name: a, plugin: x}\n  - {name: b, "
				   "plugin: y}\n  - {name: c, plugin: x} # the end";
	_cleanup_(buf_fini) struct buf with = {0}, again = {0};
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct pipeline *plain = NULL, *named = NULL;

	REQUIRE(pipeline_parse(str_of(text), &plain, &faults) == 0);
	CHECK(plain->stages[0].build == NULL);
	pipeline_build_write(plain, &with);
	CHECK_INT(with.len, sizeof text); /* a newline more */
	buf_clear(&with);
	plain->stages[0].build = plain->stages[2].build = "0123456789abcdef";
	plain->stages[1].build = "fedcba9876543210";
	pipeline_build_write(plain, &with);
	REQUIRE(pipeline_parse(buf_view(&with), &named, &faults) == 0);
	CHECK(strcmp(plain->digest, named->digest) != 0);
	for (int i = 0; i < 3; i++)
		CHECK_TEXT(named->stages[i].build, plain->stages[i].build);
	CHECK_TEXT(with.data + sizeof text, "#build: x 0123456789abcdef\n"
					    "#build: y fedcba9876543210\n");
	pipeline_build_write(named, &again);
	CHECK(str_starts(buf_view(&again), buf_view(&with)));
	pipeline_free(plain);
	pipeline_free(named);
}

UNIT_MAIN("migrate", TEST(what_has_begun_stays_as_it_is),
	TEST(what_is_queued_and_was_never_tried_waits_for_its_turn_again),
	TEST(a_stage_that_has_begun_has_to_be_there), TEST(an_attempt_that_is_out_is_waited_for),
	TEST(what_is_not_begun_may_be_gone), TEST(an_order_that_turns_round_is_undone_there),
	TEST(a_condition_is_asked_by_the_new_pipeline),
	TEST(an_event_that_does_not_fit_is_refused_by_the_fold),
	TEST(without_memory_nothing_is_moved), TEST(random_moves_strand_nobody_and_fold_the_same),
	TEST(the_builds_of_plugins_are_part_of_a_generation))
