/* A stage that does what the order says in its member "do", and watches how it is called. Built twice:
 * concurrent, and as `exclusive` without the flag. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mock.h"

enum { KEYS_TOO_MANY = 300, PARKED_MAX = 1024 };

struct probe {
	const struct sl_host *host;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int n_inside, most_inside, n_met;
	bool is_open; /* of the gate that "block" waits at */
	uint64_t parked[PARKED_MAX];
	size_t n_parked;
};

static int32_t probe_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct probe *p = calloc(1, sizeof *p);

	(void)config;
	p->host = host;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	*ret_self = p;
	return 0;
}

static void probe_destroy(void *self)
{
	struct probe *p = self;

	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int32_t set_json(struct probe *p, struct sl_task *task, const char *json)
{
	return p->host->set_result(task, json, strlen(json));
}

static int32_t do_retry(struct probe *p, struct sl_task *task)
{
	p->host->effect_add(task, "lost", 1, 0);
	p->host->set_shortage(task, "lost too");
	p->host->set_message(task, "try later");
	p->host->delay(task, 1500);
	return SL_RETRY;
}

static int32_t do_later(struct probe *p, struct sl_task *task)
{
	if (p->host->turn(task) > 0)
		return SL_DONE;
	p->host->set_message(task, "only of the first turn");
	p->host->delay(task, 100);
	return SL_LATER;
}

static int32_t do_for_ever(struct probe *p, struct sl_task *task)
{
	p->host->delay(task, 5);
	return SL_LATER;
}

static int32_t do_next_week(struct probe *p, struct sl_task *task)
{
	p->host->delay(task, INT64_MAX);
	return SL_LATER;
}

static int32_t do_in_the_past(struct probe *p, struct sl_task *task)
{
	p->host->delay(task, INT64_MIN);
	return SL_RETRY;
}

static int32_t do_wait(struct probe *p, struct sl_task *task)
{
	p->host->delay(task, INT64_C(3) * 24 * 3600 * 1000);
	return SL_WAIT;
}

static int32_t do_effects(struct probe *p, struct sl_task *task)
{
	p->host->effect_add(task, "stock/A", -2, 0);
	p->host->effect_put(task, "note", " {\"a\": [1, 2]} ", 15);
	p->host->effect_delete(task, "old");
	p->host->set_shortage(task, "none left");
	set_json(p, task, "{ \"x\" : 1,\n \"y\":\"\xc3\xa4\" }");
	return SL_DONE;
}

static int32_t do_bad_result(struct probe *p, struct sl_task *task)
{
	set_json(p, task, "[1]");
	return SL_DONE;
}

/* Answers whether each bad input was refused: its message is a row of numbers. */
static int32_t do_refusals(struct probe *p, struct sl_task *task)
{
	static char large[100 * 1024];
	const struct sl_host *h = p->host;
	char text[64];
	int n = 0;

	memset(large, 'x', sizeof large - 1);
	n += h->set_result(task, "{", 1) < 0;
	n += h->set_result(task, "{\"a\":\"\xff\"}", 9) < 0;
	n += h->set_result(task, large, sizeof large) < 0;
	n += h->set_result(task, NULL, 0) < 0;
	n += h->set_message(task, "\xff") < 0;
	n += h->set_message(task, large) < 0;
	n += h->set_message(task, NULL) < 0;
	n += h->effect_add(task, "", 1, 0) < 0;
	n += h->effect_add(task, NULL, 1, 0) < 0;
	n += h->effect_add(task, "a\nb", 1, 0) < 0;
	n += h->effect_add(task, large, 1, 0) < 0;
	n += h->effect_add(task, "a", INT64_MAX, 0) < 0;
	n += h->effect_add(task, "a", 1, INT64_MIN + 1) < 0;
	n += h->effect_put(task, "a", "nonsense", 8) < 0;
	n += h->effect_delete(task, "\xc0\xaf") < 0;
	snprintf(text, sizeof text, "%d refused", n);
	h->set_message(task, text);
	return SL_FAIL;
}

static int32_t do_too_many(struct probe *p, struct sl_task *task)
{
	for (int i = 0; i < KEYS_TOO_MANY; i++)
		p->host->effect_add(task, "a", 1, 0);
	return SL_DONE;
}

static int32_t do_tell(struct probe *p, struct sl_task *task)
{
	const struct sl_host *h = p->host;
	char text[512];
	size_t n_order, n_results, n_catalog;

	h->order(task, &n_order);
	h->catalog(h, &n_catalog);
	snprintf(text, sizeof text, "%s %u %u %s %s %s %zu %d", h->idempotency_key(task),
		h->attempt(task), h->turn(task), h->stage_name(h), h->results(task, &n_results),
		h->catalog(h, NULL), n_order, h->now_us(h) > 0);
	h->set_message(task, text);
	return SL_DONE;
}

/* Returns when "n" calls are inside at once: proves that they can be. */
static int32_t do_meet(struct probe *p, struct sl_task *task)
{
	long n = strtol(strstr(p->host->order(task, NULL), "\"n\":") + 4, NULL, 10);

	pthread_mutex_lock(&p->lock);
	p->n_met++;
	pthread_cond_broadcast(&p->changed);
	while (p->n_met < n)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return SL_DONE;
}

static int32_t do_block(struct probe *p, struct sl_task *task)
{
	(void)task;
	pthread_mutex_lock(&p->lock);
	while (!p->is_open)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return SL_DONE;
}

static int32_t do_nap(struct probe *p, struct sl_task *task)
{
	(void)p;
	(void)task;
	usleep(50000);
	return SL_DONE;
}

/* Goes on when it is woken, by "wake" or by anybody. */
static int32_t do_park(struct probe *p, struct sl_task *task)
{
	if (p->host->turn(task) > 0)
		return SL_DONE;
	pthread_mutex_lock(&p->lock);
	if (p->n_parked < PARKED_MAX)
		p->parked[p->n_parked++] = p->host->ticket(task);
	pthread_mutex_unlock(&p->lock);
	return do_next_week(p, task);
}

/* Its message says how many were woken and how many were gone. */
static int32_t do_wake(struct probe *p, struct sl_task *task)
{
	size_t n_woken = 0, n_gone = 0;
	char text[64];

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->n_parked; i++) {
		int32_t r = p->host->wake(p->host, p->parked[i]);

		n_woken += r == 0;
		n_gone += r < 0;
	}
	pthread_mutex_unlock(&p->lock);
	snprintf(text, sizeof text, "%zu woken, %zu gone", n_woken, n_gone);
	p->host->set_message(task, text);
	return SL_DONE;
}

static int32_t do_wake_first(struct probe *p, struct sl_task *task)
{
	if (p->host->turn(task) > 0)
		return SL_DONE;
	p->host->wake(p->host, p->host->ticket(task));
	return do_next_week(p, task);
}

static int32_t do_wake_for_ever(struct probe *p, struct sl_task *task)
{
	p->host->wake(p->host, p->host->ticket(task));
	return do_next_week(p, task);
}

/* Blocks, and then goes on at once in another turn. */
static int32_t do_block_and_wake(struct probe *p, struct sl_task *task)
{
	if (p->host->turn(task) > 0)
		return SL_DONE;
	do_block(p, task);
	return do_wake_for_ever(p, task);
}

static int32_t do_open(struct probe *p, struct sl_task *task)
{
	(void)task;
	pthread_mutex_lock(&p->lock);
	p->is_open = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return SL_DONE;
}

static int32_t do_garbage(struct probe *p, struct sl_task *task)
{
	set_json(p, task, "{}");
	return 77;
}

static int32_t do_negative(struct probe *p, struct sl_task *task)
{
	(void)p;
	(void)task;
	return -1;
}

static int32_t do_nothing(struct probe *p, struct sl_task *task)
{
	(void)p;
	(void)task;
	return SL_DONE;
}

static const struct {
	const char *word;
	int32_t (*run)(struct probe *, struct sl_task *);
} actions[] = {
	{"retry", do_retry},
	{"later", do_later},
	{"for-ever", do_for_ever},
	{"next-week", do_next_week},
	{"in-the-past", do_in_the_past},
	{"wait", do_wait},
	{"effects", do_effects},
	{"bad-result", do_bad_result},
	{"refusals", do_refusals},
	{"too-many", do_too_many},
	{"tell", do_tell},
	{"meet", do_meet},
	{"block", do_block},
	{"nap", do_nap},
	{"park", do_park},
	{"wake", do_wake},
	{"wake-first", do_wake_first},
	{"wake-for-ever", do_wake_for_ever},
	{"block-and-wake", do_block_and_wake},
	{"open", do_open},
	{"garbage", do_garbage},
	{"negative", do_negative},
	{"nothing", do_nothing},
};

static int32_t act(struct probe *p, struct sl_task *task)
{
	const char *order = p->host->order(task, NULL);

	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		char member[64];

		snprintf(member, sizeof member, "\"do\":\"%s\"", actions[i].word);
		if (strstr(order, member))
			return actions[i].run(p, task);
	}
	return SL_FAIL;
}

/* Keeps the largest number of calls that were inside at once; "do":"most" tells it. */
static int32_t probe_run(void *self, struct sl_task *task)
{
	struct probe *p = self;
	char text[32];
	int32_t verdict;

	pthread_mutex_lock(&p->lock);
	if (++p->n_inside > p->most_inside)
		p->most_inside = p->n_inside;
	snprintf(text, sizeof text, "%d", p->most_inside);
	pthread_mutex_unlock(&p->lock);
	if (strstr(p->host->order(task, NULL), "\"do\":\"most\"")) {
		p->host->set_message(task, text);
		verdict = SL_DONE;
	} else {
		verdict = act(p, task);
	}
	pthread_mutex_lock(&p->lock);
	p->n_inside--;
	pthread_mutex_unlock(&p->lock);
	return verdict;
}

#ifdef EXCLUSIVE
SL_EXPORT const struct sl_stage stageline_stage =
	MOCK_STAGE("exclusive", .create = probe_create, .destroy = probe_destroy, .run = probe_run);
#else
SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("probe", .flags = SL_STAGE_CONCURRENT,
	.create = probe_create, .destroy = probe_destroy, .run = probe_run);
#endif
