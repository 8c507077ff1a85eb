/* What the engine is doing, for any thread: counts, and each stage's figures. */
#include <stdio.h>

#include "base/mem.h"
#include "engine/internal.h"

static int64_t load_count(atomic_llong *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void engine_stats(struct engine *en, struct engine_stats *ret)
{
	*ret = (struct engine_stats){
		.completed = load_count(&en->n_orders[CLASS_COMPLETED]),
		.failed = load_count(&en->n_orders[CLASS_FAILED]),
		.cancelled = load_count(&en->n_orders[CLASS_CANCELLED]),
		.on_hold = load_count(&en->n_orders[CLASS_ON_HOLD]),
		.last_seq = load_count(&en->last_seq),
		.commits = load_count(&en->n_commits),
		.events = load_count(&en->n_events),
		.commit_us = load_count(&en->commit_us),
		.set_aside = load_count(&en->n_set_aside),
	};
	ret->in_flight = load_count(&en->n_orders[CLASS_OPEN]) + ret->on_hold;
	ret->accepted = ret->in_flight + ret->completed + ret->failed + ret->cancelled;
}

const struct pipeline *engine_pipeline(struct engine *en)
{
	return atomic_load(&en->pipeline);
}

static void fill_stage_stats(struct stage_runtime *s, struct engine_stage_stats *ret)
{
	int64_t since_ms = load_count(&s->oldest_since_ms);

	*ret = (struct engine_stage_stats){
		.waiting = load_count(&s->n_waiting),
		.out = load_count(&s->n_out),
		.oldest_ms = since_ms ? clock_mono_ms() - since_ms : 0,
		.done = load_count(&s->tally->n_done),
		.failed = load_count(&s->tally->n_failed),
		.retried = load_count(&s->tally->n_retried),
		.held = load_count(&s->tally->n_held),
		.undone = load_count(&s->tally->n_undone),
		.breaker = breaker_word((enum breaker_state)atomic_load(&s->breaker)),
		.is_paused = atomic_load(&s->is_paused),
	};
	if (s->trouble)
		snprintf(ret->trouble, sizeof ret->trouble, "%s", s->trouble);
	if (!s->pool) /* not any more at the end */
		return;
	pool_counts(s->pool, &ret->pool);
	ret->is_isolated = pool_health(s->pool, &ret->health);
}

void engine_stage_stats(
	struct engine *en, const struct pipeline *p, size_t stage, struct engine_stage_stats *ret)
{
	struct generation *g;

	*ret = (struct engine_stage_stats){.breaker = breaker_word(BREAKER_CLOSED)};
	pthread_mutex_lock(&en->generations_lock);
	g = engine_generation(en, p);
	if (g)
		fill_stage_stats(&g->stages[stage], ret);
	ret->served_by = g && en->bus ? bus_n_workers(en->bus, p, stage) : -1;
	pthread_mutex_unlock(&en->generations_lock);
}

size_t engine_generations(struct engine *en, struct engine_generation_stats *ret, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&en->generations_lock);
	for (struct generation *g = en->generations; g && n < max; g = g->next)
		ret[n++] = (struct engine_generation_stats){.pipeline = g->pipeline,
			.is_current = g == en->current,
			.orders = load_count(&g->n_open)};
	pthread_mutex_unlock(&en->generations_lock);
	return n;
}

bool engine_is_accepting(struct engine *en, struct err *why)
{
	bool is_fine;

	pthread_mutex_lock(&en->trouble_lock);
	is_fine = en->trouble.code == 0;
	if (!is_fine)
		*why = en->trouble;
	pthread_mutex_unlock(&en->trouble_lock);
	return is_fine;
}

void engine_bus_state(struct engine *en, struct bus_state *ret)
{
	/* An engine that only shows has none, and lacks nothing. */
	*ret = (struct bus_state){.kind = "none", .is_connected = true};
	if (en->bus)
		bus_state(en->bus, ret);
}

void engine_describe_workers(struct engine *en, struct buf *out)
{
	if (en->bus)
		bus_describe_workers(en->bus, out);
}

/* --- for metrics --- */

const struct histogram *engine_commit_took_us(struct engine *en)
{
	return &en->commit_took_us;
}

const struct histogram *engine_batch_events(struct engine *en)
{
	return &en->batch_events;
}

/* Adds what one generation has of the stage. */
static void add_gauges(struct engine_stage_gauges *sum, struct stage_runtime *s)
{
	struct engine_stage_stats stats;

	fill_stage_stats(s, &stats);
	sum->waiting += stats.waiting;
	sum->out += stats.out;
	if (stats.waiting && stats.oldest_ms > sum->oldest_ms)
		sum->oldest_ms = stats.oldest_ms;
	sum->running += (int64_t)stats.pool.running;
	sum->later += (int64_t)stats.pool.later;
	sum->threads += (int64_t)stats.pool.threads;
	sum->crashes += (int64_t)stats.health.crashes;
	sum->restarts += (int64_t)stats.health.restarts;
	sum->has_trouble |= stats.trouble[0] || stats.health.trouble[0];
}

static void fill_gauges(struct engine *en, const struct tally *t, struct engine_stage_gauges *ret)
{
	int n;

	*ret = (struct engine_stage_gauges){.served_by = -1,
		.crashes = atomic_load(&t->n_crashes),
		.restarts = atomic_load(&t->n_restarts)};
	for (struct generation *g = en->generations; g; g = g->next) {
		int i = pipeline_find(g->pipeline, str_of(t->name));

		if (i < 0)
			continue;
		add_gauges(ret, &g->stages[i]);
		n = en->bus ? bus_n_workers(en->bus, g->pipeline, (size_t)i) : -1;
		if (ret->served_by < 0 || (n >= 0 && n < ret->served_by))
			ret->served_by = n;
		if (g != en->current)
			continue;
		ret->is_current = true;
		ret->breaker = (int)atomic_load(&g->stages[i].breaker);
		ret->is_paused = atomic_load(&g->stages[i].is_paused);
	}
}

void engine_each_stage(struct engine *en,
	void (*on_stage)(void *arg, const struct tally *t, const struct engine_stage_gauges *g),
	void *arg)
{
	pthread_mutex_lock(&en->generations_lock);
	for (struct tally *t = en->tallies; t; t = t->next) {
		struct engine_stage_gauges gauges;

		fill_gauges(en, t, &gauges);
		on_stage(arg, t, &gauges);
	}
	pthread_mutex_unlock(&en->generations_lock);
}

void stats_keep(struct generation *g)
{
	for (size_t i = 0; i < g->pipeline->n_stages; i++) {
		struct stage_runtime *s = &g->stages[i];
		struct pool_health health;

		if (!s->pool || !pool_health(s->pool, &health))
			continue;
		atomic_fetch_add(&s->tally->n_crashes, (long long)health.crashes);
		atomic_fetch_add(&s->tally->n_restarts, (long long)health.restarts);
	}
}
