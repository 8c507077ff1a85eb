/* The workers of the played world: what they do with an attempt, what they say of it, and when that comes back. */
#include "alloc_fault.h"
#include "base/mem.h"
#include "world.h"

/* Its number in all generations. */
static size_t stage_of(const struct world *w, const struct task *t)
{
	return world_stage(w, t->pipeline->stages[t->stage].name);
}

static struct outside *outside_of(struct world *w, const struct task *t, size_t stage)
{
	for (size_t i = 0; i < w->n_outside; i++)
		if (id_eq(&w->outside[i].order, &t->order_id) && w->outside[i].stage == stage)
			return &w->outside[i];
	if (w->n_outside == ARRAY_LEN(w->outside))
		world_fail(w, "more happened outside than there are orders");
	w->outside[w->n_outside] = (struct outside){.order = t->order_id, .stage = stage};
	return &w->outside[w->n_outside++];
}

const struct outside *world_outside(const struct world *w, const struct id *order, size_t stage)
{
	static const struct outside nothing;

	for (size_t i = 0; i < w->n_outside; i++)
		if (id_eq(&w->outside[i].order, order) && w->outside[i].stage == stage)
			return &w->outside[i];
	return &nothing;
}

void world_keep_due_time(struct world *w, const struct event *ev)
{
	enum { MS_US = 1000 };
	bool is_put_off = ev->kind == EVENT_STAGE_RETRYING || ev->kind == EVENT_STAGE_WAITING;

	for (size_t i = 0; i < w->n_outside; i++) {
		struct outside *o = &w->outside[i];
		int64_t *not_before_us = &o->not_before_us[ev->undo];

		if (!id_eq(&o->order, &ev->order_id))
			continue;
		if (ev->kind == EVENT_ORDER_MIGRATED)
			o->not_before_us[0] = o->not_before_us[1] = 0;
		if (!ev->stage.n || o->stage != world_stage(w, ev->stage.p))
			continue;
		if (str_is(ev->message, "no answer came from outside in time") &&
			w->mono_us < *not_before_us)
			world_fail(w, "event %lld ends a wait before its time", (long long)ev->seq);
		/* Clocks of milliseconds are behind. */
		*not_before_us = is_put_off ? w->mono_us + ev->due_us - ev->time_us - 2 * MS_US : 0;
	}
}

void world_forget_due_times(struct world *w)
{
	for (size_t i = 0; i < w->n_outside; i++)
		w->outside[i].not_before_us[0] = w->outside[i].not_before_us[1] = 0;
}

static enum verdict draw_verdict(struct world *w)
{
	static const enum verdict bad[] = {VERDICT_FAIL, VERDICT_FAIL, VERDICT_RETRY, VERDICT_RETRY,
		VERDICT_TIMEOUT, VERDICT_CRASH, VERDICT_WAIT};

	return world_one_in(w, w->is_draining ? 16 : 4) ? bad[world_below(w, ARRAY_LEN(bad))]
							: VERDICT_DONE;
}

/* What a stage does to the state: stock is counted down, money up. */
static void add_effect(struct world *w, struct task *t, size_t stage)
{
	bool is_stock = strcmp(world_stage_name(stage), "stock") == 0;
	struct effect *f = arena_alloc(&t->arena, sizeof *f);

	if (!f)
		world_fail(w, "no memory");
	*f = (struct effect){.kind = EFFECT_ADD, .floor = EFFECT_NO_FLOOR, .delta = 1};
	if (is_stock) {
		f->key = STR("stock/A");
		f->delta = t->undo ? 1 : -1;
		f->floor = 0;
	} else {
		f->key = t->undo ? STR("ledger/undone") : STR("ledger/done");
	}
	t->effects = f;
	t->n_effects = 1;
}

/* Who dies in the middle of an attempt has used it up, or a poison order would be tried for ever (P6); only what a stop
 * in good order cut off goes on as the same attempt. */
static void count_attempt(struct world *w, struct outside *o, const struct task *t)
{
	uint32_t *n = &o->n_handed_out[t->undo];

	if (t->attempt <= *n && o->n_stops[t->undo] == w->n_stops)
		world_fail(w, "order %lld: attempt %u of %s went out again",
			(long long)t->order_seq, t->attempt, t->pipeline->stages[t->stage].name);
	if (w->mono_us < o->not_before_us[t->undo])
		world_fail(w, "order %lld: attempt %u of %s went out before its time",
			(long long)t->order_seq, t->attempt, t->pipeline->stages[t->stage].name);
	*n = t->attempt > *n ? t->attempt : *n;
	o->n_stops[t->undo] = w->n_stops;
}

static void happen(struct outside *o, bool undo)
{
	if (undo)
		o->is_undone = true;
	else if (!o->is_done)
		o->is_undone = false; /* that came before */
	o->is_done |= !undo;
}

/* What a verdict says may be a lie, a no cannot be. */
static void work(struct world *w, struct task *t, size_t stage)
{
	struct outside *o = outside_of(w, t, stage);
	enum verdict v = draw_verdict(w);
	const bool *slot = t->undo ? &o->is_undone : &o->is_done;

	if (v == VERDICT_FAIL && (*slot || world_one_in(w, 2)))
		v = VERDICT_DONE;
	if (w->has_elsewhere && o->refused[t->undo] == t->attempt)
		v = VERDICT_FAIL;
	if (v == VERDICT_FAIL)
		o->refused[t->undo] = t->attempt;
	if (v == VERDICT_DONE || (v != VERDICT_FAIL && world_one_in(w, 2)))
		happen(o, t->undo);
	t->verdict = v;
	t->message = "played";
	t->duration_us = (int64_t)world_below(w, 100) * 1000;
	t->delay_ms = v == VERDICT_WAIT || world_one_in(w, 8) ? (int64_t)world_below(w, 300) : -1;
	if (v == VERDICT_DONE) {
		t->result = "{\"ref\":1}";
		add_effect(w, t, stage);
	}
}

void world_work(struct world *w)
{
	for (size_t i = 0; i < w->n_pending; i++) {
		struct pending *p = &w->pending[i];

		if (!p->work_us || p->work_us > w->mono_us)
			continue;
		work(w, p->task, p->stage);
		p->work_us = 0;
	}
}

static void copy_verdict(struct world *w, struct task *to, const struct task *t, size_t stage)
{
	to->verdict = t->verdict;
	to->delay_ms = t->delay_ms;
	to->duration_us = t->duration_us;
	to->message = t->message; /* both static */
	to->result = t->result;
	if (t->n_effects)
		add_effect(w, to, stage);
}

static struct task *copy_of(struct world *w, const struct task *t, size_t stage)
{
	struct task *c = task_new(STR("{}"), STR("{}"), (struct str){0});

	if (!c)
		world_fail(w, "no memory");
	c->pipeline = t->pipeline;
	c->stage = t->stage;
	c->order_id = t->order_id;
	c->order_seq = t->order_seq;
	c->attempt = t->attempt;
	c->undo = t->undo;
	copy_verdict(w, c, t, stage);
	return c;
}

static int64_t answer_time(struct world *w)
{
	int64_t ms = (int64_t)world_below(w, 60);

	if (world_one_in(w, 10)) /* often later than the stage's timeout */
		ms = (int64_t)world_below(w, 4000);
	return w->mono_us + ms * 1000;
}

static struct pending *keep_pending(struct world *w, struct task *t, bool is_copy)
{
	if (w->n_pending == TASKS_MAX)
		world_fail(w, "more tasks are out than the stages may hold");
	t->node.next = NULL;
	w->pending[w->n_pending] = (struct pending){
		.task = t, .stage = stage_of(w, t), .due_us = answer_time(w), .is_copy = is_copy};
	return &w->pending[w->n_pending++];
}

/* It has a deadline. */
static bool is_watched(const struct world *w, const struct task *t)
{
	struct stage_runtime *rt = &engine_generation(w->engine, t->pipeline)->stages[t->stage];

	for (size_t i = 0; i < rt->out.n; i++) {
		const struct line_entry *entry = line_at(&rt->out, i);

		if (entry->order_seq == t->order_seq && entry->attempt == t->attempt &&
			entry->undo == t->undo)
			return true;
	}
	return false;
}

static void check_goes_out(struct world *w, const struct task *t)
{
	const struct live_order *lo = live_find(&w->engine->live, t->order_seq);

	if (!t->is_only_awaited && w->is_paused[stage_of(w, t)])
		world_fail(w, "an attempt of a paused stage went out");
	if (!t->is_only_awaited && lo && lo->order->phase == ORDER_COMPENSATING && !t->undo)
		world_fail(w, "order %lld turns round, and a run of %s went out",
			(long long)t->order_seq, t->pipeline->stages[t->stage].name);
	if (!is_watched(w, t))
		world_fail(w, "order %lld: nobody watches for the deadline of %s",
			(long long)t->order_seq, t->pipeline->stages[t->stage].name);
}

/* They begin when the turn that sent them is over, and what it committed is told. */
static void on_tasks(void *arg, struct task *first)
{
	struct world *w = arg;

	alloc_fault_end(); /* the world has memory */
	while (first) {
		struct task *next = (struct task *)first->node.next;

		first->node.next = (struct queue_node *)w->sent;
		w->sent = first;
		first = next;
	}
}

/* What a worker has since an earlier life; NULL: none has it. */
static struct pending *find_pending(struct world *w, const struct task *t)
{
	for (size_t i = 0; i < w->n_pending; i++)
		if (w->pending[i].stage == stage_of(w, t) &&
			task_is_same_attempt(w->pending[i].task, t))
			return &w->pending[i];
	return NULL;
}

/* It is the same to him, and the task is what answers. */
static void go_on_with(struct world *w, struct pending *p, struct task *t)
{
	if (!p->work_us)
		copy_verdict(w, t, p->task, p->stage);
	task_free(p->task);
	p->task = t;
	t->node.next = NULL;
	p->is_copy = p->is_ghost = false;
}

static void say_nobody_has_it(struct world *w, struct task *t)
{
	t->verdict = VERDICT_CRASH;
	t->delay_ms = -1;
	keep_pending(w, t, false);
}

/* Before the shortest timeout of all pipelines is over. */
static void work_later(struct world *w, struct task *t)
{
	enum { WORK_US = 450000 };
	struct pending *p = keep_pending(w, t, false);

	p->work_us = w->mono_us + 1 + (int64_t)world_below(w, WORK_US);
	p->due_us = p->due_us > p->work_us ? p->due_us : p->work_us;
}

static void work_now(struct world *w, struct task *t)
{
	size_t stage = stage_of(w, t);

	work(w, t, stage);
	keep_pending(w, t, false);
	for (uint64_t n = world_one_in(w, 5) ? 1 + world_below(w, 4) : 0;
		n && w->n_pending < TASKS_MAX / 2; n--)
		keep_pending(w, copy_of(w, t, stage), true);
}

static void begin_task(struct world *w, struct task *t)
{
	struct pending *p = find_pending(w, t);

	count_attempt(w, outside_of(w, t, stage_of(w, t)), t);
	if (t->mark && !w->has_elsewhere)
		*t->mark = world_one_in(w, 4) ? TASK_MARK_RUNNING : TASK_MARK_LATER;
	if (p && p->work_us)
		go_on_with(w, p, t);
	else if (w->is_full && !p && world_one_in(w, 2))
		work_later(w, t);
	else
		work_now(w, t);
}

/* An answer is all that is asked for. */
static void await(struct world *w, struct task *t)
{
	struct pending *p = find_pending(w, t);

	if (p)
		go_on_with(w, p, t);
	else
		say_nobody_has_it(w, t);
}

void world_begin_tasks(struct world *w)
{
	while (w->sent) {
		struct task *t = w->sent;

		w->sent = (struct task *)t->node.next;
		check_goes_out(w, t);
		outside_of(w, t, stage_of(w, t))->n_left[t->undo] = t->attempt;
		if (w->is_dying)
			task_free(t);
		else if (t->is_only_awaited)
			await(w, t);
		else
			begin_task(w, t);
	}
}

int world_subscribe(void *arg, struct bus *bus, const struct pipeline *p, size_t stage)
{
	return bus_subscribe(bus, p, stage, (size_t)p->stages[stage].in_flight,
		&(struct bus_workers){.on_tasks = on_tasks, .arg = arg});
}

static void deliver(struct world *w, size_t i)
{
	struct pending p = w->pending[i];

	w->pending[i] = w->pending[--w->n_pending];
	if (p.work_us)
		work(w, p.task, p.stage);
	if (p.is_ghost)
		p.task->pipeline = pipeline_set_find(&w->set, str_of(p.generation));
	if (!p.task->pipeline) /* of a generation whose orders have ended */
		task_free(p.task);
	else if (p.is_copy)
		queue_push(&w->engine->verdicts, &p.task->node);
	else
		bus_answer(w->engine->bus, p.task);
}

void world_deliver(struct world *w, bool is_impatient)
{
	for (size_t i = w->n_pending; i-- > 0;)
		if (w->pending[i].due_us <= w->mono_us)
			deliver(w, i);
	if (is_impatient && w->n_pending)
		deliver(w, world_below(w, w->n_pending));
}

void world_make_ghosts(struct world *w)
{
	for (size_t i = 0; i < w->n_pending; i++) {
		struct pending *p = &w->pending[i];
		struct task *t = p->task;

		if (p->is_ghost)
			continue;
		snprintf(p->generation, sizeof p->generation, "%s", t->pipeline->digest);
		p->task = copy_of(w, t, p->stage);
		p->task->pipeline = NULL;
		p->is_copy = p->is_ghost = true;
		task_free(t);
		w->n_ghosts++;
	}
}
