/* The people of the played world: they cancel, repair, answer, pause, restock and erase, and remember what they were
 * told. */
#include <stdio.h>

#include "base/mem.h"
#include "world.h"

/* Somebody asks for something; NULL when there is no room for it. */
static struct command *ask(
	struct world *w, enum command_kind kind, const struct placed *p, int number)
{
	struct asked *a = &w->asked[w->n_asked];
	struct command *c;
	char reason[24];

	if (w->n_asked == ASKED_MAX || w->n_commands == COMMANDS_MAX)
		return NULL;
	*a = (struct asked){.kind = kind, .number = number, .order = p ? p->id : (struct id){{0}}};
	w->n_asked++;
	c = command_new(kind, a);
	if (!c)
		world_fail(w, "no memory");
	snprintf(reason, sizeof reason, "p-%d", number);
	c->reason = str_dup(str_of(reason));
	c->id = a->order;
	return c;
}

static struct command *ask_new(struct world *w, enum command_kind kind, const struct placed *p)
{
	return ask(w, kind, p, (int)w->n_asked);
}

/* The number of one of the stages that the pipeline has now. */
static size_t some_stage(struct world *w)
{
	const struct pipeline *p = engine_pipeline(w->engine);

	return world_stage(w, p->stages[world_below(w, p->n_stages)].name);
}

/* --- one order --- */

static void cancel(struct world *w, const struct placed *p)
{
	struct command *c = ask_new(w, COMMAND_CANCEL, p);

	if (c)
		world_send(w, c);
}

void world_cancel_begun(struct world *w)
{
	for (size_t i = 0; i < w->n_placed; i++) {
		const struct live_order *lo;
		int64_t seq;

		if (!w->placed[i].is_accepted ||
			reader_find_order(w->engine->reader, &w->placed[i].id, &seq) < 0)
			continue;
		lo = live_find(&w->engine->live, seq);
		if (lo && lo->order->out && lo->order->phase == ORDER_RUNNING)
			cancel(w, &w->placed[i]);
	}
}

static void release(struct world *w, const struct placed *p)
{
	static const char *const actions[] = {"retry", "retry", "skip", "discard"};
	struct command *c = ask_new(w, COMMAND_RELEASE, p);

	if (!c)
		return;
	c->action = actions[world_below(w, ARRAY_LEN(actions))];
	if (world_below(w, 4) == 0) {
		c->action = "retry";
		c->body = str_dup(str_of(p->body)); /* edited, to what it was */
	}
	world_send(w, c);
}

static void signal_stage(struct world *w, const struct placed *p, size_t stage)
{
	int number = (int)w->n_asked;

	/* Twice with one key: the answer counts once. */
	for (uint64_t n = 1 + world_below(w, 2); n; n--) {
		struct command *c = ask(w, COMMAND_SIGNAL, p, number);
		char text[48];

		if (!c)
			return;
		snprintf(text, sizeof text, "{\"answer\":%d}", number);
		c->body = str_dup(str_of(text));
		c->key = str_dup(str_of(text));
		c->stage = str_dup(str_of(world_stage_name(stage)));
		world_send(w, c);
	}
}

/* Looks at the order first, as people do: what holds is released, what waits is answered. */
static void care_for(struct world *w, const struct placed *p)
{
	_cleanup_(order_freep) struct order *o = NULL;
	int64_t seq;

	if (reader_find_order(w->engine->reader, &p->id, &seq) < 0 ||
		reader_order(w->engine->reader, seq, INT64_MAX, &o, NULL, NULL) < 0)
		return;
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_WAITING) {
			signal_stage(w, p, world_stage(w, o->pipeline->stages[i].name));
			return;
		}
	if (order_is_on_hold(o))
		release(w, p);
	else if (world_below(w, 4) == 0)
		cancel(w, p);
}

/* Without looking: mostly it does not fit. */
static void blunder(struct world *w, const struct placed *p)
{
	switch (world_below(w, 3)) {
	case 0:
		cancel(w, p);
		return;
	case 1:
		release(w, p);
		return;
	default:
		signal_stage(w, p, some_stage(w));
	}
}

/* --- stages and the state --- */

static void pause_or_resume(struct world *w, size_t stage, enum command_kind kind)
{
	struct command *c = ask_new(w, kind, NULL);

	if (!c)
		return;
	w->asked[w->n_asked - 1].stage = stage;
	c->stage = str_dup(str_of(world_stage_name(stage)));
	if (kind == COMMAND_PAUSE) {
		w->may_be_paused[stage] = true;
	} else {
		w->is_paused[stage] = false;
		w->is_resuming[stage] = true;
	}
	world_send(w, c);
}

static void adjust(struct world *w)
{
	struct command *c = ask_new(w, COMMAND_ADJUST, NULL);

	if (!c)
		return;
	c->key = str_dup(STR("stock/A"));
	c->effect = (struct effect){
		.kind = EFFECT_ADD, .key = str_of(c->key), .delta = 1 + (int64_t)world_below(w, 3)};
	if (world_below(w, 3) == 0)
		c->effect.delta *= -1;
	world_send(w, c);
}

/* Under way on an earlier generation. */
static bool is_elsewhere(struct world *w, const struct placed *p)
{
	_cleanup_(order_freep) struct order *o = NULL;
	int64_t seq;

	return reader_find_order(w->engine->reader, &p->id, &seq) == 0 &&
	       reader_order(w->engine->reader, seq, INT64_MAX, &o, NULL, NULL) == 0 &&
	       !order_is_terminal(o) && o->pipeline != engine_pipeline(w->engine);
}

/* Looks at a few orders first; who finds none takes any. */
static const struct placed *find_elsewhere(struct world *w)
{
	const struct placed *p = NULL;

	for (int i = 0; w->n_placed && i < 8; i++) {
		p = &w->placed[world_below(w, w->n_placed)];
		if (p->is_accepted && is_elsewhere(w, p))
			return p;
	}
	return p && world_below(w, 4) == 0 ? p : NULL;
}

void world_migrate(struct world *w)
{
	const struct placed *p = find_elsewhere(w);
	struct command *c = p && p->is_accepted ? ask_new(w, COMMAND_MIGRATE, p) : NULL;
	const struct generation *g = w->engine->generations;

	if (!c)
		return;
	if (g->next && world_below(w, 3) == 0) /* only when it is on that one */
		memcpy(c->digest, g->next->pipeline->digest, sizeof c->digest);
	world_send(w, c);
}

/* Of an order that has ended, mostly, so that something is left to be seen of the others. */
void world_erase(struct world *w)
{
	struct placed *p = w->n_placed ? &w->placed[world_below(w, w->n_placed)] : NULL;
	_cleanup_(order_freep) struct order *o = NULL;
	struct command *c;
	int64_t seq;

	if (!p || !p->is_accepted || reader_find_order(w->engine->reader, &p->id, &seq) < 0 ||
		reader_order(w->engine->reader, seq, INT64_MAX, &o, NULL, NULL) < 0)
		return;
	if (!order_is_terminal(o) && world_below(w, 8))
		return;
	c = ask_new(w, COMMAND_ERASE, p);
	if (!c)
		return;
	p->may_be_erased = true;
	world_send(w, c);
}

void world_ask(struct world *w)
{
	const struct placed *p = w->n_placed ? &w->placed[world_below(w, w->n_placed)] : NULL;
	size_t stage = some_stage(w);

	if (world_below(w, 8) == 0)
		adjust(w);
	else if (world_below(w, 8) == 0 && !w->is_resuming[stage])
		pause_or_resume(w, stage, w->may_be_paused[stage] ? COMMAND_RESUME : COMMAND_PAUSE);
	else if (p && p->is_accepted)
		(world_below(w, 6) ? care_for : blunder)(w, p);
}

/* Nobody can resume a stage that no generation has any more; nobody waits for it either. */
static bool is_there(struct world *w, size_t stage)
{
	const struct generation *g = w->engine->generations;

	while (g && pipeline_find(g->pipeline, str_of(world_stage_name(stage))) < 0)
		g = g->next;
	return g;
}

void world_resume_all(struct world *w)
{
	for (size_t i = 0; i < STAGES_MAX; i++) {
		if (!w->may_be_paused[i] || w->is_resuming[i] || !is_there(w, i))
			continue;
		world_pass(w, 600000); /* patience: the disk may have been full a moment ago */
		pause_or_resume(w, i, COMMAND_RESUME);
	}
}

/* --- answers --- */

static bool is_final_no(int r)
{
	static const int list[] = {-ENOENT, -EALREADY, -EINVAL, -EEXIST, -ERANGE, -EAGAIN};

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		if (list[i] == r)
			return true;
	return false;
}

void world_heard(struct world *w, struct asked *a, const struct command *c)
{
	a->is_yes = c->result == 0;
	a->is_no = is_final_no(c->result);
	if (c->result == -EPROTO || c->result == -E2BIG)
		world_fail(w, "a sound order is set aside: %s", err_text(&c->err));
	if (a->kind == COMMAND_PAUSE && a->is_yes && !w->is_resuming[a->stage])
		w->is_paused[a->stage] = true;
	if (a->kind != COMMAND_RESUME)
		return;
	w->is_resuming[a->stage] = false;
	if (a->is_yes || (a->is_no && c->result != -ENOENT))
		w->may_be_paused[a->stage] = false;
}

void world_forget_asking(struct world *w)
{
	for (size_t i = 0; i < STAGES_MAX; i++)
		w->is_resuming[i] = false;
}
