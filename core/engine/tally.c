/* Tallies of stages: found by name, counted up. */
#include "engine/tally.h"

#include "base/mem.h"

struct tally *tally_get(struct tally **list, const char *name)
{
	struct tally *t = *list;

	while (t && strcmp(t->name, name) != 0)
		t = t->next;
	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->name = str_dup(str_of(name));
	if (!t->name) {
		free(t);
		return NULL;
	}
	t->next = *list;
	*list = t;
	return t;
}

void tally_verdict(struct tally *t, const struct task *task)
{
	atomic_fetch_add_explicit(&t->verdicts[task->undo][task->verdict], 1, memory_order_relaxed);
	histogram_add(&t->run_us, task->duration_us);
}

void tally_outcome(struct tally *t, enum event_kind kind)
{
	atomic_llong *const counters[EVENT_KINDS] = {
		[EVENT_STAGE_DONE] = &t->n_done,
		[EVENT_STAGE_FAILED] = &t->n_failed,
		[EVENT_STAGE_RETRYING] = &t->n_retried,
		[EVENT_ATTEMPT_LOST] = &t->n_retried,
		[EVENT_STAGE_HELD] = &t->n_held,
		[EVENT_STAGE_UNDONE] = &t->n_undone,
	};

	if (counters[kind])
		atomic_fetch_add_explicit(counters[kind], 1, memory_order_relaxed);
}

void tally_free_all(struct tally **list)
{
	while (*list) {
		struct tally *t = *list;

		*list = t->next;
		free(t->name);
		free(t);
	}
}
