/* A worker on its own: which generations it has pools for, and what it cannot run. */
#include "engine/worker.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/generation.h"

enum { TRY_AGAIN_MS = 10000 };

struct worked {
	struct worked *next;
	const struct pipeline *pipeline;
	struct generation *generation;
	bool is_seen;
};

/* A generation that it cannot read at all. */
struct unread {
	struct unread *next;
	char digest[PIPELINE_DIGEST_SIZE];
	char *why;
};

struct worker {
	struct worker_options options;
	struct engine_options stages; /* as generations are made */
	struct bus *bus;
	struct pipeline_set set;
	struct worked *first;
	struct unread *unread;
	int64_t try_ms; /* monotonic: when what could not be made is tried again */
	bool has_started, has_changed;
};

int worker_create(const struct worker_options *options, struct worker **ret, struct err *e)
{
	struct worker *w = calloc(1, sizeof *w);

	if (!w || bus_create_redis_worker(options->redis, options->pipeline, &w->bus) < 0) {
		free(w);
		return err_set(e, -ENOMEM, "no memory to start");
	}
	w->options = *options;
	w->stages =
		(struct engine_options){.folders = options->folders, .only = &w->options.stages};
	w->has_changed = true;
	*ret = w;
	return 0;
}

/* --- what it cannot --- */

static void write_trouble(
	struct json_writer *w, const char *digest, const char *stage, const char *why)
{
	json_open(w, '{');
	json_key(w, "generation");
	json_text(w, digest);
	json_key(w, "stage");
	json_text(w, stage);
	json_key(w, "why");
	json_text(w, why);
	json_close(w, '}');
}

static void report(struct worker *w)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer j = {&text, false};

	json_open(&j, '[');
	for (const struct unread *u = w->unread; u; u = u->next)
		write_trouble(&j, u->digest, NULL, u->why);
	for (const struct worked *g = w->first; g; g = g->next)
		for (size_t i = 0; i < g->pipeline->n_stages; i++)
			if (g->generation->stages[i].trouble)
				write_trouble(&j, g->pipeline->digest, g->pipeline->stages[i].name,
					g->generation->stages[i].trouble);
	json_close(&j, ']');
	if (!text.failed)
		redis_worker_report(w->bus, buf_view(&text));
	w->has_changed = false;
}

static void add_unread(struct worker *w, struct str digest, const char *why)
{
	struct unread *u = w->unread;

	while (u && !str_is(digest, u->digest))
		u = u->next;
	if (u || digest.n >= sizeof u->digest || !(u = calloc(1, sizeof *u)))
		return;
	memcpy(u->digest, digest.p, digest.n);
	u->why = str_dup(str_of(why));
	u->next = w->unread;
	w->unread = u;
	w->has_changed = true;
	log_error("generation=%s is left alone: %s", u->digest, why);
}

static void forget_unread(struct worker *w)
{
	while (w->unread) {
		struct unread *next = w->unread->next;

		free(w->unread->why);
		free(w->unread);
		w->unread = next;
	}
}

/* --- generations --- */

static void warn_of_unknown_stages(const struct worker *w, const struct pipeline *p)
{
	for (size_t i = 0; i < w->options.stages.n; i++)
		if (pipeline_find(p, str_of(w->options.stages.items[i])) < 0)
			log_warn("generation=%s has no stage '%s', which --stages names", p->digest,
				w->options.stages.items[i]);
}

static int make(struct worker *w, struct str digest, struct str text, struct err *e)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct worked *made = calloc(1, sizeof *made);
	struct pipeline *p = NULL;
	int r = made ? pipeline_parse(text, &p, &faults) : -ENOMEM;

	if (r == 0 && !str_is(digest, p->digest)) {
		pipeline_free(p);
		r = err_set(e, -EPROTO, "its text is not what its digest says");
	} else if (r == 0) {
		made->pipeline = pipeline_set_add(&w->set, p);
		r = generation_create(
			made->pipeline, &w->stages, w->bus, false, &made->generation, e);
	} else {
		yaml_faults_first(&faults, e);
	}
	if (r < 0) {
		free(made);
		return r;
	}
	made->is_seen = true;
	made->next = w->first;
	w->first = made;
	w->has_changed = true;
	log_info("generation=%s is worked on", made->pipeline->digest);
	warn_of_unknown_stages(w, made->pipeline);
	return 0;
}

static void on_generation(void *arg, struct str digest, struct str text)
{
	struct worker *w = arg;
	struct err e = {0};
	struct worked *g = w->first;

	while (g && !str_is(digest, g->pipeline->digest))
		g = g->next;
	if (!text.p) {
		add_unread(w, digest,
			"its tasks are of a version that this worker does not know: run the same "
			"version of Stageline everywhere");
		return;
	}
	if (g)
		g->is_seen = true;
	else if (make(w, digest, text, &e) < 0)
		add_unread(w, digest, err_text(&e));
}

static void end_generation(struct worker *w, struct worked *g)
{
	generation_stop(g->generation, w->bus);
	bus_unsubscribe(w->bus, g->pipeline);
	generation_free(g->generation);
	free(g);
}

static void end_unseen(struct worker *w)
{
	struct worked **slot = &w->first;

	while (*slot) {
		struct worked *g = *slot;

		if (g->is_seen) {
			slot = &g->next;
			continue;
		}
		*slot = g->next;
		log_info("generation=%s is over", g->pipeline->digest);
		end_generation(w, g);
		w->has_changed = true;
	}
}

/* A plugin may have come into its folder meanwhile. */
static void try_again(struct worker *w)
{
	int64_t now_ms = clock_mono_ms();

	if (now_ms < w->try_ms)
		return;
	w->try_ms = now_ms + TRY_AGAIN_MS;
	forget_unread(w);
	for (struct worked *g = w->first; g; g = g->next) {
		bool is_any;

		generation_try_again(g->generation, &w->stages, w->bus, &is_any, NULL);
		w->has_changed |= is_any;
	}
}

int worker_look(struct worker *w, struct err *e)
{
	int r = redis_worker_find(w->bus, e);

	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	if (!w->has_started && (r = bus_start(w->bus)) < 0)
		return err_set(e, r, "cannot start: %s", strerror(-r));
	w->has_started = true;
	try_again(w);
	for (struct worked *g = w->first; g; g = g->next)
		g->is_seen = false;
	if (redis_worker_generations(w->bus, on_generation, w, NULL) == 0)
		end_unseen(w);
	if (w->has_changed)
		report(w);
	return 0;
}

void worker_end(struct worker *w)
{
	if (!w)
		return;
	for (struct worked *g = w->first; g; g = g->next)
		generation_stop(g->generation, w->bus);
	bus_stop(w->bus);
	while (w->first) {
		struct worked *next = w->first->next;

		end_generation(w, w->first);
		w->first = next;
	}
	bus_destroy(w->bus);
	forget_unread(w);
	pipeline_set_fini(&w->set);
	free(w);
}
