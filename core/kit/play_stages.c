/* The stages of a played case: real plugins, and steps of the case, both on the virtual clock. */
#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kit/subprocess.h"
#include "kit/play.h"

static int64_t deadline_us(const struct task *t)
{
	return t->started_us + t->pipeline->stages[t->stage].timeout_ms * 1000;
}

static void time_out(struct task *t)
{
	const struct stage_spec *spec = &t->pipeline->stages[t->stage];
	char text[64];

	snprintf(text, sizeof text, "no answer within %lld ms", (long long)spec->timeout_ms);
	task_clear_verdict(t);
	t->message = task_keep(t, str_of(text));
	t->verdict = VERDICT_TIMEOUT;
	t->duration_us = spec->timeout_ms * 1000;
}

/* It comes back then, or is late at its deadline. */
static void keep(struct play *p, struct task *t, int64_t due_us)
{
	assert(p->n_pending < PLAY_PENDING_MAX); /* each stage has at most a run and an undo out */
	if (due_us >= deadline_us(t)) {
		due_us = deadline_us(t);
		if (t->verdict != VERDICT_LATER)
			time_out(t);
	}
	p->pending[p->n_pending++] = (struct play_pending){t, due_us};
}

static void call_plugin(struct play *p, struct task *t)
{
	int64_t soon_us =
		clock_mono_us() + 1000; /* who asks for no delay would else stop the clock */

	snprintf(p->note, SUBPROCESS_NOTE_SIZE, "%s of stage '%s', attempt %u",
		t->undo ? "undo" : "run", t->pipeline->stages[t->stage].name, t->attempt);
	instance_run(p->instances[t->stage], t);
	p->note[0] = '\0';
	if (t->verdict != VERDICT_LATER)
		keep(p, t, clock_mono_us());
	else
		keep(p, t, t->due_ms * 1000 > soon_us ? t->due_ms * 1000 : soon_us);
}

static void play_step(struct play *p, struct task *t, const struct case_step *s)
{
	task_clear_verdict(t);
	t->verdict = s->verdict;
	t->message = s->message;
	t->shortage = s->shortage;
	t->result = s->result.p;
	t->delay_ms = s->delay_ms;
	t->duration_us = s->takes_ms * 1000;
	t->effects = s->effects;
	t->n_effects = s->n_effects;
	keep(p, t, s->verdict == VERDICT_TIMEOUT ? INT64_MAX : t->started_us + s->takes_ms * 1000);
}

static void on_tasks(void *arg, struct task *first)
{
	struct play *p = arg;

	for (struct task *t = first, *next; t; t = next) {
		uint32_t n = p->calls[t->stage][t->undo]++;
		const struct case_step *s = case_step_of(&p->c->stages[t->stage], t->undo, n);

		next = (struct task *)t->node.next;
		t->node.next = NULL;
		t->started_us = clock_mono_us();
		if (s->is_real)
			call_plugin(p, t);
		else
			play_step(p, t, s);
	}
}

int play_subscribe(void *play, struct bus *bus, const struct pipeline *p, size_t stage)
{
	((struct play *)play)->bus = bus;
	return bus_subscribe(bus, p, stage, (size_t)p->stages[stage].in_flight,
		&(struct bus_workers){.on_tasks = on_tasks, .arg = play});
}

int play_stages_open(struct play *p, const struct pipeline *pipeline, struct err *e)
{
	for (size_t i = 0; i < pipeline->n_stages; i++) {
		const struct plugin *plugin;
		int r;

		if (!case_stage_is_real(&p->c->stages[i]))
			continue;
		snprintf(p->note, SUBPROCESS_NOTE_SIZE, "create of stage '%s'",
			pipeline->stages[i].name);
		r = plugin_load(&p->folders, pipeline->stages[i].plugin, &plugin, e);
		if (r == 0)
			r = instance_create(pipeline, i, plugin, &p->instances[i], e);
		if (r < 0)
			return r;
	}
	p->note[0] = '\0';
	return 0;
}

bool play_stages_deliver(struct play *p)
{
	int64_t now_us = clock_mono_us();

	for (size_t i = 0; i < p->n_pending; i++) {
		struct play_pending due = p->pending[i];

		if (due.due_us > now_us)
			continue;
		p->pending[i] = p->pending[--p->n_pending];
		if (due.task->verdict == VERDICT_LATER && now_us < deadline_us(due.task)) {
			call_plugin(p, due.task);
			return true;
		}
		if (due.task->verdict == VERDICT_LATER)
			time_out(due.task);
		bus_answer(p->bus, due.task);
		return true;
	}
	return false;
}

int64_t play_stages_next_us(const struct play *p)
{
	int64_t next_us = INT64_MAX;

	for (size_t i = 0; i < p->n_pending; i++)
		if (p->pending[i].due_us < next_us)
			next_us = p->pending[i].due_us;
	return next_us;
}

void play_stages_fini(struct play *p)
{
	while (p->n_pending)
		task_free(p->pending[--p->n_pending].task);
	for (size_t i = 0; i < ARRAY_LEN(p->instances); i++)
		instance_destroy(p->instances[i]);
}
