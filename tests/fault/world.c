/* The played world: its clocks, its workers, its client, and the deaths of the engine's process. */
#include "world.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "base/mem.h"
#include "fault_vfs.h"

static struct world *the_world; /* the clocks have no argument */

void world_fail(const struct world *w, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "SEED=%llu step %ld life %ld: ", (unsigned long long)w->seed, w->n_steps,
		w->n_lives);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (%s)\n", w->path);
	_exit(1);
}

/* --- chance and time --- */

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators). */
uint64_t world_random(struct world *w)
{
	uint64_t x = w->random += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint64_t world_below(struct world *w, uint64_t n)
{
	return world_random(w) % n;
}

static bool one_in(struct world *w, uint64_t n)
{
	return world_below(w, n) == 0;
}

static void random_bytes(void *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = (uint8_t)world_random(the_world);
}

static int64_t mono_us(void)
{
	return the_world->mono_us;
}

static int64_t wall_us(void)
{
	return the_world->mono_us + the_world->wall_ahead_us;
}

static const struct clock_source clocks = {wall_us, mono_us};

void world_pass(struct world *w, int64_t us)
{
	w->mono_us += us;
}

/* --- workers --- */

/* Its number in all generations. */
static size_t stage_of(const struct world *w, const struct task *t)
{
	return world_stage(w, t->pipeline->stages[t->stage].name);
}

static struct outside *outside_of(struct world *w, const struct task *t)
{
	size_t stage = stage_of(w, t);

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

/* Of the events of this life, since the wall clock may have jumped while there was none. */
static void keep_due_time(struct world *w, const struct event *ev)
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

static void forget_due_times(struct world *w)
{
	for (size_t i = 0; i < w->n_outside; i++)
		w->outside[i].not_before_us[0] = w->outside[i].not_before_us[1] = 0;
}

static enum verdict draw_verdict(struct world *w)
{
	static const enum verdict bad[] = {VERDICT_FAIL, VERDICT_FAIL, VERDICT_RETRY, VERDICT_RETRY,
		VERDICT_TIMEOUT, VERDICT_CRASH, VERDICT_WAIT};

	return one_in(w, w->is_draining ? 16 : 4) ? bad[world_below(w, ARRAY_LEN(bad))]
						  : VERDICT_DONE;
}

/* What a stage does to the state: stock is counted down, money up. */
static void add_effect(struct world *w, struct task *t)
{
	const char *stage = t->pipeline->stages[t->stage].name;
	bool is_stock = strcmp(stage, "stock") == 0;
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

/* Work is done when it is taken: what a verdict says later may be a lie, a no cannot be. */
static void work(struct world *w, struct task *t)
{
	struct outside *o = outside_of(w, t);
	enum verdict v = draw_verdict(w);
	bool *slot = t->undo ? &o->is_undone : &o->is_done;

	count_attempt(w, o, t);
	if (v == VERDICT_FAIL && (*slot || one_in(w, 2)))
		v = VERDICT_DONE;
	if (w->has_elsewhere && o->refused[t->undo] == t->attempt)
		v = VERDICT_FAIL;
	if (v == VERDICT_FAIL)
		o->refused[t->undo] = t->attempt;
	*slot |= v == VERDICT_DONE || (v != VERDICT_FAIL && one_in(w, 2));
	t->verdict = v;
	t->message = "played";
	t->duration_us = (int64_t)world_below(w, 100) * 1000;
	t->delay_ms = v == VERDICT_WAIT || one_in(w, 8) ? (int64_t)world_below(w, 300) : -1;
	if (v == VERDICT_DONE) {
		t->result = "{\"ref\":1}";
		add_effect(w, t);
	}
}

static struct task *copy_of(struct world *w, const struct task *t)
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
	c->verdict = t->verdict;
	c->delay_ms = t->delay_ms;
	c->duration_us = t->duration_us;
	c->message = t->message; /* both static */
	c->result = t->result;
	if (t->n_effects)
		add_effect(w, c);
	return c;
}

static int64_t answer_time(struct world *w)
{
	int64_t ms = (int64_t)world_below(w, 60);

	if (one_in(w, 10)) /* often later than the stage's timeout */
		ms = (int64_t)world_below(w, 4000);
	return w->mono_us + ms * 1000;
}

static void keep_pending(struct world *w, struct task *t, bool is_copy)
{
	if (w->n_pending == TASKS_MAX)
		world_fail(w, "more tasks are out than the stages may hold");
	t->node.next = NULL;
	w->pending[w->n_pending++] =
		(struct pending){.task = t, .due_us = answer_time(w), .is_copy = is_copy};
}

static void check_goes_out(struct world *w, const struct task *t)
{
	const struct live_order *lo = live_find(&w->engine->live, t->order_seq);

	if (w->is_paused[stage_of(w, t)])
		world_fail(w, "an attempt of a paused stage went out");
	if (lo && lo->order->phase == ORDER_COMPENSATING && !t->undo)
		world_fail(w, "order %lld turns round, and a run of %s went out",
			(long long)t->order_seq, t->pipeline->stages[t->stage].name);
}

static void on_tasks(void *arg, struct task *first)
{
	struct world *w = arg;

	alloc_fault_end(); /* the world has memory */
	while (first) {
		struct task *next = (struct task *)first->node.next;

		check_goes_out(w, first);
		if (w->is_dying) {
			task_free(first);
		} else {
			if (first->mark && !w->has_elsewhere)
				*first->mark = one_in(w, 4) ? TASK_MARK_RUNNING : TASK_MARK_LATER;
			work(w, first);
			keep_pending(w, first, false);
			for (uint64_t n = one_in(w, 5) ? 1 + world_below(w, 4) : 0;
				n && w->n_pending < TASKS_MAX / 2; n--)
				keep_pending(w, copy_of(w, first), true);
		}
		first = next;
	}
}

static int subscribe(void *arg, struct bus *bus, const struct pipeline *p, size_t stage)
{
	return bus_subscribe(bus, p, stage, (size_t)p->stages[stage].in_flight,
		&(struct bus_workers){.on_tasks = on_tasks, .arg = arg});
}

static void deliver(struct world *w, size_t i)
{
	struct pending p = w->pending[i];

	w->pending[i] = w->pending[--w->n_pending];
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

/* --- the marks of attempts on the disk --- */

enum { MARKS_PAGE = 4096, MARKS_BYTES = (ATTEMPTS_MAX + 1) * sizeof(struct attempt_slot) };

static char synced_marks[MARKS_BYTES]; /* what the power leaves for certain */

static void read_marks(int fd, char out[MARKS_BYTES])
{
	ssize_t n = pread(fd, out, MARKS_BYTES, 0);

	if (n < 0)
		world_fail(the_world, "the marks cannot be read");
	memset(out + n, 0, MARKS_BYTES - (size_t)n);
}

static void write_marks(const struct world *w, const char marks[MARKS_BYTES])
{
	int fd = open(w->attempts_path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, marks, MARKS_BYTES, 0) != MARKS_BYTES)
		world_fail(w, "the marks cannot be written");
	close(fd);
}

/* Stands in for libc's: SQLite is on the played disk, so only the marks are synced by it. */
int fdatasync(int fd)
{
	read_marks(fd, synced_marks);
	return 0;
}

/* The power was gone: of each page there is what was synced, or what was written since, by a bit of `chance`; and the
 * machine has booted anew. */
static void lose_marks(struct world *w, uint64_t chance)
{
	static const size_t boot_id_at = 16;
	int fd = open(w->attempts_path, O_RDONLY | O_CLOEXEC);
	char marks[MARKS_BYTES];

	if (fd < 0)
		world_fail(w, "there are no marks");
	read_marks(fd, marks);
	for (size_t i = 0; i < MARKS_BYTES / MARKS_PAGE; i++)
		if (chance >> i & 1)
			memcpy(marks + i * MARKS_PAGE, synced_marks + i * MARKS_PAGE, MARKS_PAGE);
	if (marks[boot_id_at])
		marks[boot_id_at] = '-'; /* no boot is called so */
	close(fd);
	write_marks(w, marks);
	memcpy(synced_marks, marks, MARKS_BYTES);
}

/* --- the client --- */

static void check_answer(struct world *w, struct placed *p, const struct command *c)
{
	if (c->result < 0)
		return;
	if (p->is_accepted && !id_eq(&p->id, &c->id))
		world_fail(w, "key %s gave two orders", p->key);
	p->is_accepted = true;
	p->id = c->id;
}

static void on_answers(void *arg, struct command *first)
{
	struct world *w = arg;

	while (first) {
		struct command *next = (struct command *)first->node.next;
		size_t i = 0;

		while (i < w->n_commands && w->commands[i] != first)
			i++;
		if (i == w->n_commands)
			world_fail(w, "an answer to nothing");
		w->commands[i] = w->commands[--w->n_commands];
		if (!w->is_dying && first->kind == COMMAND_PLACE)
			check_answer(w, first->context, first);
		else if (!w->is_dying && first->kind == COMMAND_RELOAD)
			world_reloaded(w, first);
		else if (!w->is_dying)
			world_heard(w, first->context, first);
		command_free(first);
		first = next;
	}
}

static void on_commit(void *arg, struct feed_batch *batch)
{
	struct world *w = arg;

	for (const struct event *ev = batch->events.first; ev; ev = ev->next) {
		if (w->last_seen_seq && ev->seq != w->last_seen_seq + 1)
			world_fail(w, "the feed goes from event %lld to %lld",
				(long long)w->last_seen_seq, (long long)ev->seq);
		w->last_seen_seq = ev->seq;
		keep_due_time(w, ev);
	}
	feed_batch_free(batch);
}

static struct placed *new_order(struct world *w)
{
	struct placed *p = &w->placed[w->n_placed];
	struct buf body = {0};

	buf_fmt(&body,
		"{\"customer_email\":\"%zu@example.com\",\"items\":[{\"product_id\":\"A\","
		"\"quantity\":1,\"price\":1.00}],\"total_amount\":1.00}",
		w->n_placed);
	p->body = buf_steal(&body, NULL);
	if (!one_in(w, 3))
		snprintf(p->key, sizeof p->key, "key-%zu", w->n_placed);
	w->n_placed++;
	return p;
}

static struct placed *earlier_order(struct world *w)
{
	struct placed *p = &w->placed[world_below(w, w->n_placed)];

	return *p->key && !p->may_be_erased ? p : NULL;
}

void world_place(struct world *w)
{
	bool is_new = !w->n_placed || (w->n_placed < ORDERS_MAX && !one_in(w, 4));
	struct placed *p = is_new ? new_order(w) : earlier_order(w);
	struct command *c;

	if (!p || w->n_commands == COMMANDS_MAX)
		return;
	c = command_new(COMMAND_PLACE, p);
	if (!c)
		world_fail(w, "no memory");
	c->body = str_dup(str_of(p->body));
	c->key = *p->key ? str_dup(str_of(p->key)) : NULL;
	world_send(w, c);
}

void world_send(struct world *w, struct command *c)
{
	w->commands[w->n_commands++] = c;
	engine_submit(w->engine, c);
}

/* --- the process --- */

/* The played bus is the one in memory, and the engine takes it for one to workers elsewhere. */
static const struct redis_options elsewhere = {.url = "played"};

static int start(struct world *w, struct err *e)
{
	struct engine_options options = {.journal_path = w->path,
		.attempts_path = w->attempts_path,
		.orders_in_memory = w->seed % 3 ? 3 : 1000,
		.workers = &w->workers,
		.on_answers = on_answers,
		.on_commit = on_commit,
		.arg = w};
	int r;

	forget_due_times(w);
	w->last_seen_seq = 0;
	w->next_turn_ms = 0;
	w->n_lives++;
	r = engine_start(&options, &w->set, world_read_file(w), &w->engine, e);
	if (r == 0 && w->has_elsewhere)
		w->engine->options.redis = &elsewhere;
	return r;
}

/* Workers elsewhere go on and answer the next life. */
static void make_ghosts(struct world *w)
{
	for (size_t i = 0; i < w->n_pending; i++) {
		struct pending *p = &w->pending[i];
		struct task *t = p->task;

		if (p->is_ghost)
			continue;
		snprintf(p->generation, sizeof p->generation, "%s", t->pipeline->digest);
		p->task = copy_of(w, t);
		p->task->pipeline = NULL;
		p->is_copy = p->is_ghost = true;
		task_free(t);
		w->n_ghosts++;
	}
}

static void forget_everything(struct world *w)
{
	if (w->has_elsewhere)
		make_ghosts(w);
	while (w->n_pending > (w->has_elsewhere ? TASKS_MAX / 4 : 0))
		task_free(w->pending[--w->n_pending].task);
	while (w->n_commands)
		command_free(w->commands[--w->n_commands]);
	world_forget_asking(w);
	pipeline_set_fini(&w->set);
	w->set = (struct pipeline_set){0};
}

static void power_off(struct world *w)
{
	fault_vfs_power_off();
	if (w->engine)
		world_forget_offer(w);
	engine_free(steal_ptr(w->engine));
	forget_everything(w);
}

static void power_on(struct world *w)
{
	uint64_t chance = world_random(w);

	if (fault_vfs_power_on(chance) < 0)
		world_fail(w, "the disk's image cannot be written");
	lose_marks(w, chance);
}

void world_die(struct world *w, bool is_power_loss)
{
	struct err e = {0};

	w->n_stops += w->has_elsewhere;
	power_off(w);
	if (is_power_loss)
		power_on(w);
	else
		fault_vfs_resume();
	w->is_dying = w->has_trouble = false;
	world_pass(w, (int64_t)world_below(w, 1000000));
	if (start(w, &e) < 0)
		world_fail(w, "it does not start again: %s", err_text(&e));
}

void world_stop(struct world *w)
{
	struct err e = {0};

	w->n_stops++;
	world_forget_offer(w);
	engine_stop(w->engine);
	engine_free(steal_ptr(w->engine));
	forget_everything(w);
	fault_vfs_plan(&(struct fault_plan){0});
	w->has_trouble = false;
	world_pass(w, (int64_t)world_below(w, 1000000));
	if (start(w, &e) < 0)
		world_fail(w, "it does not start again: %s", err_text(&e));
}

/* A start that the power leaves, then one that it does not. */
static void die_at_start(struct world *w)
{
	struct fault_plan plan = {.ops = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE,
		.nth = 1 + (int)world_below(w, 30),
		.is_power_loss = true};
	struct err e = {0};

	power_off(w);
	power_on(w);
	fault_vfs_plan(&plan);
	start(w, &e);
	world_die(w, true);
}

/* A turn of which nobody hears. Death may have come right behind the commit, before any mark was taken back. */
static void die_behind_commit(struct world *w)
{
	char before[MARKS_BYTES];
	bool is_power_loss;

	read_marks(w->engine->attempts.fd, before);
	world_step(w);
	is_power_loss = one_in(w, 2);
	if (!is_power_loss && w->is_full && one_in(w, 2))
		write_marks(w, before);
	world_die(w, is_power_loss);
}

void world_die_within(struct world *w)
{
	struct fault_plan plan = {.ops = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE,
		.nth = 1 + (int)world_below(w, 12),
		.is_power_loss = true};

	w->n_faults++;
	if (one_in(w, 6)) {
		die_at_start(w);
		return;
	}
	w->is_dying = one_in(w, 2); /* it commits, and nobody hears of it */
	if (w->is_dying) {
		die_behind_commit(w);
		return;
	}
	fault_vfs_plan(&plan);
	world_step(w);
	world_die(w, true);
}

void world_fill_disk(struct world *w, bool is_full)
{
	struct fault_plan plan = {
		.ops = FAULT_WRITE, .nth = is_full, .is_sticky = true, .error = SQLITE_FULL};

	w->n_faults += is_full;
	fault_vfs_plan(&plan);
}

void world_break_disk(struct world *w)
{
	static const unsigned ops[] = {FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_TRUNCATE};
	struct fault_plan plan = {.ops = ops[world_below(w, ARRAY_LEN(ops))],
		.nth = 1 + (int)world_below(w, 8),
		.is_sticky = one_in(w, 2)};

	w->n_faults++;
	w->has_trouble = true;
	fault_vfs_plan(&plan);
}

void world_want_memory(struct world *w)
{
	w->n_faults++;
	w->has_trouble = true; /* what could not be queued waits for the next start */
	if (world_below(w, 2))
		alloc_fault_at(1 + world_below(w, 400));
	else
		alloc_fault_from(1 + world_below(w, 400));
	world_step(w);
	alloc_fault_end();
}

/* --- life --- */

void world_step(struct world *w)
{
	w->n_steps++;
	w->next_turn_ms = engine_step(w->engine);
	world_after_step(w);
}

/* What happens next: a verdict, or a turn that the engine asked for. */
static void pass_until_something(struct world *w)
{
	int64_t next_us = INT64_MAX;

	for (size_t i = 0; i < w->n_pending; i++)
		if (w->pending[i].due_us < next_us)
			next_us = w->pending[i].due_us;
	if (w->next_turn_ms < next_us / 1000)
		next_us = w->next_turn_ms * 1000;
	if (next_us == INT64_MAX)
		world_fail(w, "unfinished orders, and nothing that would go on with them");
	if (next_us > w->mono_us)
		w->mono_us = next_us;
}

static bool is_idle(struct world *w)
{
	struct engine_stats s;

	engine_stats(w->engine, &s);
	return s.in_flight == s.on_hold && !w->n_commands && !w->n_pending;
}

void world_drain(struct world *w)
{
	long end = w->n_steps + 20000;

	fault_vfs_plan(&(struct fault_plan){0});
	if (w->has_trouble)
		world_die(w, false);
	w->is_draining = true;
	world_resume_all(w);
	for (world_step(w); !is_idle(w); world_step(w)) {
		world_resume_all(w);
		if (!w->n_commands)
			pass_until_something(w);
		world_deliver(w, false);
		if (w->n_steps > end)
			world_fail(w, "orders go round and round");
	}
}

void world_init(struct world *w, uint64_t seed, const char *folder, bool is_full)
{
	struct err e = {0};

	*w = (struct world){.seed = seed,
		.random = seed,
		.is_full = is_full,
		.has_elsewhere = is_full && seed / 3 % 4 == 0,
		.mono_us = INT64_C(1000000000),
		.wall_ahead_us = INT64_C(1700000000000000)};
	w->workers = (struct worker_source){subscribe, w, world_is_idle};
	snprintf(w->path, sizeof w->path, "%s/journal.sqlite", folder);
	snprintf(w->attempts_path, sizeof w->attempts_path, "%s/attempts", folder);
	the_world = w;
	memset(synced_marks, 0, sizeof synced_marks);
	clock_set_source(&clocks);
	id_set_random(random_bytes);
	fault_vfs_install();
	if (start(w, &e) < 0)
		world_fail(w, "it does not start: %s", err_text(&e));
}

void world_fini(struct world *w)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[160];

	world_forget_offer(w);
	engine_free(w->engine);
	w->has_elsewhere = false;
	forget_everything(w);
	fault_vfs_remove();
	for (size_t i = 0; i < w->n_placed; i++)
		free(w->placed[i].body);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s%s", w->path, ends[i]);
		remove(name);
	}
	remove(w->attempts_path);
	clock_set_source(NULL);
	id_set_random(NULL);
}
