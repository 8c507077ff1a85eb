/* The played world: its chance, its clocks, and its course until nothing is left to do. */
#include "world.h"

#include <stdio.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "base/mem.h"
#include "fault_vfs.h"

#define DRAIN_US                                                                                   \
	INT64_C(1800000000) /* half an hour: all waits are of seconds, jumps of the clock of hours */

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

bool world_one_in(struct world *w, uint64_t n)
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
	world_work(w);
}

/* --- life --- */

/* In this turn a batch was rolled back. */
static void after_trouble(struct world *w)
{
	alloc_fault_end(); /* the world has memory */
	world_check_memory(w);
}

void world_step(struct world *w)
{
	int64_t before_ms = w->engine->try_again_ms;

	w->n_steps++;
	w->next_turn_ms = engine_step(w->engine);
	world_begin_tasks(w);
	if (w->is_full && w->engine->try_again_ms && w->engine->try_again_ms != before_ms)
		after_trouble(w);
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
		world_pass(w, next_us - w->mono_us);
}

/* Verdicts that came, and after a full disk wait for it, though they may be late ones that nobody needs. */
static bool has_verdicts(const struct engine *en)
{
	return en->backlog.verdicts || en->verdicts.first;
}

static bool is_idle(struct world *w)
{
	struct engine_stats s;

	engine_stats(w->engine, &s);
	return s.in_flight == s.on_hold && !w->n_commands && !w->n_pending &&
	       !has_verdicts(w->engine);
}

void world_drain(struct world *w)
{
	long end = w->n_steps + 20000;
	int64_t end_us = w->mono_us + DRAIN_US;

	fault_vfs_plan(&(struct fault_plan){0});
	world_check_memory(w);
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
		if (w->mono_us > end_us)
			world_fail(w, "something waits far beyond its time");
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
	w->workers = (struct worker_source){.subscribe = world_subscribe,
		.arg = w,
		.is_outliving = w->has_elsewhere,
		.is_idle = world_is_idle};
	snprintf(w->path, sizeof w->path, "%s/journal.sqlite", folder);
	snprintf(w->attempts_path, sizeof w->attempts_path, "%s/attempts", folder);
	the_world = w;
	world_format_marks();
	clock_set_source(&clocks);
	id_set_random(random_bytes);
	fault_vfs_install();
	if (world_start(w, &e) < 0)
		world_fail(w, "it does not start: %s", err_text(&e));
}

void world_fini(struct world *w)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char name[160];

	world_forget_offer(w);
	engine_free(w->engine);
	w->has_elsewhere = false;
	world_forget_everything(w);
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
