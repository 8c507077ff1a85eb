/* Deterministic simulation: the real engine in a played world, many short runs, each from one seed.
 *
 *   simulate FIRST N [VERBOSE]     runs seeds FIRST to FIRST+N-1
 *   simulate FIRST N --disk        the same with one fault alone: one operation of the disk fails
 *   simulate FIRST N --alone       without people and reloads and with memory enough, as once
 *
 * Prints what happened in sum; the first broken promise ends it with its seed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "fault_vfs.h"
#include "world.h"

static volatile unsigned long long current_seed;

static void on_death(int number)
{
	char text[64];
	int n = snprintf(text, sizeof text, "SEED=%llu died by signal %d\n", current_seed, number);

	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(2);
	signal(number, SIG_DFL);
	raise(number);
}

static void let_time_pass(struct world *w)
{
	world_pass(w, (int64_t)world_below(w, 100000));
}

static void sleep_long(struct world *w)
{
	world_pass(w, (int64_t)world_below(w, 5000000));
}

static void jump_wall_clock(struct world *w)
{
	static const int64_t hours[] = {1, -1, 24, -24, -24 * 3650};

	w->wall_ahead_us += hours[world_below(w, ARRAY_LEN(hours))] * INT64_C(3600000000);
}

static void deliver_due(struct world *w)
{
	world_deliver(w, false);
}

static void deliver_early(struct world *w)
{
	world_deliver(w, true);
}

static void be_killed(struct world *w)
{
	w->n_faults++;
	world_die(w, false);
}

static void lose_power(struct world *w)
{
	w->n_faults++;
	world_die(w, true);
}

static void cancel_and_die(struct world *w)
{
	w->n_faults++;
	world_cancel_begun(w);
	world_step(w);
	switch (world_below(w, 3)) {
	case 0:
		world_stop(w);
		return;
	case 1:
		world_die(w, true);
		return;
	default:
		world_die(w, false);
	}
}

static void fill_disk(struct world *w)
{
	world_fill_disk(w, true);
}

static void free_disk(struct world *w)
{
	world_fill_disk(w, false);
}

static const struct {
	unsigned weight;
	void (*act)(struct world *);
} actions[] = {
	{60, world_place},
	{80, world_step},
	{60, deliver_due},
	{60, deliver_early},
	{60, let_time_pass},
	{6, sleep_long},
	{2, jump_wall_clock},
	{3, be_killed},
	{2, lose_power},
	{6, world_die_within},
	{3, fill_disk},
	{6, free_disk},
	{2, world_break_disk},
	{25, world_ask},
	{2, world_want_memory},
	{10, world_reload},
	{25, world_migrate},
	{10, world_erase},
	{3, world_stop},
	{5, world_waste_turn},
	{2, cancel_and_die},
};

/* In a quarter of the seeds workers are elsewhere, and their verdicts outlive the process.
 *
 * Seeds that were found before there were people are kept without them and what came after. */
static size_t n_actions = ARRAY_LEN(actions);

static void act(struct world *w)
{
	uint64_t total = 0, at;
	size_t i = 0;

	for (size_t k = 0; k < n_actions; k++)
		total += actions[k].weight;
	for (at = world_below(w, total); at >= actions[i].weight; i++)
		at -= actions[i].weight;
	actions[i].act(w);
	if (w->has_trouble && world_below(w, 10) == 0)
		world_die(w, world_below(w, 2));
}

struct sum {
	long long orders, steps, lives, faults, events, asked, granted, reloads, moved, erased,
		ghosts;
};

static void add_to(struct sum *sum, struct world *w)
{
	struct engine_stats stats;

	engine_stats(w->engine, &stats);
	sum->orders += (long long)stats.accepted;
	sum->events += (long long)stats.last_seq;
	sum->steps += w->n_steps;
	sum->lives += w->n_lives;
	sum->faults += w->n_faults;
	sum->ghosts += w->n_ghosts;
	sum->asked += (long long)w->n_asked;
	for (size_t i = 0; i < w->n_asked; i++)
		sum->granted += w->asked[i].is_yes;
	for (size_t i = 0; i < w->n_asked; i++)
		sum->moved += w->asked[i].is_yes && w->asked[i].kind == COMMAND_MIGRATE;
	for (size_t i = 0; i < w->n_asked; i++)
		sum->erased += w->asked[i].is_yes && w->asked[i].kind == COMMAND_ERASE;
	sum->reloads += w->n_reloads;
}

static void run(uint64_t seed, const char *folder, struct sum *sum)
{
	struct world w;

	current_seed = seed;
	world_init(&w, seed, folder, n_actions == ARRAY_LEN(actions));
	for (uint64_t n = 30 + world_below(&w, 120); n; n--)
		act(&w);
	world_drain(&w);
	world_check(&w);
	add_to(sum, &w);
	world_fini(&w);
}

/* Work without anything going wrong but the disk. */
static void work_on(struct world *w, int n)
{
	static void (*const acts[])(struct world *) = {
		world_place, world_step, deliver_early, let_time_pass};

	while (n--)
		acts[world_below(w, ARRAY_LEN(acts))](w);
}

/* One operation fails, once or from then on; afterwards the process is killed and starts on a sound disk. */
static void run_disk(uint64_t seed, const char *folder, struct sum *sum)
{
	static const unsigned ops[] = {FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_TRUNCATE};
	struct fault_plan plan = {.ops = ops[seed % ARRAY_LEN(ops)], .is_sticky = seed / 4 % 2};
	struct world w;

	current_seed = seed;
	world_init(&w, seed, folder, false);
	work_on(&w, 20);
	plan.nth = 1 + (int)world_below(&w, plan.ops == FAULT_WRITE ? 40 : 8);
	fault_vfs_plan(&plan);
	work_on(&w, 60);
	w.n_faults = fault_vfs_hits() > 0;
	world_die(&w, world_below(&w, 2));
	world_drain(&w);
	world_check(&w);
	add_to(sum, &w);
	world_fini(&w);
}

int main(int argc, char **argv)
{
	char folder[] = "/dev/shm/stageline-simulate-XXXXXX";
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
	bool is_disk = argc > 3 && strcmp(argv[3], "--disk") == 0;
	bool is_alone = argc > 3 && strcmp(argv[3], "--alone") == 0;
	struct sum sum = {0};

	signal(SIGABRT, on_death);
	signal(SIGSEGV, on_death);
	n_actions -= is_alone ? 8 : 0;
	log_set_level(argc > 3 && !is_disk && !is_alone ? LOG_DEBUG : LOG_ERROR - 1);
	if (!mkdtemp(folder))
		return 2;
	for (uint64_t seed = first; seed < first + n; seed++)
		(is_disk ? run_disk : run)(seed, folder, &sum);
	rmdir(folder);
	printf("%llu seeds from %llu: %lld orders, %lld events, %lld turns, %lld lives of the "
	       "process, %lld faults, %lld commands of people, %lld granted, %lld reloads, %lld "
	       "moves, %lld erasures, %lld verdicts of earlier lives\n",
		(unsigned long long)n, (unsigned long long)first, sum.orders, sum.events, sum.steps,
		sum.lives, sum.faults, sum.asked, sum.granted, sum.reloads, sum.moved, sum.erased,
		sum.ghosts);
	return 0;
}
