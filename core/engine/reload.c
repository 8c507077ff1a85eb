/* Generations that come and go: loading the pipeline file anew on a thread of its own, making it current in one
 * commit, and taking down what no order is on any more. */
#include "base/crash_point.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/internal.h"
#include "engine/load.h"

enum { IDLE_AGAIN_MS = 200 };

/* --- what the journal hears of it --- */

static int append_new_state(
	struct engine *en, struct batch *b, const struct pipeline *p, struct err *e)
{
	struct event_list list;
	struct event *ev;

	if (!p->state || !p->state->n_children)
		return 0;
	event_list_init(&list, &b->feed->arena);
	ev = event_list_add(&list, EVENT_STATE_ADJUSTED);
	if (!ev || !(ev->effects = arena_alloc(
			     &b->feed->arena, p->state->n_children * sizeof *ev->effects)))
		return err_set(e, -ENOMEM, "no memory for the initial state");
	ev->time_us = clock_wall_us();
	ev->message = STR("Initial values from the pipeline file");
	for (const struct yaml_node *n = p->state->first; n; n = n->next) {
		_cleanup_(buf_fini) struct buf json = {0};
		struct effect *f = &ev->effects[ev->n_effects];
		int r = journal_has_state(en->journal, n->key);

		if (r < 0)
			return err_set(e, r, "cannot read the state: %s", strerror(-r));
		if (r)
			continue;
		pipeline_state_json(n, &json);
		*f = (struct effect){.kind = EFFECT_PUT, .key = n->key};
		if (json.failed || !arena_copy(&b->feed->arena, buf_view(&json), &f->json))
			return err_set(e, -ENOMEM, "no memory for the initial state");
		ev->n_effects++;
	}
	return ev->n_effects ? batch_append(en, b, &list, e) : 0;
}

static int append_loaded(
	struct engine *en, struct batch *b, const struct pipeline *p, struct err *e)
{
	struct event_list list;
	struct event *ev;

	event_list_init(&list, &b->feed->arena);
	ev = event_list_add(&list, EVENT_PIPELINE_LOADED);
	if (!ev)
		return err_set(e, -ENOMEM, "no memory for the pipeline");
	ev->time_us = clock_wall_us();
	ev->message = STR("A pipeline became current");
	ev->generation = str_of(p->digest);
	ev->text = (struct str){p->document->source, p->document->source_len};
	return batch_append(en, b, &list, e);
}

int reload_append(struct engine *en, struct batch *b, const struct pipeline *p, struct err *e)
{
	int r = append_loaded(en, b, p, e);

	if (r == 0)
		r = append_new_state(en, b, p, e);
	CRASH_POINT("make-current");
	return r;
}

/* --- on the sequencer --- */

int reload_adopt(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	if (!c->generation) {
		c->result = err_set(&c->err, -ESHUTDOWN, "no pipeline can be loaded now");
		return 0;
	}
	b->adopted = c->generation;
	return reload_append(en, b, c->generation->pipeline, e);
}

static void link_generation(struct engine *en, struct generation *g)
{
	struct generation **slot = &en->generations;

	while (*slot && *slot != g)
		slot = &(*slot)->next;
	if (*slot)
		*slot = g->next;
	g->next = en->generations;
	en->generations = g;
}

void reload_adopted(struct engine *en, struct generation *g)
{
	CRASH_POINT("adopt");
	pthread_mutex_lock(&en->generations_lock);
	link_generation(en, g);
	g->is_wanted = false;
	en->current = g;
	pthread_mutex_unlock(&en->generations_lock);
	atomic_store(&en->pipeline, g->pipeline);
	engine_read_pauses(en);
	en->reload.is_adopted = true;
	log_info("generation=%s is current: new orders take it", g->pipeline->digest);
}

void reload_on_answers(struct engine *en, const struct command *first)
{
	if (!atomic_load(&en->reload.is_waiting))
		return;
	for (; first; first = (const struct command *)first->node.next) {
		if (first->kind != COMMAND_RELOAD)
			continue;
		atomic_store(&en->reload.is_waiting, false);
		sem_post(&en->reload.answered);
	}
}

static bool is_idle(const struct engine *en, const struct generation *g)
{
	const struct worker_source *workers = en->options.workers;

	return workers ? workers->is_idle(workers->arg, g->pipeline) : generation_is_idle(g);
}

/* Takes it out of the list and gives it to the loader. False: code of it still runs, or it is to become current once
 * more. */
static bool retire(struct engine *en, struct generation **slot)
{
	struct generation *g = *slot;
	bool is_over;

	pthread_mutex_lock(&en->generations_lock);
	is_over = !g->is_wanted && is_idle(en, g);
	if (is_over) {
		stats_keep(g);
		*slot = g->next;
		g->next = en->reload.retired;
		en->reload.retired = g;
	}
	pthread_mutex_unlock(&en->generations_lock);
	if (is_over)
		queue_poke(&en->reload.jobs);
	return is_over;
}

int64_t reload_retire(struct engine *en)
{
	struct generation **slot = &en->generations;
	int64_t now_ms = clock_mono_ms();
	bool is_any_busy = false;

	if (en->options.workers ? !en->options.workers->is_idle : !en->reload.has_thread)
		return INT64_MAX;
	if (now_ms < en->reload.again_ms)
		return en->reload.again_ms;
	while (*slot) {
		struct generation *g = *slot;
		bool is_over = g != en->current && !atomic_load(&g->n_open);

		if (is_over && retire(en, slot))
			continue;
		is_any_busy |= is_over; /* a call that the order did not wait for */
		slot = &g->next;
	}
	en->reload.again_ms = is_any_busy ? now_ms + IDLE_AGAIN_MS : 0;
	return is_any_busy ? en->reload.again_ms : INT64_MAX;
}

/* --- on the loader --- */

void reload_take_down(struct engine *en)
{
	struct generation *g;

	pthread_mutex_lock(&en->generations_lock);
	g = steal_ptr(en->reload.retired);
	pthread_mutex_unlock(&en->generations_lock);
	while (g) {
		struct generation *next = g->next;

		generation_stop(g, en->bus);
		bus_unsubscribe(en->bus, g->pipeline);
		log_info("generation=%s is over: its last order has ended", g->pipeline->digest);
		generation_free(g);
		g = next;
	}
}

static void answer(struct engine *en, struct command *c)
{
	c->node.next = NULL;
	en->options.on_answers(en->options.arg, c);
}

/* The file says no: what is wrong, all of it, with its places. */
static void refuse_file(
	struct engine *en, struct command *c, int r, struct yaml_faults *faults, struct err *e)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	if (!e->code)
		err_set(e, r, "%s", strerror(-r));
	if (!faults->n)
		yaml_fault(faults, NULL, "%s", err_text(e));
	yaml_faults_json(faults, en->options.pipeline_path, &w);
	c->errors = buf_steal(&text, NULL);
	c->result = c->errors && r != -ENOMEM ? -EINVAL : -ENOMEM;
	c->err = *e;
	c->err.code = c->result;
}

/* A start that lacked a plugin left stages out. What waits there goes on, whether or not the others can be made. */
static int complete(struct engine *en, struct generation *g, struct err *e)
{
	bool is_any;
	int r = generation_try_again(g, &en->options, en->bus, &is_any, e);

	if (is_any)
		queue_poke(&en->commands);
	if (r < 0)
		reload_give_up(en, g, false);
	return r;
}

int reload_make(struct engine *en, const struct pipeline *p, struct generation **ret,
	bool *ret_is_new, struct err *e)
{
	struct generation *g;
	int r;

	pthread_mutex_lock(&en->generations_lock);
	g = engine_generation(en, p);
	if (g)
		g->is_wanted = true;
	pthread_mutex_unlock(&en->generations_lock);
	*ret_is_new = !g;
	if (g) {
		r = complete(en, g, e);
		if (r == 0)
			*ret = g;
		return r;
	}
	reload_take_down(en); /* it may be among them, with its place on the bus */
	return engine_make_generation(en, p, true, ret, e);
}

void reload_give_up(struct engine *en, struct generation *g, bool is_new)
{
	if (is_new) {
		generation_stop(g, en->bus);
		bus_unsubscribe(en->bus, g->pipeline);
		generation_free(g);
		return;
	}
	pthread_mutex_lock(&en->generations_lock);
	g->is_wanted = false;
	pthread_mutex_unlock(&en->generations_lock);
}

void reload_offer(struct engine *en, struct command *c, struct generation *g)
{
	en->reload.is_adopted = false;
	c->generation = g;
	atomic_store(&en->reload.is_waiting, true);
	queue_push(&en->commands, &c->node);
}

/* Lends the command to the sequencer, and waits: one at a time becomes current. */
static void hand_over(struct engine *en, struct command *c, struct generation *g, bool is_new)
{
	reload_offer(en, c, g);
	while (sem_wait(&en->reload.answered) < 0 && errno == EINTR)
		;
	if (!en->reload.is_adopted)
		reload_give_up(en, g, is_new);
}

static void load(struct engine *en, struct command *c)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct pipeline *loaded = NULL;
	struct generation *g = NULL;
	const struct pipeline *p;
	struct err e = {0};
	bool is_new;
	int r = pipeline_load(
		en->options.pipeline_path, &en->options.folders, true, &loaded, &faults, &e);

	if (r == 0) {
		p = pipeline_set_add(en->set, loaded);
		memcpy(c->digest, p->digest, sizeof c->digest);
		c->is_unchanged = p == engine_pipeline(en);
		if (!c->is_unchanged)
			r = reload_make(en, p, &g, &is_new, &e);
	}
	if (r < 0)
		refuse_file(en, c, r, &faults, &e);
	if (g)
		hand_over(en, c, g, is_new);
	else
		answer(en, c);
}

static void refuse_all(struct engine *en, struct queue_node *n)
{
	while (n) {
		struct command *c = (struct command *)n;

		n = n->next;
		c->result = err_set(&c->err, -ESHUTDOWN, "Stageline is stopping");
		answer(en, c);
	}
}

static void *loader_run(void *engine)
{
	struct engine *en = engine;
	struct queue_node *n = NULL;

	pthread_setname_np(pthread_self(), "loader");
	while (!atomic_load(&en->reload.is_ending)) {
		if (!n)
			n = queue_take(&en->reload.jobs, INT64_MAX);
		reload_take_down(en);
		if (n && !atomic_load(&en->reload.is_ending)) {
			struct command *c = (struct command *)n;

			n = n->next;
			load(en, c);
		}
	}
	refuse_all(en, n);
	refuse_all(en, queue_take(&en->reload.jobs, 0));
	return NULL;
}

/* --- life --- */

static int on_open_generation(void *arg, struct str digest, int64_t n)
{
	struct engine *en = arg;
	const struct pipeline *p;
	struct generation *g;
	struct err e = {0};
	int r = reader_generation(en->reader, digest, &p, &e);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		log_error("%s: its orders are set aside", err_text(&e));
		return 0;
	}
	g = engine_generation(en, p);
	if (!g) {
		r = engine_make_generation(en, p, false, &g, &e);
		if (r < 0)
			return r;
		g->next = en->current->next;
		en->current->next = g;
	}
	atomic_store(&g->n_open, n);
	return 0;
}

int reload_open_generations(struct engine *en, struct err *e)
{
	int r = reader_open_generations(en->reader, on_open_generation, en, e);

	return r == -ENOMEM ? err_set(e, r, "no memory for earlier generations") : r;
}

int reload_init(struct reload *rl)
{
	sem_init(&rl->answered, 0, 0);
	return queue_init(&rl->jobs, false);
}

void reload_fini(struct reload *rl, struct bus *bus)
{
	while (rl->retired) {
		struct generation *next = rl->retired->next;

		generation_stop(rl->retired, bus);
		generation_free(rl->retired);
		rl->retired = next;
	}
	queue_fini(&rl->jobs);
	sem_destroy(&rl->answered);
}

int reload_start(struct engine *en)
{
	int r = -pthread_create(&en->reload.thread, NULL, loader_run, en);

	en->reload.has_thread = r == 0;
	return r;
}

void reload_stop(struct engine *en)
{
	if (!en->reload.has_thread)
		return;
	atomic_store(&en->reload.is_ending, true);
	queue_poke(&en->reload.jobs);
	pthread_join(en->reload.thread, NULL);
	en->reload.has_thread = false;
}
