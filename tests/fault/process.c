/* The process of the played world: how it starts, and the faults and deaths that it meets. */
#include <sqlite3.h>
#include <stdio.h>

#include "alloc_fault.h"
#include "base/mem.h"
#include "fault_vfs.h"
#include "world.h"

int world_start(struct world *w, struct err *e)
{
	struct engine_options options = {.journal_path = w->path,
		.attempts_path = w->attempts_path,
		.orders_in_memory = w->seed % 3 ? 3 : 1000,
		.workers = &w->workers,
		.on_answers = world_on_answers,
		.on_commit = world_on_commit,
		.arg = w};
	int r;

	world_forget_due_times(w);
	w->last_seen_seq = 0;
	w->next_turn_ms = 0;
	w->n_lives++;
	r = engine_start(&options, &w->set, world_read_file(w), &w->engine, e);
	return r;
}

void world_forget_everything(struct world *w)
{
	if (w->has_elsewhere)
		world_make_ghosts(w);
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
	world_forget_everything(w);
}

static void power_on(struct world *w)
{
	uint64_t chance = world_random(w);

	if (fault_vfs_power_on(chance) < 0)
		world_fail(w, "the disk's image cannot be written");
	world_lose_marks(w, chance);
}

/* A service manager starts it again at once, or waits. */
static void be_away(struct world *w)
{
	bool is_short = w->is_full && world_one_in(w, 2);

	world_pass(w, (int64_t)world_below(w, is_short ? 20000 : 1000000));
}

void world_die(struct world *w, bool is_power_loss)
{
	int64_t seq = w->engine ? journal_last_seq(w->engine->journal) : 0;
	struct err e = {0};

	w->n_stops += w->has_elsewhere;
	power_off(w);
	if (is_power_loss)
		power_on(w);
	else
		fault_vfs_resume();
	w->is_dying = w->has_trouble = false;
	be_away(w);
	if (world_start(w, &e) < 0)
		world_fail(w, "it does not start again: %s", err_text(&e));
	if (!is_power_loss)
		world_check_charges(w, seq);
}

void world_stop(struct world *w)
{
	struct err e = {0};
	int64_t seq;

	w->n_stops++;
	world_forget_offer(w);
	engine_stop(w->engine);
	seq = journal_last_seq(w->engine->journal);
	engine_free(steal_ptr(w->engine));
	world_forget_everything(w);
	fault_vfs_plan(&(struct fault_plan){0});
	w->has_trouble = false;
	be_away(w);
	if (world_start(w, &e) < 0)
		world_fail(w, "it does not start again: %s", err_text(&e));
	world_check_charges(w, seq);
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
	world_start(w, &e);
	world_die(w, true);
}

/* A turn of which nobody hears. Death may have come right behind the commit, before any mark was taken back. */
static void die_behind_commit(struct world *w)
{
	char before[MARKS_BYTES];
	bool is_power_loss;

	world_read_marks(w, before);
	world_step(w);
	is_power_loss = world_one_in(w, 2);
	if (!is_power_loss && w->is_full && world_one_in(w, 2))
		world_write_marks(w, before);
	world_die(w, is_power_loss);
}

void world_die_within(struct world *w)
{
	struct fault_plan plan = {.ops = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE,
		.nth = 1 + (int)world_below(w, 12),
		.is_power_loss = true};

	w->n_faults++;
	if (world_one_in(w, 6)) {
		die_at_start(w);
		return;
	}
	w->is_dying = world_one_in(w, 2); /* it commits, and nobody hears of it */
	if (w->is_dying) {
		die_behind_commit(w);
		return;
	}
	fault_vfs_plan(&plan);
	world_step(w);
	world_die(w, true);
}

void world_waste_turn(struct world *w)
{
	world_ask(w);
	world_migrate(w);
	world_fill_disk(w, true);
	world_step(w);
	world_fill_disk(w, false);
	world_pass(w, 500000); /* until the engine tries again */
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
		.is_sticky = world_one_in(w, 2)};

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
