/* The engine's life: opening the journal, making the pipeline current, loading what is unfinished, and
 * ending in an order in which nothing that was done is lost. */
#include "engine/engine.h"

#include <stdio.h>

#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"

static void on_verdicts(void *arg, struct task *first)
{
	struct engine *en = arg;

	if (first)
		queue_push_all(&en->verdicts, &first->node);
	queue_poke(&en->commands);
}

/* --- generations --- */

static bool has_tallies(struct engine *en, struct generation *g)
{
	for (size_t i = 0; i < g->pipeline->n_stages; i++) {
		g->stages[i].tally = tally_get(&en->tallies, g->pipeline->stages[i].name);
		if (!g->stages[i].tally)
			return false;
	}
	return true;
}

int engine_make_generation(struct engine *en, const struct pipeline *p, bool is_strict,
	struct generation **ret, struct err *e)
{
	struct generation *g;
	bool is_counted;
	int r = generation_create(p, &en->options, en->bus, is_strict, &g, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&en->generations_lock);
	g->lock = &en->generations_lock;
	is_counted = has_tallies(en, g);
	pthread_mutex_unlock(&en->generations_lock);
	if (is_counted) {
		*ret = g;
		return 0;
	}
	generation_stop(g, en->bus);
	bus_unsubscribe(en->bus, p);
	generation_free(g);
	return err_set(e, -ENOMEM, "no memory for the pipeline's stages");
}

static int append_current(
	struct engine *en, struct batch *b, const int64_t *none, int n, struct err *e)
{
	(void)none, (void)n;
	return reload_append(en, b, en->current->pipeline, e);
}

/* Journals the generation and its initial state, unless it is the current one already. */
static int make_current(struct engine *en, struct err *e)
{
	int r;

	if (journal_is_current(en->journal, str_of(en->current->pipeline->digest)))
		return 0;
	r = batch_do(en, append_current, NULL, 0, e);
	return r < 0 ? err_wrap(e, r, "the pipeline cannot be made current") : 0;
}

/* --- what is there --- */

static int on_count(void *arg, struct str status, int64_t n)
{
	struct engine *en = arg;
	enum order_class c = str_is(status, "completed")   ? CLASS_COMPLETED
			     : str_is(status, "failed")	   ? CLASS_FAILED
			     : str_is(status, "cancelled") ? CLASS_CANCELLED
			     : str_is(status, "on_hold")   ? CLASS_ON_HOLD
							   : CLASS_OPEN;

	atomic_fetch_add(&en->n_orders[c], n);
	return 0;
}

int engine_count(struct engine *en, struct err *e)
{
	return reader_counts(en->reader, on_count, en, e);
}

static int load(struct engine *en, struct err *e)
{
	int r = make_current(en, e);

	if (r == 0)
		r = engine_count(en, e);
	if (r == 0)
		r = reload_open_generations(en, e);
	if (r == 0)
		r = recover(en, e);
	atomic_store(&en->last_seq, journal_last_seq(en->journal));
	return r;
}

/* --- life --- */

struct engine *engine_new(const struct engine_options *options, struct pipeline_set *set)
{
	struct engine *en = calloc(1, sizeof *en);

	if (!en)
		return NULL;
	en->options = *options;
	en->set = set;
	en->is_outlived = options->redis || (options->workers && options->workers->is_outliving);
	pthread_mutex_init(&en->trouble_lock, NULL);
	pthread_mutex_init(&en->generations_lock, NULL);
	sem_init(&en->stopped, 0, 0);
	id_random(&en->random, sizeof en->random);
	if (queue_init(&en->commands, false) < 0 || queue_init(&en->verdicts, false) < 0 ||
		reload_init(&en->reload) < 0) {
		free(en);
		return NULL;
	}
	return en;
}

static int open_bus(struct engine *en, const struct pipeline *p)
{
	const struct redis_options *redis = en->options.redis;

	return redis ? bus_create_redis(redis, p->name, on_verdicts, en, &en->bus)
		     : bus_create_memory(on_verdicts, en, &en->bus);
}

static int engine_open(struct engine *en, const struct pipeline *p, struct err *e)
{
	const struct engine_options *o = &en->options;
	int r = journal_open(o->journal_path, &en->journal, e);

	if (r == 0)
		r = attempts_open(o->attempts_path, &en->attempts, e);
	if (r == 0)
		r = reader_open(o->journal_path, en->set, &en->reader, e);
	if (r == 0 &&
		(live_init(&en->live, o->orders_in_memory, en->reader) < 0 || open_bus(en, p) < 0))
		r = err_set(e, -ENOMEM, "no memory to start");
	if (r == 0)
		r = engine_make_generation(en, p, true, &en->current, e);
	if (r < 0)
		return r;
	en->generations = en->current;
	atomic_store(&en->pipeline, p);
	r = load(en, e);
	if (r == 0 && (r = bus_start(en->bus)) < 0)
		err_set(e, r, "cannot start the bus: %s", strerror(-r));
	return r;
}

static int start_threads(struct engine *en, struct err *e)
{
	int r = journal_start_checkpoints(en->journal, e);

	if (r < 0)
		return r;
	r = -pthread_create(&en->thread, NULL, sequencer_run, en);
	en->has_thread = r == 0;
	if (r < 0)
		return err_set(e, r, "cannot start the sequencer's thread");
	r = reload_start(en);
	return r < 0 ? err_set(e, r, "cannot start the loader's thread") : 0;
}

int engine_start(const struct engine_options *options, struct pipeline_set *set,
	struct pipeline *pipeline, struct engine **ret, struct err *e)
{
	const struct pipeline *p = pipeline_set_add(set, pipeline);
	struct engine *en = engine_new(options, set);
	int r;

	if (!en)
		return err_set(e, -ENOMEM, "no memory to start");
	r = engine_open(en, p, e);
	if (r == 0 && !options->workers)
		r = start_threads(en, e);
	if (r < 0) {
		engine_stop(en);
		engine_free(en);
		return r;
	}
	en->has_started = true;
	*ret = en;
	return 0;
}

void engine_submit(struct engine *en, struct command *c)
{
	bool is_loaders;

	if (en->is_show) {
		engine_show_refuse(en, c);
		return;
	}
	is_loaders = c->kind == COMMAND_RELOAD && en->reload.has_thread;

	queue_push(is_loaders ? &en->reload.jobs : &en->commands, &c->node);
}

void engine_stop(struct engine *en)
{
	if (en->is_show)
		return;
	reload_stop(en);
	atomic_store(&en->is_stopping, true);
	if (en->has_thread) {
		queue_poke(&en->commands);
		while (sem_wait(&en->stopped) < 0 && errno == EINTR)
			;
	}
	for (struct generation *g = en->generations; g; g = g->next)
		generation_stop(g, en->bus);
	bus_stop(en->bus);
	CRASH_POINT("drained");
	atomic_store(&en->is_ending, true);
	if (en->has_thread) {
		queue_poke(&en->commands);
		pthread_join(en->thread, NULL);
		CRASH_POINT("stopped");
		en->has_thread = false;
	}
	/* A stop in good order charges nobody: what had begun goes on with the same attempt. */
	if (en->has_started)
		attempts_stop(&en->attempts, journal_last_seq(en->journal));
	en->has_started = false;
}

static void free_tasks(struct queue_node *n)
{
	while (n) {
		struct queue_node *next = n->next;

		task_free((struct task *)n);
		n = next;
	}
}

void engine_free(struct engine *en)
{
	if (!en)
		return;
	while (en->generations) {
		struct generation *next = en->generations->next;

		generation_free(en->generations);
		en->generations = next;
	}
	free_tasks(queue_take(&en->verdicts, 0));
	free_tasks(en->backlog.verdicts);
	if (en->live.buckets)
		live_fini(&en->live);
	timers_fini(&en->timers);
	line_fini(&en->awaited);
	line_fini(&en->suspects);
	quarantine_fini(&en->quarantine);
	buf_fini(&en->order_text);
	buf_fini(&en->results_text);
	attempts_close(&en->attempts);
	reload_fini(&en->reload, en->bus);
	bus_destroy(en->bus);
	reader_close(en->reader);
	journal_close(en->journal);
	queue_fini(&en->commands);
	queue_fini(&en->verdicts);
	tally_free_all(&en->tallies);
	pthread_mutex_destroy(&en->generations_lock);
	pthread_mutex_destroy(&en->trouble_lock);
	sem_destroy(&en->stopped);
	free(en);
}
