/* decide, apply and settle: single steps by name, then random commands that must keep the invariants.
 *
 * The random test takes its seed from STAGELINE_SEED or the clock, and prints it. */
#include "alloc_fault.h"
#include "model/apply.h"
#include "model/condition.h"
#include "model/decide.h"
#include "model/ready.h"
#include "unit.h"

enum { A, B, C, D };

/* A line a → b → d with c beside b: c and b run in parallel, d joins them. */
static struct stage_spec specs[] = {
	[A] = {.name = "a", .plugin = "p", .status = "in_a", .event = "a_done", .after = 0},
	[B] = {.name = "b",
		.plugin = "p",
		.status = "in_b",
		.event = "b_done",
		.undo_event = "b_undone",
		.after = 1 << A},
	[C] = {.name = "c",
		.plugin = "p",
		.status = "in_c",
		.event = "c_done",
		.undo_event = "c_undone",
		.after = 1 << A},
	[D] = {.name = "d",
		.plugin = "p",
		.status = "in_d",
		.event = "d_done",
		.undo_event = "d_undone",
		.after = 1 << B | 1 << C},
};
static struct pipeline diamond = {
	.name = "diamond", .digest = "0123456789abcdef", .n_stages = 4, .stages = specs};

/* Conditions that stages may have in a test, with the tree that they point into. */
struct conditions {
	struct arena arena;
	struct yaml *document;
};

static void conditions_fini(struct conditions *c)
{
	for (size_t i = 0; i < diamond.n_stages; i++)
		specs[i].when = NULL;
	yaml_destroy(c->document);
	arena_fini(&c->arena);
}

/* Sets what a map of stages and their conditions says. */
static void conditions_init(struct conditions *c, const char *text)
{
	*c = (struct conditions){0};
	REQUIRE(yaml_parse(str_of(text), &c->document, NULL) == 0);
	for (const struct yaml_node *m = c->document->root->first; m; m = m->next) {
		int i = pipeline_find(&diamond, m->key);

		REQUIRE(i >= 0 && condition_read(m, &c->arena, &specs[i].when, NULL) == 0);
	}
}

struct world {
	struct arena arena;
	struct event_list log; /* all events so far */
	struct order *order;
	int64_t seq, now_us, stock, stock_given;
	uint64_t random;
	int64_t effects[4];  /* net number of runs minus undos that took effect */
	const char *message; /* of answers; NULL: "said so" */
};

static int stock_number(void *arg, struct str key, int64_t *ret)
{
	struct world *w = arg;

	*ret = str_is(key, "stock") ? w->stock : 0;
	return str_is(key, "text") ? -EINVAL : 0;
}

static struct decide_env env_of(struct world *w)
{
	return (struct decide_env){
		.now_us = w->now_us, .random = w->random, .state_number = stock_number, .arg = w};
}

static void take(struct world *w, struct event_list *list)
{
	for (struct event *ev = list->first; ev; ev = ev->next) {
		ev->seq = ++w->seq;
		if (ev->kind == EVENT_ORDER_CREATED)
			ev->order_seq = ev->seq;
		REQUIRE(apply(w->order, ev) == 0);
		for (size_t i = 0; i < ev->n_effects; i++)
			w->stock += ev->effects[i].delta;
		if (ev->kind == EVENT_STAGE_DONE && ev->n_effects)
			w->effects[pipeline_find(&diamond, ev->stage)]++;
		if (ev->kind == EVENT_STAGE_UNDONE && ev->n_effects)
			w->effects[pipeline_find(&diamond, ev->stage)]--;
	}
	if (list->first) {
		*w->log.last = list->first;
		w->log.last = list->last;
		w->log.n += list->n;
	}
}

static void settle(struct world *w)
{
	int r;

	do {
		struct decide_env env = env_of(w);
		struct event_list list;

		event_list_init(&list, &w->arena);
		r = decide_settle(&env, w->order, &list);
		REQUIRE(r >= 0);
		take(w, &list);
	} while (r > 0);
}

/* An order with that body. */
static void world_begin(struct world *w, struct str body)
{
	struct decide_env env;
	struct event_list list;
	struct id id;

	*w = (struct world){.now_us = 1000000, .stock = 10};
	for (size_t i = 0; i < diamond.n_stages; i++) {
		specs[i].retry = (struct retry_policy){
			.attempts = 3, .backoff_ms = 100, .factor = 2, .max_ms = 1000};
		specs[i].on_exhausted = EXHAUSTED_HOLD;
	}
	event_list_init(&w->log, &w->arena);
	w->order = order_new(&diamond);
	id_create(&id, w->now_us);
	env = env_of(w);
	event_list_init(&list, &w->arena);
	REQUIRE(decide_create(&env, &id, &diamond, body, STR("key"), &list) == 0);
	take(w, &list);
	settle(w);
}

static void world_init(struct world *w)
{
	world_begin(w, STR("{\"x\":1}"));
}

static void world_fini(struct world *w)
{
	order_free(w->order);
	arena_fini(&w->arena);
}

/* An answer to the current attempt. */
static int answer(struct world *w, size_t stage, enum verdict verdict)
{
	struct decide_env env = env_of(w);
	const struct stage_state *s = &w->order->stages[stage];
	struct effect effect = {
		.kind = EFFECT_ADD, .key = STR("stock"), .delta = s->undo ? 1 : -1, .floor = 0};
	struct task t = {.pipeline = &diamond,
		.stage = stage,
		.attempt = s->attempt,
		.undo = s->undo,
		.verdict = verdict,
		.message = (char *)(w->message ? w->message : "said so"),
		.result = (char *)"{\"score\":7}",
		.delay_ms = -1,
		.effects = &effect,
		.n_effects = 1};
	struct event_list list;
	int r;

	event_list_init(&list, &w->arena);
	r = decide_verdict(&env, w->order, &t, &list);
	w->order->out &= ~((uint64_t)1 << stage);
	take(w, &list);
	settle(w);
	return r;
}

static void lose(struct world *w, size_t stage)
{
	struct decide_env env = env_of(w);
	struct event_list list;

	event_list_init(&list, &w->arena);
	CHECK_INT(decide_lost(&env, w->order, stage, w->order->stages[stage].attempt, true, &list),
		0);
	take(w, &list);
	settle(w);
}

static void expire(struct world *w, size_t stage)
{
	struct decide_env env = env_of(w);
	struct event_list list;

	event_list_init(&list, &w->arena);
	CHECK_INT(decide_expired(&env, w->order, stage, &list), 0);
	take(w, &list);
	settle(w);
}

static enum stage_status status(struct world *w, size_t stage)
{
	return (enum stage_status)w->order->stages[stage].status;
}

static void payload_survives_encoding(const struct event *ev)
{
	_cleanup_(buf_fini) struct buf first = {0}, second = {0};
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event back = *ev;

	back.message = back.metadata = back.body = back.generation = back.key = (struct str){0};
	back.action = back.reason = back.text = (struct str){0};
	back.undo = back.unsure = false;
	back.effects = NULL;
	back.n_effects = 0;
	back.due_us = 0;
	back.awaited = 0;
	event_encode(ev, &first);
	REQUIRE(event_decode(buf_view(&first), &back, &arena) == 0);
	event_encode(&back, &second);
	CHECK(str_eq(buf_view(&first), buf_view(&second)));
}

static void same_order(const struct order *a, const struct order *b)
{
	_cleanup_(buf_fini) struct buf x = {0}, y = {0};

	order_json(a, &(struct json_writer){&x, false});
	order_json(b, &(struct json_writer){&y, false});
	CHECK(str_eq(buf_view(&x), buf_view(&y)));
	for (size_t i = 0; i < diamond.n_stages; i++) {
		CHECK_INT(a->stages[i].status, b->stages[i].status);
		CHECK_INT(a->stages[i].attempt, b->stages[i].attempt);
		CHECK_INT(a->stages[i].n_used, b->stages[i].n_used);
		CHECK_INT(a->stages[i].unsure, b->stages[i].unsure);
		CHECK_INT(a->stages[i].undo, b->stages[i].undo);
	}
}

static void folding_again_gives_the_same(struct world *w)
{
	_cleanup_(order_freep) struct order *again = order_new(&diamond);

	for (struct event *ev = w->log.first; ev; ev = ev->next) {
		payload_survives_encoding(ev);
		REQUIRE(apply(again, ev) == 0);
	}
	again->out = w->order->out;
	same_order(again, w->order);
}

static void an_order_runs_to_completion_through_parallel_branches(void)
{
	struct world w;

	world_init(&w);
	CHECK_TEXT(order_status(w.order), "in_a");
	CHECK(status(&w, A) == STAGE_QUEUED && status(&w, B) == STAGE_IDLE);
	answer(&w, A, VERDICT_DONE);
	CHECK(status(&w, B) == STAGE_QUEUED && status(&w, C) == STAGE_QUEUED &&
		status(&w, D) == STAGE_IDLE);
	answer(&w, C, VERDICT_DONE);
	CHECK(status(&w, D) == STAGE_IDLE);
	answer(&w, B, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "in_d");
	answer(&w, D, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "completed");
	CHECK_INT(w.log.n, 6);
	CHECK_INT(w.stock, 6);
	world_fini(&w);
}

static void a_second_verdict_for_the_same_attempt_changes_nothing(void)
{
	struct world w;

	world_init(&w);
	CHECK_INT(answer(&w, A, VERDICT_DONE), 0);
	CHECK_INT(answer(&w, A, VERDICT_DONE), -EALREADY);
	CHECK_INT(answer(&w, A, VERDICT_FAIL), -EALREADY);
	CHECK_INT(answer(&w, D, VERDICT_DONE), -EALREADY);
	CHECK_INT(w.stock, 9);
	world_fini(&w);
}

static void a_business_no_undoes_in_reverse_and_ends_in_failed(void)
{
	struct world w;

	world_init(&w);
	answer(&w, A, VERDICT_DONE);
	answer(&w, B, VERDICT_DONE);
	answer(&w, C, VERDICT_DONE);
	answer(&w, D, VERDICT_FAIL);
	CHECK_TEXT(order_status(w.order), "compensating");
	CHECK_TEXT(order_error(w.order), "said so");
	CHECK(w.order->stages[C].undo && !w.order->stages[B].undo);
	answer(&w, C, VERDICT_DONE);
	CHECK(status(&w, C) == STAGE_UNDONE && w.order->stages[B].undo);
	answer(&w, B, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "failed");
	CHECK_INT(w.stock, 9); /* a has nothing to undo */
	world_fini(&w);
}

/* `b` and `c` may run, and those of `out` do. */
static void world_init_at_branches(struct world *w, uint64_t out)
{
	world_init(w);
	answer(w, A, VERDICT_DONE);
	w->order->out = out;
}

static void a_running_sibling_is_waited_for_and_then_undone(void)
{
	struct world w;

	world_init_at_branches(&w, 1 << B | 1 << C);
	answer(&w, B, VERDICT_FAIL);
	CHECK(status(&w, C) == STAGE_QUEUED && !w.order->stages[C].undo);
	answer(&w, C, VERDICT_DONE);
	CHECK(status(&w, C) == STAGE_QUEUED && w.order->stages[C].undo);
	answer(&w, C, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "failed");
	world_fini(&w);
}

static void a_sibling_that_never_started_does_not_start(void)
{
	struct world w;

	world_init_at_branches(&w, 1 << B);
	answer(&w, B, VERDICT_FAIL);
	CHECK(status(&w, C) == STAGE_IDLE);
	CHECK_TEXT(order_status(w.order), "failed");
	world_fini(&w);
}

static void a_sibling_that_had_begun_before_the_start_is_undone(void)
{
	struct world w;

	world_init_at_branches(&w, 1 << B);
	w.order->stages[C].begun = 1;
	answer(&w, B, VERDICT_FAIL);
	CHECK(w.order->stages[C].undo && status(&w, C) == STAGE_QUEUED);
	world_fini(&w);
}

/* `b` says no, and of what `c` did nobody knows. */
static void fail_beside_a_timeout(struct world *w)
{
	world_init_at_branches(w, 1 << B | 1 << C);
	answer(w, B, VERDICT_FAIL);
	answer(w, C, VERDICT_TIMEOUT);
}

static void an_attempt_without_an_answer_is_undone_too(void)
{
	struct world w;

	fail_beside_a_timeout(&w);
	CHECK(w.order->stages[C].undo && status(&w, C) == STAGE_QUEUED);
	answer(&w, C, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "failed");
	world_fini(&w);
}

static void undoing_what_never_finished_takes_no_effect(void)
{
	struct world w;

	fail_beside_a_timeout(&w);
	CHECK_INT(w.stock, 9);
	answer(&w, C, VERDICT_DONE);
	CHECK(status(&w, C) == STAGE_UNDONE);
	CHECK_INT(w.stock, 9);
	world_fini(&w);
}

/* Nor can its effect be what the state has no room for. */
static void undoing_what_never_finished_is_not_held_for_want_of_room(void)
{
	struct world w;

	fail_beside_a_timeout(&w);
	w.stock = -5;
	answer(&w, C, VERDICT_DONE);
	CHECK(status(&w, C) == STAGE_UNDONE);
	CHECK_INT(w.stock, -5);
	world_fini(&w);
}

static void retries_back_off_and_end_on_hold(void)
{
	struct world w;

	world_init(&w);
	answer(&w, A, VERDICT_RETRY);
	CHECK(status(&w, A) == STAGE_RETRYING);
	CHECK_INT(w.order->stages[A].due_us, w.now_us + 100000);
	answer(&w, A, VERDICT_TIMEOUT);
	CHECK_INT(w.order->stages[A].due_us, w.now_us + 200000);
	CHECK_INT(w.order->stages[A].attempt, 3);
	answer(&w, A, VERDICT_CRASH);
	CHECK(status(&w, A) == STAGE_HELD);
	CHECK_TEXT(order_status(w.order), "on_hold");
	CHECK_TEXT(order_error(w.order), "said so");
	world_fini(&w);
}

/* The wait before the next attempt as chance would have it. */
static int64_t wait_by(uint64_t random)
{
	struct world w;
	int64_t wait_us;

	world_init(&w);
	w.random = random;
	specs[A].retry.jitter = 0.2;
	answer(&w, A, VERDICT_RETRY);
	wait_us = w.order->stages[A].due_us - w.now_us;
	world_fini(&w);
	return wait_us;
}

static void jitter_stays_within_its_bounds_and_spreads(void)
{
	enum { BACKOFF_US = 100000, TENTHS = 10, N = 2000 };
	int n_in[TENTHS] = {0};
	uint64_t random = 88172645463325252u;

	CHECK_INT(wait_by(0), BACKOFF_US * 8 / 10);
	CHECK(wait_by(UINT64_MAX) <= BACKOFF_US * 12 / 10);
	CHECK(wait_by(UINT64_MAX) >= BACKOFF_US * 12 / 10 - 1000);
	for (int i = 0; i < N; i++) {
		int64_t past_us;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		past_us = wait_by(random) - BACKOFF_US * 8 / 10;
		REQUIRE(past_us >= 0 && past_us < BACKOFF_US * 4 / 10);
		n_in[past_us * TENTHS / (BACKOFF_US * 4 / 10)]++;
	}
	for (int i = 0; i < TENTHS; i++)
		CHECK(n_in[i] > N / TENTHS / 2);
}

static void lost_attempts_count_until_the_order_is_held(void)
{
	struct world w;

	world_init(&w);
	for (int i = 0; i < 3; i++)
		lose(&w, A);
	CHECK_TEXT(order_status(w.order), "on_hold");
	world_fini(&w);
}

static void a_stage_that_may_not_be_held_fails_and_is_undone(void)
{
	struct world w;

	world_init(&w);
	specs[B].on_exhausted = EXHAUSTED_FAIL;
	answer(&w, A, VERDICT_DONE);
	answer(&w, C, VERDICT_DONE);
	for (int i = 0; i < 3; i++)
		answer(&w, B, VERDICT_TIMEOUT);
	CHECK_TEXT(order_status(w.order), "compensating");
	CHECK(w.order->stages[B].undo && status(&w, B) == STAGE_QUEUED);
	CHECK(!w.order->stages[C].undo);
	answer(&w, B, VERDICT_DONE);
	CHECK(status(&w, B) == STAGE_UNDONE && w.order->stages[C].undo);
	answer(&w, C, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "failed");
	CHECK_TEXT(order_error(w.order), "said so");
	CHECK_INT(w.stock, 9); /* a has nothing to undo; b took no effect */
	folding_again_gives_the_same(&w);
	world_fini(&w);
}

static void a_stage_with_nothing_to_undo_just_fails(void)
{
	struct world w;

	world_init(&w);
	specs[A].on_exhausted = EXHAUSTED_FAIL;
	for (int i = 0; i < 3; i++)
		lose(&w, A);
	CHECK_TEXT(order_status(w.order), "failed");
	CHECK_TEXT(order_error(w.order), "the worker died during the attempt");
	CHECK(status(&w, A) == STAGE_FAILED);
	world_fini(&w);
}

static void a_wait_that_ends_the_last_attempt_fails_too(void)
{
	struct world w;

	world_init(&w);
	specs[B].on_exhausted = EXHAUSTED_FAIL;
	specs[B].retry.attempts = 1;
	answer(&w, A, VERDICT_DONE);
	answer(&w, B, VERDICT_WAIT);
	expire(&w, B);
	CHECK_TEXT(order_status(w.order), "compensating");
	CHECK(w.order->stages[B].undo && status(&w, B) == STAGE_QUEUED);
	world_fini(&w);
}

/* B has asked for something outside before it waited; C says no before B is called again. */
static void a_stage_that_waited_and_was_answered_is_undone_too(void)
{
	struct world w;
	struct decide_env env;
	struct event_list list;

	world_init(&w);
	answer(&w, A, VERDICT_DONE);
	answer(&w, B, VERDICT_WAIT);
	env = env_of(&w);
	event_list_init(&list, &w.arena);
	CHECK_INT(decide_signal(&env, w.order, B, STR("{\"ok\":true}"), STR("k"), &list), 0);
	take(&w, &list);
	CHECK_INT(status(&w, B), STAGE_QUEUED);
	w.order->out = 1 << C;
	answer(&w, C, VERDICT_FAIL);
	CHECK(w.order->stages[B].undo && status(&w, B) == STAGE_QUEUED);
	world_fini(&w);
}

static void an_undo_without_attempts_left_is_held_all_the_same(void)
{
	struct world w;

	world_init(&w);
	specs[B].on_exhausted = EXHAUSTED_FAIL;
	answer(&w, A, VERDICT_DONE);
	for (int i = 0; i < 6; i++)
		answer(&w, B, VERDICT_CRASH);
	CHECK(status(&w, B) == STAGE_HELD && w.order->stages[B].undo);
	CHECK_TEXT(order_status(w.order), "on_hold");
	world_fini(&w);
}

static void an_exhausted_stage_waits_for_its_running_sibling(void)
{
	struct world w;

	world_init_at_branches(&w, 1 << B | 1 << C);
	specs[B].on_exhausted = EXHAUSTED_FAIL;
	specs[B].retry.attempts = 1;
	answer(&w, B, VERDICT_TIMEOUT);
	CHECK(status(&w, B) == STAGE_FAILED && status(&w, C) == STAGE_QUEUED);
	answer(&w, C, VERDICT_FAIL);
	CHECK(status(&w, C) == STAGE_FAILED && w.order->stages[B].undo);
	answer(&w, B, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "failed");
	world_fini(&w);
}

static const struct event *last_event(const struct world *w, enum event_kind kind)
{
	const struct event *found = NULL;

	for (const struct event *ev = w->log.first; ev; ev = ev->next)
		if (ev->kind == kind)
			found = ev;
	return found;
}

static void a_stage_whose_condition_does_not_hold_is_skipped(void)
{
	_cleanup_(conditions_fini) struct conditions c;
	const struct event *skipped;
	struct world w;

	conditions_init(&c, "b: {field: x, above: 1}");
	world_init(&w);
	answer(&w, A, VERDICT_DONE);
	CHECK(status(&w, B) == STAGE_SKIPPED && status(&w, C) == STAGE_QUEUED);
	skipped = last_event(&w, EVENT_STAGE_SKIPPED);
	REQUIRE(skipped != NULL);
	CHECK(str_is(skipped->message, "skipped: x is not above 1"));
	CHECK(str_is(skipped->stage, "b"));
	answer(&w, C, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "in_d");
	answer(&w, D, VERDICT_FAIL);
	CHECK(!w.order->stages[B].undo && w.order->stages[C].undo);
	folding_again_gives_the_same(&w);
	world_fini(&w);
}

static void a_stage_whose_condition_holds_runs(void)
{
	_cleanup_(conditions_fini) struct conditions c;
	struct world w;

	conditions_init(&c, "{b: {field: x, above: 1}, c: {field: results.a.score, equals: 7}}");
	world_begin(&w, STR("{\"x\":2}"));
	answer(&w, A, VERDICT_DONE);
	CHECK(status(&w, B) == STAGE_QUEUED && status(&w, C) == STAGE_QUEUED);
	CHECK(last_event(&w, EVENT_STAGE_SKIPPED) == NULL);
	folding_again_gives_the_same(&w);
	world_fini(&w);
}

static void skipping_goes_on_to_the_end(void)
{
	_cleanup_(conditions_fini) struct conditions c;
	struct world w;

	conditions_init(&c, "{a: &no {field: x, exists: false}, b: *no, c: *no, d: *no}");
	world_init(&w);
	CHECK_TEXT(order_status(w.order), "completed");
	CHECK_INT(w.log.n, 6);
	CHECK_INT(w.order->stages[A].attempt, 0);
	folding_again_gives_the_same(&w);
	world_fini(&w);
}

static void a_condition_is_asked_when_the_stage_is_next(void)
{
	_cleanup_(conditions_fini) struct conditions c;
	struct decide_env env;
	struct event_list list;
	struct world w;

	conditions_init(
		&c, "d: {all: [{field: x, at_least: 2}, {field: results.c, exists: false}]}");
	world_init(&w);
	answer(&w, A, VERDICT_DONE);
	answer(&w, B, VERDICT_DONE);
	for (int i = 0; i < 3; i++)
		answer(&w, C, VERDICT_RETRY);
	env = env_of(&w);
	event_list_init(&list, &w.arena);
	REQUIRE(decide_release(
			&env, w.order, C, STR("skip"), STR("{\"x\":2}"), STR("why"), &list) == 0);
	take(&w, &list);
	settle(&w);
	CHECK(status(&w, C) == STAGE_SKIPPED && status(&w, D) == STAGE_QUEUED);
	folding_again_gives_the_same(&w);
	world_fini(&w);
}

/* Applies the event with the n-th allocation failing. Returns whether it got that far. */
static bool apply_without_memory(struct order *o, const struct event *ev, size_t n)
{
	_cleanup_(buf_fini) struct buf before = {0}, after = {0};
	bool failed;
	int r;

	order_json(o, &(struct json_writer){&before, false});
	alloc_fault_at(n);
	r = apply(o, ev);
	failed = alloc_fault_end();
	CHECK_INT(r, failed ? -ENOMEM : 0);
	order_json(o, &(struct json_writer){&after, false});
	CHECK(!failed || str_eq(buf_view(&before), buf_view(&after)));
	return failed;
}

static void without_memory_for_a_condition_nothing_changes(void)
{
	_cleanup_(conditions_fini) struct conditions c;
	_cleanup_(order_freep) struct order *again = order_new(&diamond);
	struct world w;

	conditions_init(&c,
		"{a: {field: x, equals: 1}, b: {field: results.a.score, above: 7}, c: {not: "
		"{field: y, exists: true}}}");
	world_init(&w);
	answer(&w, A, VERDICT_DONE);
	answer(&w, C, VERDICT_DONE);
	answer(&w, D, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "completed");
	for (struct event *ev = w.log.first; ev; ev = ev->next)
		for (size_t n = 1; apply_without_memory(again, ev, n); n++)
			;
	same_order(again, w.order);
	world_fini(&w);
}

static void an_effect_below_its_floor_is_a_no(void)
{
	struct world w;

	world_init(&w);
	w.stock = 0;
	answer(&w, A, VERDICT_DONE);
	CHECK_TEXT(order_status(w.order), "failed");
	CHECK_TEXT(order_error(w.order), "insufficient stock");
	CHECK_INT(w.stock, 0);
	world_fini(&w);
}

static void any_set_of_stages_survives_the_payload(void)
{
	static const uint64_t sets[] = {
		1, ((uint64_t)1 << 53) + 1, (uint64_t)1 << 63 | 1, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		_cleanup_(buf_fini) struct buf payload = {0};
		_cleanup_(arena_fini) struct arena arena = {0};
		struct event ev = {.awaited = sets[i], .duration_ms = -1}, back = {0};

		event_encode(&ev, &payload);
		REQUIRE(event_decode(buf_view(&payload), &back, &arena) == 0);
		CHECK(back.awaited == sets[i]);
	}
}

/* Payloads of whoever wrote them: with blanks, escapes and numbers in other forms. */
static void a_payload_is_read_however_it_is_written(void)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event ev = {0};

	REQUIRE(event_decode(STR(" {\"undo\" : true, \"message\": \"a \\\"b\\\" \\u00e4\","
				 "\"duration_ms\": 1.2e1, \"metadata\": {\"n\": [1, 2.50]},"
				 "\"effects\": [[\"add\", \"k\", -1, 0]]}"),
			&ev, &arena) == 0);
	CHECK(ev.undo);
	CHECK(str_is(ev.message, "a \"b\" \xc3\xa4"));
	CHECK_INT(ev.duration_ms, 12);
	CHECK(str_is(ev.metadata, "{\"n\":[1,2.5]}"));
	CHECK_INT(ev.n_effects, 1);
	CHECK_INT(ev.effects[0].delta, -1);
}

static void a_payload_of_another_form_is_refused(void)
{
	static const char *const bad[] = {"", "[]", "7", "{\"unknown\":1}", "{\"message\":1}",
		"{\"due_us\":\"1\"}", "{\"due_us\":1.5}", "{\"message\":\"a\"",
		"{\"effects\":[[\"take\",\"k\"]]}", "{\"effects\":[[\"add\",\"k\"]]}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_(arena_fini) struct arena arena = {0};
		struct event ev = {0};

		CHECK_INT(event_decode(str_of(bad[i]), &ev, &arena), -EINVAL);
	}
}

/* The longest message, whose last letter takes two bytes, comes out of the journal as it went in. */
static void the_longest_message_stays_whole(void)
{
	static const enum verdict verdicts[] = {VERDICT_RETRY, VERDICT_FAIL, VERDICT_WAIT};
	char text[TASK_MESSAGE_MAX + 1];

	memset(text, 'x', sizeof text);
	memcpy(text + sizeof text - 3, "\xc3\xa4", 3);
	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
		struct world w;

		world_init(&w);
		w.message = text;
		answer(&w, A, verdicts[i]);
		for (const struct event *ev = w.log.first; ev; ev = ev->next) {
			_cleanup_(buf_fini) struct buf payload = {0};
			struct event back = {0};

			event_encode(ev, &payload);
			CHECK_INT(event_decode(buf_view(&payload), &back, &w.arena), 0);
			if (ev->stage.p)
				CHECK(str_is(back.message, text));
		}
		world_fini(&w);
	}
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void release(struct world *w, size_t stage, uint64_t pick)
{
	static const char *const actions[] = {"retry", "skip", "discard", "nonsense"};
	struct decide_env env = env_of(w);
	struct event_list list;

	event_list_init(&list, &w->arena);
	if (decide_release(&env, w->order, stage, str_of(actions[pick % 4]),
		    pick & 8 ? STR("{\"x\":2}") : (struct str){0}, STR("because"), &list) == 0)
		take(w, &list);
	settle(w);
}

static void other_command(struct world *w, size_t stage, uint64_t pick)
{
	struct decide_env env = env_of(w);
	struct event_list list;
	int r;

	event_list_init(&list, &w->arena);
	if (pick % 5 == 0)
		r = decide_cancel(&env, w->order, STR("changed my mind"), &list);
	else if (pick % 5 == 1)
		r = decide_lost(
			&env, w->order, stage, w->order->stages[stage].attempt, pick & 512, &list);
	else if (pick % 5 == 2)
		r = decide_signal(&env, w->order, stage, STR("{\"ok\":true}"), STR("k"), &list);
	else if (pick % 5 == 3)
		r = decide_expired(&env, w->order, stage, &list);
	else {
		release(w, stage, pick >> 8);
		return;
	}
	if (pick % 5 == 1)
		w->order->out &= ~((uint64_t)1 << stage);
	if (r == 0)
		take(w, &list);
	settle(w);
}

static void invariants_hold(struct world *w)
{
	size_t terminal = 0;
	int64_t taken = 0;

	for (struct event *ev = w->log.first; ev; ev = ev->next)
		terminal += event_kind_info(ev->kind)->is_terminal;
	CHECK_INT(terminal, order_is_terminal(w->order));
	for (size_t i = 0; i < diamond.n_stages; i++)
		CHECK(w->effects[i] == 0 || w->effects[i] == 1);
	for (size_t i = 0; i < diamond.n_stages; i++)
		taken += w->effects[i];
	CHECK_INT(w->stock + taken, w->stock_given);
	if (w->order->phase == ORDER_FAILED || w->order->phase == ORDER_CANCELLED) {
		for (size_t i = 0; i < diamond.n_stages; i++) {
			const struct stage_state *s = &w->order->stages[i];

			CHECK(!specs[i].undo_event || s->status != STAGE_DONE);
			CHECK(!specs[i].undo_event || !s->unsure);
		}
	}
	if (w->order->phase == ORDER_COMPLETED)
		for (size_t i = 0; i < diamond.n_stages; i++)
			CHECK(status(w, i) == STAGE_DONE || status(w, i) == STAGE_SKIPPED);
	for (size_t i = 0; i < diamond.n_stages && w->order->phase == ORDER_RUNNING; i++)
		CHECK(status(w, i) != STAGE_IDLE || !stage_is_next(w->order, i));
	if (!order_is_terminal(w->order)) {
		size_t live = 0;

		for (size_t i = 0; i < diamond.n_stages; i++)
			live += status(w, i) == STAGE_QUEUED || status(w, i) == STAGE_RETRYING ||
				status(w, i) == STAGE_WAITING || status(w, i) == STAGE_HELD;
		CHECK(live > 0); /* nothing hangs */
	}
}

static void random_commands_keep_the_invariants(void)
{
	static const char *const variants[] = {"{}", "{b: {field: x, above: 1}}",
		"{c: {field: x, above: 1}, d: {field: results.c.score, exists: true}}",
		"{a: {field: x, below: 2}, b: {not: {field: results.a, exists: true}}}"};
	const char *given = getenv("STAGELINE_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_wall_us();
	uint64_t r = seed | 1;
	size_t n_terminal = 0;

	printf(" seed %llu", (unsigned long long)seed);
	for (int run = 0; run < 1000; run++) {
		_cleanup_(conditions_fini) struct conditions c;
		struct world w;

		conditions_init(&c, variants[next_random(&r) % ARRAY_LEN(variants)]);
		world_begin(&w, next_random(&r) % 2 ? STR("{\"x\":1}") : STR("{\"x\":2}"));
		for (size_t i = 0; i < diamond.n_stages; i++)
			specs[i].on_exhausted = (int64_t)(next_random(&r) % 2);
		w.stock = w.stock_given = (int64_t)(next_random(&r) % 6);
		for (int step = 0; step < 60 && !order_is_terminal(w.order); step++) {
			uint64_t pick = next_random(&r);
			size_t stage = pick % 4;
			uint8_t s = w.order->stages[stage].status;

			w.random = next_random(&r);
			w.now_us += (int64_t)(pick % 1000);
			if ((s == STAGE_QUEUED || s == STAGE_RETRYING) && (pick & 64))
				w.order->out |= (uint64_t)1 << stage;
			else if (pick & 128)
				answer(&w, stage,
					(enum verdict[]){VERDICT_DONE, VERDICT_DONE, VERDICT_DONE,
						VERDICT_FAIL, VERDICT_RETRY, VERDICT_TIMEOUT,
						VERDICT_WAIT, VERDICT_CRASH}[pick >> 16 & 7]);
			else if (pick & 256)
				other_command(&w, stage, pick >> 20);
			invariants_hold(&w);
		}
		folding_again_gives_the_same(&w);
		n_terminal += order_is_terminal(w.order);
		world_fini(&w);
	}
	CHECK(n_terminal > 300);
}

static void events_that_do_not_fit_are_refused_and_change_nothing(void)
{
	struct world w;
	struct event ev = {.kind = EVENT_STAGE_DONE, .seq = 99, .stage = STR("d"), .order_seq = 1};

	world_init(&w);
	CHECK_INT(apply(w.order, &ev), -EPROTO);
	ev.stage = STR("nobody");
	CHECK_INT(apply(w.order, &ev), -EPROTO);
	ev = (struct event){
		.kind = EVENT_ORDER_CREATED, .seq = 99, .order_seq = 99, .body = STR("{}")};
	CHECK_INT(apply(w.order, &ev), -EPROTO);
	ev = (struct event){.kind = (enum event_kind)77, .seq = 99, .order_seq = 1};
	CHECK_INT(apply(w.order, &ev), -EPROTO);
	folding_again_gives_the_same(&w);
	world_fini(&w);
}

UNIT_MAIN("model", TEST(an_order_runs_to_completion_through_parallel_branches),
	TEST(a_second_verdict_for_the_same_attempt_changes_nothing),
	TEST(a_business_no_undoes_in_reverse_and_ends_in_failed),
	TEST(a_running_sibling_is_waited_for_and_then_undone),
	TEST(a_sibling_that_never_started_does_not_start),
	TEST(a_sibling_that_had_begun_before_the_start_is_undone),
	TEST(an_attempt_without_an_answer_is_undone_too),
	TEST(undoing_what_never_finished_takes_no_effect),
	TEST(undoing_what_never_finished_is_not_held_for_want_of_room),
	TEST(retries_back_off_and_end_on_hold), TEST(jitter_stays_within_its_bounds_and_spreads),
	TEST(lost_attempts_count_until_the_order_is_held), TEST(an_effect_below_its_floor_is_a_no),
	TEST(a_stage_whose_condition_does_not_hold_is_skipped),
	TEST(a_stage_whose_condition_holds_runs), TEST(skipping_goes_on_to_the_end),
	TEST(a_condition_is_asked_when_the_stage_is_next),
	TEST(without_memory_for_a_condition_nothing_changes),
	TEST(a_stage_that_may_not_be_held_fails_and_is_undone),
	TEST(a_stage_with_nothing_to_undo_just_fails),
	TEST(a_wait_that_ends_the_last_attempt_fails_too),
	TEST(a_stage_that_waited_and_was_answered_is_undone_too),
	TEST(an_undo_without_attempts_left_is_held_all_the_same),
	TEST(an_exhausted_stage_waits_for_its_running_sibling),
	TEST(events_that_do_not_fit_are_refused_and_change_nothing),
	TEST(any_set_of_stages_survives_the_payload), TEST(a_payload_is_read_however_it_is_written),
	TEST(a_payload_of_another_form_is_refused), TEST(the_longest_message_stays_whole),
	TEST(random_commands_keep_the_invariants))
