/* Which process gets which task, and what is due: turns that go on, calls whose time is up, tasks that wait behind a
 * call that takes long. */
#include "stage/children.h"

#include <stdio.h>

#include "base/clock.h"

enum {
	AHEAD_MAX = 32,		 /* tasks in a process */
	AHEAD_US = 1000,	 /* and as many as take this long */
	UNSENT_MAX = 256 * 1024, /* bytes */
	RECALL_MS = 20,
	START_MS = 10000, /* from START to READY */
};

/* --- giving out --- */

static bool may_take(const struct pool *p, const struct child_link *c, int64_t now_us)
{
	if (c->state != CHILD_READY || c->is_leaving || c->is_recalled)
		return false;
	if (!c->pipe.n)
		return true;
	return p->has_answered && !p->is_waking && c->pipe.n < AHEAD_MAX &&
	       (int64_t)c->pipe.n * p->call_us < AHEAD_US && now_us - c->head_since_us < AHEAD_US &&
	       c->process.out.len - c->process.out_at < UNSENT_MAX;
}

static struct child_link *least_busy(struct pool *p, int64_t now_us)
{
	struct child_link *best = NULL;

	for (size_t i = 0; i < p->max_children; i++) {
		struct child_link *c = &p->children[i];

		if (may_take(p, c, now_us) && (!best || c->pipe.n < best->pipe.n))
			best = c;
	}
	return best;
}

void children_give_out(struct pool *p)
{
	int64_t now_us = clock_mono_us();
	struct child_link *c;

	for (c = p->children; c < p->children + p->max_children; c++)
		while (c->mine.n && may_take(p, c, now_us))
			child_link_give(p, c, task_list_take(&c->mine));
	while (p->ready.n && (c = least_busy(p, now_us)))
		child_link_give(p, c, task_list_take(&p->ready));
}

/* --- time --- */

/* A further turn goes to the process of the one before, as long as it is there. */
static struct task_list *line_for(struct pool *p, const struct task *t)
{
	for (size_t i = 0; i < p->max_children; i++) {
		struct child_link *c = &p->children[i];

		if (c->state == CHILD_READY && c->pid == (pid_t)t->home && !c->is_recalled &&
			!c->is_leaving)
			return &c->mine;
	}
	return &p->ready;
}

void children_take_due(struct pool *p, int64_t now_ms)
{
	while (later_next_ms(&p->later) <= now_ms) {
		struct task *t = later_take(&p->later);

		if (later_goes_on(&p->later, t, now_ms)) {
			task_list_add(line_for(p, t), t);
			continue;
		}
		later_time_out(&p->later, t);
		task_list_add(&p->finished, t);
	}
}

static int64_t deadline_of(const struct pool *p, const struct child_link *c)
{
	if (c->kill_ms != INT64_MAX)
		return c->kill_ms;
	if (c->state == CHILD_STARTING)
		return c->started_ms + START_MS;
	return c->state == CHILD_READY && c->pipe.n ? later_deadline_ms(&p->later, c->pipe.first)
						    : INT64_MAX;
}

void children_end_overdue(struct pool *p, int64_t now_ms)
{
	for (size_t i = 0; i < p->max_children; i++) {
		struct child_link *c = &p->children[i];

		if (c->state == CHILD_NONE || deadline_of(p, c) > now_ms)
			continue;
		if (c->state == CHILD_STARTING && !c->last_words[0])
			snprintf(c->last_words, sizeof c->last_words,
				"it was not ready within %d ms", START_MS);
		if (c->kill_ms == INT64_MAX)
			c->is_timed_out = c->state == CHILD_READY;
		child_link_end(c, c->kill_ms == INT64_MAX);
	}
}

/* Its call takes longer than expected: nobody shall wait behind it who could be elsewhere. */
static int64_t recall_ms(const struct pool *p, const struct child_link *c)
{
	return c->state == CHILD_READY && c->pipe.n > 1 && p->max_children > 1 && !c->is_recalled
		       ? c->head_since_us / 1000 + RECALL_MS
		       : INT64_MAX;
}

void children_recall_slow(struct pool *p, int64_t now_ms)
{
	for (size_t i = 0; i < p->max_children; i++)
		if (recall_ms(p, &p->children[i]) <= now_ms)
			child_link_recall(p, &p->children[i]);
}

int64_t children_next_ms(const struct pool *p)
{
	int64_t next = later_next_ms(&p->later);

	if (p->max_children - children_count(p, CHILD_NONE) < p->n_wanted &&
		!children_count(p, CHILD_STARTING) && p->next_start_ms < next)
		next = p->next_start_ms;
	for (size_t i = 0; i < p->max_children; i++) {
		int64_t at = deadline_of(p, &p->children[i]);
		int64_t recall = recall_ms(p, &p->children[i]);

		at = recall < at ? recall : at;
		if (p->children[i].state != CHILD_NONE && at < next)
			next = at;
	}
	return next;
}
