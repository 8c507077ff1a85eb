/* Confined stages: they cannot act out of their processes, and live on the clock of another day. */
#include "stage/confine.h"

#include <time.h>

#include "base/clock.h"
#include "base/mem.h"

/* The clocks of the process; it works on one task. */
static int64_t skipped_us, wall_ahead_us;

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t mono_us(void)
{
	return read_us(CLOCK_MONOTONIC) + skipped_us;
}

static int64_t wall_us(void)
{
	return read_us(CLOCK_MONOTONIC) + skipped_us + wall_ahead_us;
}

static const struct clock_source clocks = {wall_us, mono_us};

static void set_clocks(int64_t as_of_us)
{
	skipped_us = 0;
	wall_ahead_us = as_of_us - read_us(CLOCK_MONOTONIC);
	clock_set_source(&clocks);
}

void stage_confine(struct stage_spec *spec)
{
	static const char *const everything[] = {"/"};

	if (spec->isolation ==
		ISOLATION_THREAD) /* a thread of the daemon may read what the daemon may */
		spec->sandbox.read = (struct sl_list){ARRAY_LEN(everything), everything};
	spec->is_confined = true;
	spec->isolation = ISOLATION_PROCESS;
	spec->sandbox.is_off = false;
	spec->sandbox.network = false;
	spec->sandbox.programs = false;
	spec->sandbox.write = (struct sl_list){0};
}

static void end_late(struct task *t)
{
	task_clear_verdict(t);
	t->verdict = VERDICT_RETRY;
	t->message = "the stage's timeout passed while it answered SL_LATER";
}

void confined_run(struct instance *in, struct task *t)
{
	int64_t timeout_us = instance_spec(in)->timeout_ms * 1000, start_us, left_us;

	set_clocks(t->as_of_us);
	t->started_us = start_us = clock_mono_us();
	for (;;) {
		instance_run(in, t);
		if (t->verdict != VERDICT_LATER)
			return;
		left_us = t->due_ms * 1000 - clock_mono_us();
		skipped_us += left_us > 1000 ? left_us : 1000;
		if (clock_mono_us() - start_us < timeout_us)
			continue;
		end_late(t);
		return;
	}
}
