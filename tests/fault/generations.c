/* The pipelines of the played world: what their file says from time to time, reloads while orders are under way, and
 * orders that are moved. */
#include <stdio.h>

#include "base/mem.h"
#include "world.h"

enum { VARIANTS = 3 };

/* A seed has one row, and the file says one of the row: the first at the beginning. Of each row, the first is as it
 * always was; in the others stages come, go, change places, and lose their undo. */
static const char *const files[][VARIANTS] = {
	{"pipeline: line\n"
	 "defaults: {timeout: 2s, in_flight: 4, retry: {attempts: 3, backoff: 50ms, max: 400ms}}\n"
	 "state: {stock/A: 12}\n"
	 "stages:\n"
	 "  - {name: check, plugin: x, status: checking, event: checked}\n"
	 "  - {name: pay, plugin: x, status: paying, event: paid, undo_event: refunded}\n"
	 "  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned}\n"
	 "  - {name: ship, plugin: x, status: shipping, event: shipped, undo_event: recalled}\n",
		"pipeline: line\n"
		"defaults: {timeout: 1s, in_flight: 1, retry: {attempts: 2, backoff: 5ms}}\n"
		"state: {stock/A: 12}\n"
		"stages:\n"
		"  - {name: check, plugin: x, status: checking, event: checked}\n"
		"  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned}\n"
		"  - {name: pay, plugin: x, status: paying, event: paid, undo_event: refunded}\n"
		"  - {name: seal, plugin: x, status: sealing, event: sealed, undo_event: "
		"unsealed}\n"
		"  - {name: ship, plugin: x, status: shipping, event: shipped, undo_event: "
		"recalled}\n",
		"pipeline: line\n"
		"defaults: {timeout: 2s, in_flight: 8, retry: {attempts: 3, backoff: 50ms}}\n"
		"state: {stock/A: 12}\n"
		"stages:\n"
		"  - {name: ship, plugin: x, status: shipping, event: shipped, irreversible: true,"
		" after: [stock]}\n"
		"  - {name: pay, plugin: x, status: paying, event: paid, undo_event: refunded,"
		" after: []}\n"
		"  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned,"
		" after: [pay]}\n"},
	/* The second row has branches, little room and a wait. */
	{"pipeline: branches\n"
	 "defaults: {timeout: 1s, in_flight: 2, retry: {attempts: 2, backoff: 10ms, max: 20ms}}\n"
	 "state: {stock/A: 12}\n"
	 "stages:\n"
	 "  - {name: check, plugin: x, status: checking, event: checked}\n"
	 "  - {name: pay, plugin: x, status: paying, event: paid, undo_event: refunded,"
	 " after: [check]}\n"
	 "  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned,"
	 " after: [check], in_flight: 1}\n"
	 "  - {name: gift, plugin: x, status: wrapping, event: wrapped, undo_event: unwrapped,"
	 " after: []}\n"
	 "  - {name: ship, plugin: x, status: shipping, event: shipped, irreversible: true,"
	 " after: [pay, stock, gift]}\n",
		"pipeline: branches\n"
		"defaults: {timeout: 1s, in_flight: 2, retry: {attempts: 4, backoff: 10ms}}\n"
		"state: {stock/A: 12}\n"
		"stages:\n"
		"  - {name: gift, plugin: x, status: wrapping, event: wrapped, undo_event: "
		"unwrapped}\n"
		"  - {name: pay, plugin: x, status: paying, event: paid, undo_event: refunded}\n"
		"  - {name: check, plugin: x, status: checking, event: checked, after: []}\n"
		"  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned}\n"
		"  - {name: ship, plugin: x, status: shipping, event: shipped, irreversible: true,"
		" after: [pay, stock]}\n",
		"pipeline: branches\n"
		"defaults: {timeout: 500ms, in_flight: 3, retry: {attempts: 2, backoff: 10ms}}\n"
		"state: {stock/A: 12}\n"
		"stages:\n"
		"  - {name: pay, plugin: x, status: paying, event: paid, undo_event: refunded}\n"
		"  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned,"
		" after: []}\n"
		"  - {name: seal, plugin: x, status: sealing, event: sealed, undo_event: unsealed,"
		" after: [pay, stock]}\n"
		"  - {name: check, plugin: x, status: checking, event: checked}\n"},
	/* The third undoes nothing but the stock. */
	{"pipeline: short\n"
	 "defaults: {timeout: 500ms, in_flight: 64, retry: {attempts: 1}}\n"
	 "state: {stock/A: 12}\n"
	 "stages:\n"
	 "  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned}\n"
	 "  - {name: ship, plugin: x, status: shipping, event: shipped, irreversible: true}\n",
		"pipeline: short\n"
		"defaults: {timeout: 500ms, in_flight: 64, retry: {attempts: 1}}\n"
		"state: {stock/A: 12}\n"
		"stages:\n"
		"  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned}\n"
		"  - {name: seal, plugin: x, status: sealing, event: sealed, irreversible: true}\n"
		"  - {name: ship, plugin: x, status: shipping, event: shipped, irreversible: "
		"true}\n",
		"pipeline: short\n"
		"defaults: {timeout: 500ms, in_flight: 2, retry: {attempts: 2, backoff: 20ms}}\n"
		"state: {stock/A: 12}\n"
		"stages:\n"
		"  - {name: stock, plugin: x, status: taking, event: taken, undo_event: returned,"
		" on_exhausted: fail}\n"},
};

static const char *const names[] = {"check", "pay", "stock", "gift", "ship", "seal"};
_Static_assert(ARRAY_LEN(names) == STAGES_MAX, "a name for each stage");

size_t world_stage(const struct world *w, const char *name)
{
	for (size_t i = 0; i < STAGES_MAX; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	world_fail(w, "no stage is called %s", name);
}

const char *world_stage_name(size_t stage)
{
	return names[stage];
}

struct pipeline *world_read_file(struct world *w)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	const char *text = files[w->seed % ARRAY_LEN(files)][w->variant];
	struct pipeline *p;

	if (pipeline_parse(str_of(text), &p, &faults) == 0)
		return p;
	yaml_faults_print(&faults, "pipeline", stderr);
	world_fail(w, "the pipeline is wrong");
}

/* --- reloads: what the loader does, without its thread --- */

static struct command *new_offer(struct world *w, const struct pipeline *p)
{
	struct command *c = command_new(COMMAND_RELOAD, NULL);

	if (!c)
		world_fail(w, "no memory");
	memcpy(c->digest, p->digest, sizeof c->digest);
	return c;
}

void world_reload(struct world *w)
{
	struct offer *offer = &w->offer;
	const struct pipeline *p;
	struct command *c;
	struct err e = {0};

	if (offer->generation || w->n_commands == COMMANDS_MAX)
		return;
	w->variant = world_below(w, VARIANTS); /* somebody has written the file */
	p = pipeline_set_add(&w->set, world_read_file(w));
	if (p == engine_pipeline(w->engine))
		return;
	if (reload_make(w->engine, p, &offer->generation, &offer->is_new, &e) < 0)
		world_fail(w, "a generation cannot be made: %s", err_text(&e));
	c = new_offer(w, p);
	w->commands[w->n_commands++] = c;
	reload_offer(w->engine, c, offer->generation);
}

void world_reloaded(struct world *w, const struct command *c)
{
	if (c->result == 0 && engine_pipeline(w->engine) != c->generation->pipeline)
		world_fail(w, "a reload was granted, and another generation is current");
	w->n_reloads += c->result == 0;
	w->offer.is_answered = true;
}

/* What did not become current is taken down. */
static void end_offer(struct world *w)
{
	struct offer offer = w->offer;

	w->offer = (struct offer){0};
	if (offer.generation && !w->engine->reload.is_adopted)
		reload_give_up(w->engine, offer.generation, offer.is_new);
}

void world_after_step(struct world *w)
{
	if (w->offer.is_answered)
		end_offer(w);
	if (w->n_steps % 3 == 0)
		reload_take_down(w->engine);
}

void world_forget_offer(struct world *w)
{
	end_offer(w);
}

bool world_is_idle(void *arg, const struct pipeline *p)
{
	const struct world *w = arg;

	for (size_t i = 0; i < w->n_pending; i++)
		if (!w->pending[i].is_copy && w->pending[i].task->pipeline == p)
			return false;
	return true;
}
