/* A small shop for tests: a pipeline with stock, and orders that run through decide and apply into
 * a journal, without engine, bus or workers. Give it a seed and it always does the same. */
#pragma once

#include "journal/journal.h"
#include "model/apply.h"
#include "model/decide.h"
#include "unit.h"

static const char shop_pipeline[] = "pipeline: shop\n"
				    "defaults: {retry: {attempts: 2, backoff: 1ms}}\n"
				    "stages:\n"
				    "  - {name: payment, plugin: x, status: paying, event: paid, "
				    "undo_event: refunded}\n"
				    "  - {name: stock, plugin: x, status: taking, event: taken, "
				    "undo_event: returned}\n"
				    "  - {name: ship, plugin: x, status: shipping, event: shipped, "
				    "irreversible: true}\n";

struct shop {
	char *dir, path[128];
	struct journal *journal;
	struct pipeline_set set;
	const struct pipeline *pipeline;
	struct arena arena; /* of the events */
	int64_t now_us;
	uint64_t random;
	struct err e;
};

static inline uint64_t shop_random(struct shop *s)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

static inline void shop_reopen(struct shop *s)
{
	journal_close(s->journal);
	s->journal = NULL;
	CHECK_INT(journal_open(s->path, &s->journal, &s->e), 0);
	REQUIRE(s->journal != NULL);
}

static inline void shop_append(struct shop *s, struct event_list *list, struct order *o)
{
	for (struct event *ev = list->first; ev; ev = ev->next) {
		int r = journal_append(s->journal, ev, &s->e);

		if (r < 0)
			fprintf(stderr, "append: %s\n", err_text(&s->e));
		REQUIRE(r == 0);
		if (o)
			REQUIRE(apply(o, ev) == 0);
	}
}

/* The first batch: the generation and the stock. */
static inline void shop_open_stock(struct shop *s, int64_t stock)
{
	struct event_list list;
	struct effect effects[2] = {
		{.kind = EFFECT_ADD, .key = STR("stock/A"), .delta = stock, .floor = 0},
		{.kind = EFFECT_PUT, .key = STR("note"), .json = STR("{ \"n\" : 1.50 }")}};
	struct event *ev;

	event_list_init(&list, &s->arena);
	ev = event_list_add(&list, EVENT_PIPELINE_LOADED);
	ev->time_us = s->now_us;
	ev->generation = str_of(s->pipeline->digest);
	ev->text = STR(shop_pipeline);
	ev = event_list_add(&list, EVENT_STATE_ADJUSTED);
	ev->time_us = s->now_us;
	ev->effects = effects;
	ev->n_effects = ARRAY_LEN(effects);
	REQUIRE(journal_begin(s->journal, &s->e) == 0);
	shop_append(s, &list, NULL);
	REQUIRE(journal_commit(s->journal, &s->e) == 0);
}

static inline void shop_init(struct shop *s)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct pipeline *p;
	char name[] = "/tmp/stageline-shop-XXXXXX";

	*s = (struct shop){.now_us = INT64_C(1700000000000000), .random = 88172645463325252u};
	s->dir = strdup(mkdtemp(name));
	snprintf(s->path, sizeof s->path, "%s/journal.db", s->dir);
	if (pipeline_parse(STR(shop_pipeline), &p, &faults) < 0)
		yaml_faults_print(&faults, "shop", stderr);
	REQUIRE(faults.n == 0);
	s->pipeline = pipeline_set_add(&s->set, p);
	shop_reopen(s);
	shop_open_stock(s, 1000000);
}

static inline void shop_fini(struct shop *s)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[160];

	journal_close(s->journal);
	pipeline_set_fini(&s->set);
	arena_fini(&s->arena);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s%s", s->path, ends[i]);
		remove(name);
	}
	remove(s->dir);
	free(s->dir);
}

static inline struct decide_env shop_env(struct shop *s)
{
	s->now_us += 1000;
	return (struct decide_env){.now_us = s->now_us,
		.random = shop_random(s),
		.state_number = journal_state_number,
		.arg = s->journal};
}

static inline void shop_settle(struct shop *s, struct order *o)
{
	for (int r = 1; r > 0;) {
		struct decide_env env = shop_env(s);
		struct event_list list;

		event_list_init(&list, &s->arena);
		r = decide_settle(&env, o, &list);
		REQUIRE(r >= 0);
		shop_append(s, &list, o);
	}
}

/* Creates an order within the open batch. Returns owned. */
static inline struct order *shop_place(struct shop *s, const char *email, const char *product)
{
	struct decide_env env = shop_env(s);
	struct order *o = order_new(s->pipeline);
	struct event_list list;
	struct id id;
	_cleanup_(buf_fini) struct buf body = {0};
	char key[32];

	buf_fmt(&body,
		"{\"customer_email\":\"%s\",\"items\":[{\"product_id\":\"%s\",\"quantity\":1,"
		"\"price\":12.5}],\"total_amount\":12.5}",
		email, product);
	snprintf(key, sizeof key, "key-%llx", (unsigned long long)shop_random(s));
	id_create(&id, s->now_us);
	event_list_init(&list, &s->arena);
	REQUIRE(decide_create(&env, &id, s->pipeline, buf_view(&body), str_of(key), &list) == 0);
	for (struct event *ev = list.first; ev; ev = ev->next)
		REQUIRE(arena_copy(&s->arena, ev->body, &ev->body) &&
			arena_copy(&s->arena, ev->key, &ev->key));
	shop_append(s, &list, o);
	shop_settle(s, o);
	return o;
}

/* One verdict for whatever stage waits for one. Returns false when none does. */
static inline bool shop_step(struct shop *s, struct order *o, enum verdict verdict)
{
	struct effect effect = {.kind = EFFECT_ADD, .key = STR("stock/A"), .floor = 0};
	struct decide_env env = shop_env(s);
	struct event_list list;
	size_t i = 0;

	while (i < o->pipeline->n_stages && o->stages[i].status != STAGE_QUEUED &&
		o->stages[i].status != STAGE_RETRYING)
		i++;
	if (i == o->pipeline->n_stages)
		return false;
	effect.delta = o->stages[i].undo ? 1 : -1;
	struct task t = {.pipeline = o->pipeline,
		.stage = i,
		.attempt = o->stages[i].attempt,
		.undo = o->stages[i].undo,
		.verdict = verdict,
		.message = (char *)"said so",
		.result = (char *)"{\"ref\":\"R-1\"}",
		.delay_ms = -1,
		.effects = &effect,
		.n_effects = i == 1};
	event_list_init(&list, &s->arena);
	REQUIRE(decide_verdict(&env, o, &t, &list) == 0);
	shop_append(s, &list, o);
	shop_settle(s, o);
	return true;
}

/* `n` orders in batches of random size, random verdicts, some left unfinished. */
static inline void shop_trade(struct shop *s, int n)
{
	static const enum verdict verdicts[] = {VERDICT_DONE, VERDICT_DONE, VERDICT_DONE,
		VERDICT_DONE, VERDICT_DONE, VERDICT_DONE, VERDICT_FAIL, VERDICT_RETRY,
		VERDICT_TIMEOUT, VERDICT_CRASH};

	REQUIRE(journal_begin(s->journal, &s->e) == 0);
	for (int i = 0; i < n; i++) {
		uint64_t steps = shop_random(s) % 12;
		struct order *o =
			shop_place(s, i % 3 ? "Ann@x.org" : "bob@y.org", i % 2 ? "A" : "B");

		while (steps-- && shop_step(s, o, verdicts[shop_random(s) % ARRAY_LEN(verdicts)]))
			if (shop_random(s) % 5 == 0) {
				REQUIRE(journal_put_order(s->journal, o, &s->e) == 0);
				REQUIRE(journal_commit(s->journal, &s->e) == 0);
				REQUIRE(journal_begin(s->journal, &s->e) == 0);
			}
		REQUIRE(journal_put_order(s->journal, o, &s->e) == 0);
		order_free(o);
	}
	REQUIRE(journal_commit(s->journal, &s->e) == 0);
}

/* One order, all the way or as far as `steps` go, in a batch of its own. Returns its seq. */
static inline int64_t shop_sell(struct shop *s, const char *email, const char *product, int steps)
{
	struct order *o;
	int64_t seq;

	REQUIRE(journal_begin(s->journal, &s->e) == 0);
	o = shop_place(s, email, product);
	while (steps-- > 0 && shop_step(s, o, VERDICT_DONE))
		;
	REQUIRE(journal_put_order(s->journal, o, &s->e) == 0);
	REQUIRE(journal_commit(s->journal, &s->e) == 0);
	seq = o->seq;
	order_free(o);
	return seq;
}
