/* The pool: how many calls at once, who waits where, and that nothing is lost when it ends. */
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "stage/host.h"
#include "stages.h"

struct outcome {
	struct queue queue; /* of finished tasks */
	struct stage_fixture fx;
	struct pool *pool;
};

static void on_verdicts(void *arg, struct task *first)
{
	struct outcome *o = arg;

	while (first) {
		struct queue_node *next = first->node.next;

		queue_push(&o->queue, &first->node);
		first = next ? CONTAINER_OF(next, struct task, node) : NULL;
	}
}

static void start(struct outcome *o, const char *plugin, size_t workers, int64_t timeout_ms)
{
	*o = (struct outcome){0};
	REQUIRE(queue_init(&o->queue, false) == 0);
	REQUIRE(stage_fixture_init(&o->fx, "STAGELINE_TEST_MOCKS", plugin, NULL, NULL, NULL) == 0);
	o->fx.spec.timeout_ms = timeout_ms;
	REQUIRE(pool_create(o->fx.instance, workers, on_verdicts, o, &o->pool) == 0);
}

static void submit(struct outcome *o, size_t n, const char *order)
{
	struct task *first = NULL;

	for (size_t i = 0; i < n; i++) {
		struct task *t = stage_task(&o->fx, (uint32_t)i, order);

		t->node.next = first ? &first->node : NULL;
		first = t;
	}
	pool_submit(o->pool, first);
}

/* Waits for `n` verdicts and frees them; the last one's message goes to `message`. */
static size_t take(struct outcome *o, size_t n, enum verdict verdict, char message[64])
{
	size_t n_right = 0;

	while (n) {
		struct queue_node *node = queue_take(&o->queue, clock_mono_ms() + 20000), *next;

		REQUIRE(node != NULL);
		for (; node; node = next, n--) {
			struct task *t = CONTAINER_OF(node, struct task, node);

			next = node->next;
			n_right += t->verdict == verdict;
			if (message)
				snprintf(message, 64, "%s", t->message ? t->message : "");
			task_free(t);
		}
	}
	return n_right;
}

static void stop(struct outcome *o)
{
	struct queue_node *node, *next;

	pool_destroy(o->pool);
	for (node = queue_take(&o->queue, 0); node; node = next) {
		next = node->next;
		task_free(CONTAINER_OF(node, struct task, node));
	}
	queue_fini(&o->queue);
	stage_fixture_fini(&o->fx);
}

static void a_task_that_waits_holds_no_thread(void)
{
	struct pool_counts counts;
	struct outcome o;
	int64_t start_ms;

	start(&o, "probe", 1, 10000);
	start_ms = clock_mono_ms();
	submit(&o, 200, "{\"do\":\"later\"}");
	CHECK_INT(take(&o, 200, VERDICT_DONE, NULL), 200);
	CHECK(clock_mono_ms() - start_ms >= 100);
	CHECK(clock_mono_ms() - start_ms < 1000);
	pool_counts(o.pool, &counts);
	CHECK_INT(counts.threads, 1);
	CHECK(counts.waiting == 0 && counts.later == 0);
	stop(&o);
}

static void as_many_calls_as_workers_run_at_once_and_no_more(void)
{
	struct pool_counts counts;
	struct outcome o;
	char most[64];

	start(&o, "probe", 4, 10000);
	submit(&o, 4, "{\"do\":\"meet\",\"n\":4}");
	CHECK_INT(take(&o, 4, VERDICT_DONE, NULL), 4);
	submit(&o, 500, "{\"do\":\"nothing\"}");
	CHECK_INT(take(&o, 500, VERDICT_DONE, NULL), 500);
	submit(&o, 1, "{\"do\":\"most\"}");
	CHECK_INT(take(&o, 1, VERDICT_DONE, most), 1);
	CHECK_TEXT(most, "4");
	pool_counts(o.pool, &counts);
	CHECK_INT(counts.threads, 4);
	stop(&o);
}

static void nobody_waits_behind_a_call_that_blocks(void)
{
	struct outcome o;

	start(&o, "probe", 2, 10000);
	submit(&o, 1, "{\"do\":\"block\"}");
	submit(&o, 100, "{\"do\":\"later\"}");
	CHECK_INT(take(&o, 100, VERDICT_DONE, NULL), 100);
	submit(&o, 1, "{\"do\":\"open\"}");
	CHECK_INT(take(&o, 2, VERDICT_DONE, NULL), 2);
	stop(&o);
}

static void an_exclusive_stage_gets_one_call_at_a_time(void)
{
	struct outcome o;
	char most[64];

	start(&o, "exclusive", 8, 10000);
	submit(&o, 300, "{\"do\":\"later\"}");
	submit(&o, 300, "{\"do\":\"nothing\"}");
	CHECK_INT(take(&o, 600, VERDICT_DONE, NULL), 600);
	submit(&o, 1, "{\"do\":\"most\"}");
	CHECK_INT(take(&o, 1, VERDICT_DONE, most), 1);
	CHECK_TEXT(most, "1");
	stop(&o);
}

static void a_wait_ends_at_the_deadline(void)
{
	struct outcome o;
	char message[64];
	int64_t start_ms = clock_mono_ms();

	start(&o, "probe", 2, 60);
	submit(&o, 3, "{\"do\":\"next-week\"}");
	CHECK_INT(take(&o, 3, VERDICT_TIMEOUT, message), 3);
	CHECK(clock_mono_ms() - start_ms >= 60);
	CHECK_TEXT(message, "no answer within 60 ms");
	submit(&o, 3, "{\"do\":\"for-ever\"}");
	CHECK_INT(take(&o, 3, VERDICT_TIMEOUT, NULL), 3);
	stop(&o);
}

static int64_t ask(struct outcome *o, uint32_t number, struct task **ret)
{
	_cleanup_(task_freep) struct task *about = stage_task(&o->fx, number, "{}");

	return pool_ask(o->pool, about, clock_mono_ms(), ret);
}

/* Until the call of that task is lost. */
static void lose(struct outcome *o, uint32_t number)
{
	int64_t until_ms = clock_mono_ms() + 10000;
	struct task *given_up = NULL;

	while (ask(o, number, &given_up) && clock_mono_ms() < until_ms)
		REQUIRE(given_up == NULL);
	CHECK_INT(ask(o, number, &given_up), 0);
	CHECK(given_up == NULL);
}

static void submit_one(struct outcome *o, uint32_t number, const char *order)
{
	pool_submit(o->pool, stage_task(&o->fx, number, order));
}

/* Not by the pool: none of its threads may be left for it. */
static void open_gate(struct outcome *o)
{
	_cleanup_(task_freep) struct task *t = stage_task(&o->fx, 0, "{\"do\":\"open\"}");

	instance_run(o->fx.instance, t);
	CHECK_INT(t->verdict, VERDICT_DONE);
}

static size_t threads_of(struct outcome *o)
{
	struct pool_counts counts;

	pool_counts(o->pool, &counts);
	return counts.threads;
}

static void a_lost_call_is_replaced_until_it_returns(void)
{
	int64_t now_ms = clock_mono_ms(), until_ms = now_ms + 10000;
	struct pool_counts counts;
	struct outcome o;

	start(&o, "probe", 1, 50);
	submit(&o, 1, "{\"do\":\"block\"}");
	lose(&o, 0);
	CHECK(clock_mono_ms() - now_ms >= 50);
	submit(&o, 20, "{\"do\":\"nothing\"}");
	CHECK_INT(take(&o, 20, VERDICT_DONE, NULL), 20);
	CHECK_INT(threads_of(&o), 2);
	pool_counts(o.pool, &counts);
	CHECK(counts.running == 1 && counts.lost == 1 && !counts.is_clogged);
	submit(&o, 1, "{\"do\":\"open\"}");
	CHECK_INT(take(&o, 2, VERDICT_DONE, NULL), 2);
	while (threads_of(&o) > 1 && clock_mono_ms() < until_ms)
		;
	CHECK_INT(threads_of(&o), 1);
	submit(&o, 20, "{\"do\":\"later\"}");
	CHECK(take(&o, 20, VERDICT_TIMEOUT, NULL) == 20);
	stop(&o);
}

static void gives_up(struct outcome *o, uint32_t number)
{
	struct task *given_up = NULL;

	CHECK(ask(o, number, &given_up) != 0);
	REQUIRE(given_up != NULL);
	CHECK_INT(given_up->order_seq, number);
	CHECK_INT(given_up->verdict, VERDICT_TIMEOUT);
	CHECK_TEXT(given_up->message, "no answer within 50 ms");
	CHECK(given_up->duration_us > 49000 && given_up->duration_us < 10000000);
	task_free(given_up);
	CHECK(ask(o, number, &given_up) != 0);
	CHECK(given_up == NULL);
}

/* The first task waits in the heap, those from the third on for their first call. */
static void what_waits_while_lost_calls_hold_every_thread_can_be_given_up(void)
{
	struct pool_counts counts = {0};
	struct outcome o;

	start(&o, "exclusive", 1, 50);
	submit_one(&o, 1, "{\"do\":\"next-week\"}");
	while (!counts.later)
		pool_counts(o.pool, &counts);
	submit_one(&o, 2, "{\"do\":\"block\"}");
	for (uint32_t i = 3; i < 7; i++)
		submit_one(&o, i, "{\"do\":\"nothing\"}");
	lose(&o, 2);
	pool_counts(o.pool, &counts);
	CHECK(counts.is_clogged && counts.waiting == 4 && counts.later == 1);
	gives_up(&o, 4);
	gives_up(&o, 6);
	gives_up(&o, 3);
	gives_up(&o, 1);
	submit_one(&o, 7, "{\"do\":\"nothing\"}");
	pool_counts(o.pool, &counts);
	CHECK(counts.waiting == 2 && counts.later == 0 && counts.lost == 1);
	open_gate(&o);
	CHECK_INT(take(&o, 3, VERDICT_DONE, NULL), 3);
	pool_counts(o.pool, &counts);
	CHECK(counts.waiting == 0 && counts.lost == 0);
	stop(&o);
}

static void nothing_is_given_up_while_a_thread_is_left(void)
{
	struct task *given_up = NULL;
	struct outcome o;

	start(&o, "exclusive", 1, 50);
	submit_one(&o, 1, "{\"do\":\"block\"}");
	submit_one(&o, 2, "{\"do\":\"nothing\"}");
	CHECK(ask(&o, 2, &given_up) != 0); /* the call before it is not lost yet */
	CHECK(given_up == NULL);
	open_gate(&o);
	CHECK_INT(take(&o, 2, VERDICT_DONE, NULL), 2);
	stop(&o);
}

static void a_lost_call_that_asks_for_another_turn_gets_none(void)
{
	struct outcome o;

	start(&o, "probe", 1, 50);
	submit_one(&o, 1, "{\"do\":\"block-and-wake\"}");
	lose(&o, 1);
	open_gate(&o);
	CHECK_INT(take(&o, 1, VERDICT_TIMEOUT, NULL), 1);
	stop(&o);
}

static void ending_frees_what_was_not_started(void)
{
	struct outcome o;

	start(&o, "probe", 2, 10000);
	submit(&o, 50, "{\"do\":\"next-week\"}");
	submit(&o, 500, "{\"do\":\"later\"}");
	stop(&o);
	start(&o, "exclusive", 1, 10000);
	stop(&o);
}

static void garbage_goes_back_as_a_retry(void)
{
	struct outcome o;

	start(&o, "probe", 2, 10000);
	submit(&o, 40, "{\"do\":\"garbage\"}");
	CHECK_INT(take(&o, 40, VERDICT_RETRY, NULL), 40);
	stop(&o);
}

static void park(struct outcome *o, size_t n)
{
	struct pool_counts counts = {0};

	submit(o, n, "{\"do\":\"park\"}");
	while (counts.later < n)
		pool_counts(o->pool, &counts);
}

static void a_woken_task_goes_on_before_its_delay_is_over(void)
{
	struct outcome o;
	char message[64];

	start(&o, "exclusive", 1, 0);
	park(&o, 200);
	submit(&o, 1, "{\"do\":\"wake\"}");
	CHECK_INT(take(&o, 201, VERDICT_DONE, NULL), 201);
	submit(&o, 1, "{\"do\":\"wake\"}");
	CHECK_INT(take(&o, 1, VERDICT_DONE, message), 1);
	CHECK_TEXT(message, "0 woken, 200 gone");
	stop(&o);
}

static void what_happens_before_the_answer_is_not_missed(void)
{
	struct outcome o;

	start(&o, "probe", 2, 10000);
	submit(&o, 200, "{\"do\":\"wake-first\"}");
	CHECK_INT(take(&o, 200, VERDICT_DONE, NULL), 200);
	stop(&o);
}

static void waking_does_not_prolong_the_time_of_an_attempt(void)
{
	struct outcome o;
	char message[64];

	start(&o, "probe", 2, 60);
	submit(&o, 3, "{\"do\":\"wake-for-ever\"}");
	CHECK_INT(take(&o, 3, VERDICT_TIMEOUT, NULL), 3);
	submit(&o, 20, "{\"do\":\"park\"}");
	CHECK_INT(take(&o, 20, VERDICT_TIMEOUT, NULL), 20);
	submit(&o, 1, "{\"do\":\"wake\"}");
	CHECK_INT(take(&o, 1, VERDICT_DONE, message), 1);
	CHECK_TEXT(message, "0 woken, 20 gone");
	stop(&o);
}

struct waker {
	const struct sl_host *host;
	atomic_bool is_over;
};

/* All tickets there can be so far, and many that there are not. */
static void *wake_everybody(void *arg)
{
	struct waker *w = arg;

	while (!atomic_load(&w->is_over))
		for (uint64_t i = 0; i < 32 * 64; i++)
			w->host->wake(w->host, (i / 64 + 1) << 32 | i % 64);
	return NULL;
}

static void any_thread_may_wake_anybody_at_any_time(void)
{
	struct waker w = {0};
	pthread_t threads[2];
	struct outcome o;

	start(&o, "probe", 4, 10000);
	w.host = &o.fx.instance->host;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		REQUIRE(pthread_create(&threads[i], NULL, wake_everybody, &w) == 0);
	for (size_t i = 0; i < 20; i++) {
		submit(&o, 50, "{\"do\":\"park\"}");
		CHECK_INT(take(&o, 50, VERDICT_DONE, NULL), 50);
	}
	submit(&o, 500, "{\"do\":\"park\"}");
	pool_destroy(steal_ptr(o.pool));
	CHECK_INT(w.host->wake(w.host, (uint64_t)1 << 32), -ENOENT);
	atomic_store(&w.is_over, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	stop(&o);
}

UNIT_MAIN("pool", TEST(a_task_that_waits_holds_no_thread),
	TEST(as_many_calls_as_workers_run_at_once_and_no_more),
	TEST(nobody_waits_behind_a_call_that_blocks),
	TEST(an_exclusive_stage_gets_one_call_at_a_time), TEST(a_wait_ends_at_the_deadline),
	TEST(a_lost_call_is_replaced_until_it_returns),
	TEST(what_waits_while_lost_calls_hold_every_thread_can_be_given_up),
	TEST(nothing_is_given_up_while_a_thread_is_left),
	TEST(a_lost_call_that_asks_for_another_turn_gets_none),
	TEST(ending_frees_what_was_not_started), TEST(garbage_goes_back_as_a_retry),
	TEST(a_woken_task_goes_on_before_its_delay_is_over),
	TEST(what_happens_before_the_answer_is_not_missed),
	TEST(waking_does_not_prolong_the_time_of_an_attempt),
	TEST(any_thread_may_wake_anybody_at_any_time))
