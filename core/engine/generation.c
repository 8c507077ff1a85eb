/* A generation at run time: making its stages, and the queues in front of them. */
#include "engine/generation.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"

/* --- lines --- */

int line_push(struct line *l, struct line_entry entry)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct line_entry *ring = malloc(cap * sizeof *ring);

		if (!ring)
			return -ENOMEM;
		for (size_t i = 0; i < l->n; i++)
			ring[i] = *line_at(l, i);
		free(l->ring);
		*l = (struct line){.ring = ring, .n = l->n, .cap = cap};
	}
	l->n++;
	*line_at(l, l->n - 1) = entry;
	return 0;
}

struct line_entry *line_at(struct line *l, size_t i)
{
	return &l->ring[(l->first + i) & (l->cap - 1)];
}

void line_drop(struct line *l, size_t n)
{
	l->first += n;
	l->n -= n;
	if (!l->n && l->cap > 4096) /* a backlog is over: give its memory back */
		line_fini(l);
}

void line_postpone(struct line *l, int64_t at_ms)
{
	struct line_entry entry = *line_at(l, 0);
	size_t i = l->n - 1;

	entry.at_ms = at_ms;
	l->first++; /* its place is now the last one */
	for (; i && line_at(l, i - 1)->at_ms > at_ms; i--)
		*line_at(l, i) = *line_at(l, i - 1);
	*line_at(l, i) = entry;
}

void line_fini(struct line *l)
{
	free(l->ring);
	*l = (struct line){0};
}

/* --- stages --- */

static void on_tasks(void *arg, struct task *first)
{
	pool_submit(((struct stage_runtime *)arg)->pool, first);
}

static size_t places(void *arg, size_t *ret_n_waiting)
{
	const struct stage_runtime *s = arg;
	size_t n = instance_is_concurrent(s->instance) ? (size_t)instance_spec(s->instance)->workers
						       : 1;
	struct pool_counts counts;

	pool_counts(s->pool, &counts);
	*ret_n_waiting = counts.waiting;
	if (counts.is_clogged)
		return BUS_CLOGGED;
	if (counts.is_stalled)
		return BUS_STALLED;
	counts.running -= counts.lost;
	return counts.running + counts.waiting < n ? n - counts.running - counts.waiting : 0;
}

static int64_t ask(void *arg, const struct task *about, int64_t now_ms, struct task **ret)
{
	return pool_ask(((struct stage_runtime *)arg)->pool, about, now_ms, ret);
}

static size_t n_lost(void *arg)
{
	struct pool_counts counts;

	pool_counts(((struct stage_runtime *)arg)->pool, &counts);
	return counts.lost;
}

static void on_verdicts(void *arg, struct task *first)
{
	bus_answer(arg, first);
}

/* Other threads see either nothing of the stage or all that it needs. */
static void put(struct generation *g, struct stage_runtime *s, struct instance *i, struct pool *p)
{
	if (g->lock)
		pthread_mutex_lock(g->lock);
	s->instance = i;
	s->pool = p;
	if (g->lock)
		pthread_mutex_unlock(g->lock);
}

static void clear_trouble(struct generation *g, struct stage_runtime *s)
{
	if (g->lock)
		pthread_mutex_lock(g->lock);
	free(steal_ptr(s->trouble));
	if (g->lock)
		pthread_mutex_unlock(g->lock);
}

static int stage_make(struct generation *g, size_t i, const struct engine_options *options,
	struct bus *bus, struct err *e)
{
	const struct stage_spec *spec = &g->pipeline->stages[i];
	struct instance *instance;
	const struct plugin *plugin;
	struct pool *pool;
	int r = plugin_load_stage(&options->folders, spec, &plugin, e);

	if (r < 0)
		return err_wrap(e, r, "stage '%s'", spec->name);
	if (options->only && spec->build && strcmp(spec->build, plugin->build) != 0)
		return err_set(e, -ENOENT,
			"stage '%s': '%s' is build %s here, and the generation wants %s: install "
			"the "
			"same file",
			spec->name, plugin->path, plugin->build, spec->build);
	if (spec->build && strcmp(spec->build, plugin->build) != 0)
		log_info("generation=%s stage=%s plugin=%s goes on with build %s: %s, with which "
			 "it began, was replaced before this start",
			g->pipeline->digest, spec->name, spec->plugin, plugin->build, spec->build);
	r = (spec->isolation == ISOLATION_PROCESS ? instance_describe : instance_create)(
		g->pipeline, i, plugin, &instance, e);
	if (r < 0)
		return err_wrap(e, r, "stage '%s'", spec->name);
	r = pool_create(instance, (size_t)spec->workers, on_verdicts, bus, &pool);
	if (r < 0) {
		instance_destroy(instance);
		return err_set(e, r, "stage '%s': no memory for its workers", spec->name);
	}
	put(g, &g->stages[i], instance, pool);
	return 0;
}

static int stage_start(struct generation *g, size_t i, const struct engine_options *options,
	struct bus *bus, struct err *e)
{
	const struct stage_spec *spec = &g->pipeline->stages[i];
	struct stage_runtime *s = &g->stages[i];
	int r = s->pool ? 0 : stage_make(g, i, options, bus, e);

	if (r < 0)
		return r;
	r = bus_subscribe(bus, g->pipeline, i, (size_t)spec->in_flight,
		&(struct bus_workers){on_tasks, places, ask, n_lost, s});
	return r < 0 ? err_set(e, r, "stage '%s': no memory for its queue", spec->name) : 0;
}

/* Whether it is one that this process runs. */
static bool is_wanted(const struct engine_options *options, const struct stage_spec *spec)
{
	const struct sl_list *only = options->only;

	for (size_t i = 0; only && i < only->n; i++)
		if (strcmp(only->items[i], spec->name) == 0)
			return true;
	return !only || !only->n;
}

static int stage_create(struct generation *g, size_t i, const struct engine_options *options,
	struct bus *bus, struct err *e)
{
	const struct worker_source *workers = options->workers;
	const struct stage_spec *spec = &g->pipeline->stages[i];

	if (!is_wanted(options, spec))
		return 0;
	if (workers)
		return workers->subscribe(workers->arg, bus, g->pipeline, i);
	if (options->redis && !options->redis->has_worker)
		return bus_subscribe(bus, g->pipeline, i, (size_t)spec->in_flight, NULL);
	return stage_start(g, i, options, bus, e);
}

int generation_create(const struct pipeline *p, const struct engine_options *options,
	struct bus *bus, bool is_strict, struct generation **ret, struct err *e)
{
	struct generation *g = calloc(1, sizeof *g + p->n_stages * sizeof g->stages[0]);

	if (!g)
		return err_set(e, -ENOMEM, "no memory for the pipeline's stages");
	g->pipeline = p;
	for (size_t i = 0; i < p->n_stages; i++)
		if (gate_init(&g->stages[i].gate, &p->stages[i], clock_mono_ms()) < 0) {
			generation_free(g);
			return err_set(e, -ENOMEM, "stage '%s': no memory", p->stages[i].name);
		}
	for (size_t i = 0; i < p->n_stages; i++) {
		struct err why = {0};
		int r = stage_create(g, i, options, bus, &why);

		if (r == 0)
			continue;
		if (is_strict) {
			generation_stop(g, bus);
			bus_unsubscribe(bus, p);
			generation_free(g);
			return err_set(e, r, "%s", err_text(&why));
		}
		/* Workers elsewhere may have what is missing here. */
		if (options->redis)
			bus_subscribe(bus, p, i, (size_t)p->stages[i].in_flight, NULL);
		g->stages[i].trouble = str_dup(str_of(err_text(&why)));
		log_error("generation=%s its orders wait at this stage: %s", p->digest,
			err_text(&why));
	}
	*ret = g;
	return 0;
}

int generation_try_again(struct generation *g, const struct engine_options *options,
	struct bus *bus, bool *ret_is_any, struct err *e)
{
	int result = 0;

	*ret_is_any = false;
	for (size_t i = 0; i < g->pipeline->n_stages; i++) {
		struct stage_runtime *s = &g->stages[i];
		struct err why = {0};
		int r = s->trouble ? stage_create(g, i, options, bus, &why) : 0;

		if (r < 0 && result == 0)
			result = err_set(e, r, "%s", err_text(&why));
		if (r < 0 || !s->trouble)
			continue;
		clear_trouble(g, s);
		*ret_is_any = true;
	}
	return result;
}

void generation_pause(struct generation *g, size_t stage, bool is_paused)
{
	g->stages[stage].gate.is_paused = is_paused;
	atomic_store_explicit(&g->stages[stage].is_paused, is_paused, memory_order_relaxed);
}

bool generation_is_idle(const struct generation *g)
{
	for (size_t i = 0; i < g->pipeline->n_stages; i++) {
		struct pool_counts counts = {0};

		if (g->stages[i].pool)
			pool_counts(g->stages[i].pool, &counts);
		if (counts.running || counts.waiting || counts.later)
			return false;
	}
	return true;
}

void generation_stop(struct generation *g, struct bus *bus)
{
	bus_quiet(bus, g->pipeline);
	for (size_t i = 0; i < g->pipeline->n_stages; i++)
		if (g->stages[i].pool)
			pool_destroy(steal_ptr(g->stages[i].pool));
}

void generation_free(struct generation *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->pipeline->n_stages; i++) {
		struct stage_runtime *s = &g->stages[i];

		if (s->instance)
			instance_destroy(s->instance);
		gate_fini(&s->gate);
		line_fini(&s->waiting);
		line_fini(&s->out);
		free(s->trouble);
	}
	free(g);
}
