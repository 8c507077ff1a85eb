/* What `isolation: process` costs: the same tasks through a pool of threads and pools of processes.
 *
 * isolation PLUGINS [TASKS]: prints JSON, one object per kind of pool. `cpu_us` is of daemon and processes together. */
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "stage/child.h"
#include "stage/stage.h"

enum { TASKS_DEFAULT = 200000, AT_ONCE = 1024, ROUND_TRIPS = 2000 };

struct bench {
	struct queue queue;
	struct pipeline *pipeline;
	struct instance *instance;
	struct pool *pool;
};

static void on_verdicts(void *arg, struct task *first)
{
	queue_push_all(&((struct bench *)arg)->queue, &first->node);
}

static void fatal(const char *what)
{
	fprintf(stderr, "isolation: %s\n", what);
	exit(1);
}

static void start(struct bench *b, const char *folder, const char *policy)
{
	struct plugin_folders folders = {&folder, 1};
	_cleanup_(buf_fini) struct buf text = {0};
	struct yaml_faults faults = {0};
	const struct plugin *plugin;
	struct err e = {0};
	int r;

	*b = (struct bench){0};
	buf_fmt(&text,
		"pipeline: p\nstages: [{name: inventory, irreversible: true, workers: 2, "
		"config: {latency: 0ms}, %s}]\n",
		policy);
	if (queue_init(&b->queue, false) < 0 ||
		pipeline_parse(buf_view(&text), &b->pipeline, &faults) < 0 ||
		plugin_load(&folders, "inventory", &plugin, &e) < 0)
		fatal(e.code ? err_text(&e) : "the pipeline is wrong");
	r = (b->pipeline->stages[0].isolation == ISOLATION_PROCESS
			? instance_describe
			: instance_create)(b->pipeline, 0, plugin, &b->instance, &e);
	if (r < 0 || pool_create(b->instance, 2, on_verdicts, b, &b->pool) < 0)
		fatal(err_text(&e));
}

static void stop(struct bench *b)
{
	pool_destroy(b->pool);
	queue_fini(&b->queue);
	instance_destroy(b->instance);
	pipeline_free(b->pipeline);
}

static void submit(struct bench *b, size_t n)
{
	static const char order[] =
		"{\"id\":\"00000000-0000-7000-0000-000000000001\",\"customer_email\":\"a@b.de\","
		"\"items\":[{\"product_id\":\"PROD-001\",\"name\":\"Laptop\",\"quantity\":1,"
		"\"price\":999.99},{\"product_id\":\"PROD-002\",\"name\":\"Mouse\",\"quantity\":2,"
		"\"price\":29.99}],\"total_amount\":1059.97}";
	struct task *first = NULL;

	for (size_t i = 0; i < n; i++) {
		struct task *t = task_new(STR(order), STR("{}"), (struct str){0});

		if (!t)
			fatal("no memory");
		t->pipeline = b->pipeline;
		t->attempt = 1;
		t->node.next = first ? &first->node : NULL;
		first = t;
	}
	if (first)
		pool_submit(b->pool, first);
}

/* Waits for some verdicts; how many. */
static size_t take(struct bench *b)
{
	struct queue_node *node = queue_take(&b->queue, INT64_MAX), *next;
	size_t n = 0;

	for (; node; node = next, n++) {
		struct task *t = CONTAINER_OF(node, struct task, node);

		next = node->next;
		if (t->verdict != VERDICT_DONE)
			fatal(t->message);
		task_free(t);
	}
	return n;
}

static double cpu_s(void)
{
	static const int who[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
	double s = 0;

	for (size_t i = 0; i < ARRAY_LEN(who); i++) {
		struct rusage u;

		getrusage((__rusage_who_t)who[i], &u);
		s += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		     (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	}
	return s;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t round_trip_us(struct bench *b)
{
	static int64_t all[ROUND_TRIPS];

	for (size_t i = 0; i < ROUND_TRIPS; i++) {
		int64_t from_us = clock_mono_us();

		submit(b, 1);
		take(b);
		all[i] = clock_mono_us() - from_us;
	}
	qsort(all, ROUND_TRIPS, sizeof all[0], compare);
	return all[ROUND_TRIPS / 2];
}

static void measure(const char *name, const char *folder, const char *policy, size_t n)
{
	double before = cpu_s(), seconds;
	int64_t from_us, alone_us;
	struct bench b;

	start(&b, folder, policy);
	submit(&b, AT_ONCE);
	for (size_t got = 0; got < AT_ONCE;)
		got += take(&b);
	from_us = clock_mono_us();
	submit(&b, AT_ONCE);
	for (size_t given = AT_ONCE, got = 0; got < n;) {
		size_t m = take(&b);

		got += m;
		m = given + m > n ? n - given : m;
		submit(&b, m);
		given += m;
	}
	seconds = (double)(clock_mono_us() - from_us) / 1e6;
	alone_us = round_trip_us(&b);
	stop(&b);
	printf("{\"name\":\"%s\",\"per_second\":%.0f,\"cpu_us\":%.2f,\"alone_us\":%lld}\n", name,
		(double)n / seconds, (cpu_s() - before) * 1e6 / (double)n, (long long)alone_us);
}

int main(int argc, char **argv)
{
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : TASKS_DEFAULT;

	if (argc > 1 && strcmp(argv[1], CHILD_COMMAND) == 0)
		return child_run();
	if (argc < 2 || n < AT_ONCE)
		fatal("usage: isolation PLUGINS [TASKS]");
	measure("thread", argv[1], "isolation: thread", n);
	measure("process", argv[1], "isolation: process", n);
	measure("process, sandbox: off", argv[1], "isolation: process, sandbox: off", n);
	return 0;
}
