/* The pool of processes: what its children do to themselves, to their neighbours, and never to it. */
#include "base/clock.h"
#include "stage/child.h"
#include "stages.h"

/* ThreadSanitizer keeps signals back while code of its own or an endless loop runs. */
#if defined __SANITIZE_THREAD__
enum { KEEPS_SIGNALS_BACK = 1 };
#else
enum { KEEPS_SIGNALS_BACK = 0 };
#endif

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

struct outcome {
	struct queue queue; /* of finished tasks */
	struct pipeline *pipeline;
	struct instance *instance;
	struct pool *pool;
};

static void on_verdicts(void *arg, struct task *first)
{
	struct outcome *o = arg;

	queue_push_all(&o->queue, &first->node);
}

static void start(struct outcome *o, const char *stage)
{
	_cleanup_(buf_fini) struct buf text = {0};
	const char *path;
	struct plugin_folders folders = stage_folders(&path, "STAGELINE_TEST_MOCKS");
	struct yaml_faults faults = {0};
	const struct plugin *plugin;
	struct err e = {0};

	*o = (struct outcome){0};
	REQUIRE(queue_init(&o->queue, false) == 0);
	buf_fmt(&text, "pipeline: p\nstages: [{irreversible: true, isolation: process, %s}]\n",
		stage);
	REQUIRE(pipeline_parse(buf_view(&text), &o->pipeline, &faults) == 0);
	REQUIRE(plugin_load(&folders, o->pipeline->stages[0].plugin, &plugin, &e) == 0);
	REQUIRE(instance_describe(o->pipeline, 0, plugin, &o->instance, &e) == 0);
	REQUIRE(pool_create(o->instance, (size_t)o->pipeline->stages[0].workers, on_verdicts, o,
			&o->pool) == 0);
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
	instance_destroy(o->instance);
	pipeline_free(o->pipeline);
}

static struct task *task_of(const struct outcome *o, uint32_t number, const char *order)
{
	struct task *t = task_new(str_of(order), STR("{}"), (struct str){0});

	REQUIRE(t != NULL);
	t->pipeline = o->pipeline;
	t->attempt = 1;
	t->order_seq = number;
	memcpy(t->order_id.bytes + 12, &number, sizeof number);
	return t;
}

static void submit(struct outcome *o, size_t n, const char *order)
{
	struct task *first = NULL;

	for (size_t i = 0; i < n; i++) {
		struct task *t = task_of(o, (uint32_t)i, order);

		t->node.next = first ? &first->node : NULL;
		first = t;
	}
	pool_submit(o->pool, first);
}

/* The next `n` verdicts: how many are this one; the last one's message. */
static size_t take(struct outcome *o, size_t n, enum verdict verdict, char message[1024])
{
	size_t n_right = 0;

	while (n) {
		struct queue_node *node = queue_take(&o->queue, clock_mono_ms() + 30000), *next;

		REQUIRE(node != NULL);
		for (; node; node = next, n--) {
			struct task *t = CONTAINER_OF(node, struct task, node);

			next = node->next;
			n_right += t->verdict == verdict;
			if (message)
				snprintf(message, 1024, "%s", t->message ? t->message : "");
			task_free(t);
		}
	}
	return n_right;
}

/* One order: its verdict and message. */
static void try(struct outcome *o, const char *order, enum verdict verdict, char message[1024])
{
	submit(o, 1, order);
	CHECK_INT(take(o, 1, verdict, message), 1);
}

static void check_says(const char *message, const char *part)
{
	if (!strstr(message, part))
		printf("\n  \"%s\" does not say \"%s\"\n", message, part);
	CHECK(strstr(message, part) != NULL);
}

static const struct {
	const char *word, *says, *where;
	enum verdict verdict;
	bool is_by_signal; /* to whatever is going on */
} ends[] = {
	{"segv", "SIGSEGV at address 0x8", "fall_into_segv+0x", VERDICT_CRASH},
	{"abort", "SIGABRT", "give_up_by_abort+0x", VERDICT_CRASH},
	{"overflow", "SIGSEGV", "sink_into_recursion+0x", VERDICT_CRASH},
	{"exit", "it called exit()", "leave_by_exit+0x", VERDICT_CRASH},
	{"leave", "it ended with status 4", "", VERDICT_CRASH},
	{"garbage", "it wrote what is no answer, and was killed", "", VERDICT_CRASH},
	{"connect", "it tried system call socket, which its sandbox forbids", "call_somebody+0x",
		VERDICT_CRASH},
	{"fork", "it tried system call clone, which its sandbox forbids", "run_a_program+0x",
		VERDICT_CRASH, true},
	{"shoot", "it tried system call kill, which its sandbox forbids", "shoot_the_daemon+0x",
		VERDICT_CRASH},
	{"loop", "no answer within 300 ms; its process was killed", "turn_in_circles+0x",
		VERDICT_TIMEOUT, true},
	{"deaf", "no answer within 300 ms; its process was killed", "", VERDICT_TIMEOUT},
};

static void every_end_is_one_verdict_that_says_why_and_where(void)
{
	char message[1024];
	struct outcome o;

	start(&o, "name: hazard, timeout: 300ms");
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		char order[64];

		if (KEEPS_SIGNALS_BACK && ends[i].is_by_signal) {
			printf("(not with ThreadSanitizer: %s) ", ends[i].word);
			continue;
		}
		snprintf(order, sizeof order, "{\"do\":\"%s\"}", ends[i].word);
		try(&o, order, ends[i].verdict, message);
		check_says(message, ends[i].says);
		check_says(message, ends[i].where);
		try(&o, "{}", VERDICT_DONE, NULL);
	}
	stop(&o);
}

static void neighbours_of_a_crash_are_done_in_the_same_attempt(void)
{
	char message[1024];
	struct outcome o;

	start(&o, "name: hazard, workers: 2");
	submit(&o, 100, "{}");
	CHECK_INT(take(&o, 100, VERDICT_DONE, NULL), 100);
	for (int i = 0; i < 5; i++) {
		struct task *bad = task_of(&o, 1000, "{\"do\":\"segv\"}");
		struct task *first = bad;

		for (uint32_t k = 0; k < 50; k++) {
			struct task *t = task_of(&o, k, "{}");

			/* The bad one is in the middle. */
			if (k < 25) {
				t->node.next = &first->node;
				first = t;
			} else {
				t->node.next = bad->node.next;
				bad->node.next = &t->node;
			}
		}
		pool_submit(o.pool, first);
		CHECK_INT(take(&o, 51, VERDICT_DONE, message), 50);
	}
	stop(&o);
}

static void what_answers_later_goes_on_in_a_process_too(void)
{
	char message[1024];
	struct outcome o;

	start(&o, "name: hazard, workers: 2");
	submit(&o, 100, "{\"do\":\"later\"}");
	CHECK_INT(take(&o, 100, VERDICT_DONE, message), 100);
	CHECK_TEXT(message, "after 3 turns");
	stop(&o);
}

static void a_further_turn_goes_to_the_process_of_the_first(void)
{
	struct outcome o;

	start(&o, "name: hazard, workers: 4");
	submit(&o, 1000, "{\"do\":\"home\"}");
	/* By chance it would be a quarter. All, unless a busy machine has some taken back. */
	CHECK(take(&o, 1000, VERDICT_DONE, NULL) > 600);
	stop(&o);
}

static void await_parked(struct outcome *o, size_t n)
{
	int64_t until_ms = clock_mono_ms() + 30000;
	struct pool_counts counts = {0};

	while (counts.later < n && clock_mono_ms() < until_ms)
		pool_counts(o->pool, &counts);
	REQUIRE(counts.later == n);
}

static void a_woken_task_goes_on_before_its_delay_is_over(void)
{
	char message[1024];
	struct outcome o;

	start(&o, "name: probe, workers: 1");
	submit(&o, 200, "{\"do\":\"park\"}");
	await_parked(&o, 200);
	submit(&o, 1, "{\"do\":\"wake\"}");
	CHECK_INT(take(&o, 201, VERDICT_DONE, NULL), 201);
	try(&o, "{\"do\":\"wake\"}", VERDICT_DONE, message);
	CHECK_TEXT(message, "0 woken, 200 gone");
	stop(&o);
}

static void what_happens_before_the_answer_is_not_missed(void)
{
	struct outcome o;

	start(&o, "name: probe, workers: 2");
	submit(&o, 200, "{\"do\":\"wake-first\"}");
	CHECK_INT(take(&o, 200, VERDICT_DONE, NULL), 200);
	stop(&o);
}

static void waking_does_not_prolong_the_time_of_an_attempt(void)
{
	char message[1024];
	struct outcome o;

	start(&o, "name: probe, workers: 1, timeout: 400ms");
	submit(&o, 3, "{\"do\":\"wake-for-ever\"}");
	CHECK_INT(take(&o, 3, VERDICT_TIMEOUT, NULL), 3);
	submit(&o, 20, "{\"do\":\"park\"}");
	CHECK_INT(take(&o, 20, VERDICT_TIMEOUT, NULL), 20);
	try(&o, "{\"do\":\"wake\"}", VERDICT_DONE, message);
	CHECK_TEXT(message, "0 woken, 20 gone");
	stop(&o);
}

static void what_a_process_would_have_woken_goes_on_when_it_ends(void)
{
	char message[1024];
	struct outcome o;

	start(&o, "name: hazard, workers: 1, timeout: 1m");
	submit(&o, 20, "{\"do\":\"park\"}");
	await_parked(&o, 20);
	submit(&o, 1, "{\"do\":\"segv\"}");
	CHECK_INT(take(&o, 21, VERDICT_DONE, message), 20);
	CHECK_TEXT(message, "went on");
	stop(&o);
}

static void a_child_has_its_socket_and_nothing_else(void)
{
	char message[1024];
	struct outcome o;

	start(&o, "name: hazard");
	try(&o, "{\"do\":\"files\"}", VERDICT_DONE, message);
	/* 4: its own, to see its memory, which sanitizers do not limit. */
	CHECK_TEXT(message, IS_SANITIZED ? "open: 0 1 2 3" : "open: 0 1 2 3 4");
	stop(&o);
}

static void answers_cross_as_they_are(void)
{
	struct queue_node *node;
	struct outcome o;
	struct task *t;

	start(&o, "name: probe");
	submit(&o, 1, "{\"do\":\"effects\"}");
	node = queue_take(&o.queue, clock_mono_ms() + 30000);
	REQUIRE(node != NULL);
	t = CONTAINER_OF(node, struct task, node);
	REQUIRE(t->verdict == VERDICT_DONE && t->n_effects == 3);
	CHECK_TEXT(t->result, "{\"x\":1,\"y\":\"\xc3\xa4\"}");
	CHECK_TEXT(t->shortage, "none left");
	CHECK(t->effects[0].kind == EFFECT_ADD && str_is(t->effects[0].key, "stock/A"));
	CHECK(t->effects[0].delta == -2 && t->effects[0].floor == 0);
	CHECK(t->effects[1].kind == EFFECT_PUT && str_is(t->effects[1].json, "{\"a\":[1,2]}"));
	CHECK(t->effects[2].kind == EFFECT_DELETE && str_is(t->effects[2].key, "old"));
	task_free(t);
	stop(&o);
}

static void nobody_waits_behind_a_call_that_blocks(void)
{
	int64_t start_ms = clock_mono_ms();
	struct outcome o;

	start(&o, "name: hazard, workers: 3, timeout: 5s");
	submit(&o, 200, "{}");
	CHECK_INT(take(&o, 200, VERDICT_DONE, NULL), 200);
	submit(&o, 1, "{\"do\":\"loop\"}");
	submit(&o, 200, "{}");
	CHECK_INT(take(&o, 200, VERDICT_DONE, NULL), 200);
	CHECK(clock_mono_ms() - start_ms < 4000);
	CHECK_INT(take(&o, 1, VERDICT_TIMEOUT, NULL), 1);
	stop(&o);
}

static void a_stage_that_cannot_start_says_why_and_backs_off(void)
{
	int64_t until_ms = clock_mono_ms() + 20000;
	struct pool_health health;
	struct outcome o;

	start(&o, "name: bad_start");
	submit(&o, 1, "{}");
	do
		pool_health(o.pool, &health);
	while (!health.trouble[0] && clock_mono_ms() < until_ms);
	check_says(health.trouble, "SIGSEGV at address 0x8 in fall_into_segv+0x");
	CHECK_INT(health.children, 0);
	CHECK_INT(health.crashes, 0);
	stop(&o);
}

static void a_slow_leak_is_nobodys_trouble(void)
{
	struct pool_health health;
	struct outcome o;

	start(&o, "name: hazard, sandbox: {memory: 256MiB}");
	for (int i = 0; i < 300; i++)
		try(&o, i % 64 ? "{}" : "{\"do\":\"seep\"}", VERDICT_DONE, NULL);
	pool_health(o.pool, &health);
	CHECK_INT(health.crashes, 0);
	/* Sanitizers reserve terabytes: memory has no limit there. */
	CHECK_INT(health.restarts >= 1, !IS_SANITIZED);
	stop(&o);
}

/* The processes are this program again. */
int main(int argc, char **argv)
{
	static const struct unit_test tests[] = {
		TEST(every_end_is_one_verdict_that_says_why_and_where),
		TEST(neighbours_of_a_crash_are_done_in_the_same_attempt),
		TEST(what_answers_later_goes_on_in_a_process_too),
		TEST(a_further_turn_goes_to_the_process_of_the_first),
		TEST(a_woken_task_goes_on_before_its_delay_is_over),
		TEST(what_happens_before_the_answer_is_not_missed),
		TEST(waking_does_not_prolong_the_time_of_an_attempt),
		TEST(what_a_process_would_have_woken_goes_on_when_it_ends),
		TEST(a_child_has_its_socket_and_nothing_else), TEST(answers_cross_as_they_are),
		TEST(nobody_waits_behind_a_call_that_blocks),
		TEST(a_stage_that_cannot_start_says_why_and_backs_off),
		TEST(a_slow_leak_is_nobodys_trouble)};

	if (argc > 1 && strcmp(argv[1], CHILD_COMMAND) == 0)
		return child_run();
	return unit_run("children", tests, ARRAY_LEN(tests));
}
