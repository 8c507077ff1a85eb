/* The in-memory bus: counts what is out per stage, so that the rest waits in the journal, and hands
 * tasks straight to the stage's workers and verdicts straight back. */
#include "bus/bus.h"

#include <stdatomic.h>

struct channel {
	struct channel *next;
	const struct pipeline *pipeline;
	size_t stage, max_out;
	atomic_size_t n_out;
	void (*on_tasks)(void *arg, struct task *first);
	void *arg;
};

struct bus {
	void (*on_verdicts)(void *arg, struct task *first);
	void *arg;
	_Atomic(struct channel *) channels; /* grows only */
};

int bus_create(void (*on_verdicts)(void *arg, struct task *first), void *arg, struct bus **ret)
{
	struct bus *b = calloc(1, sizeof *b);

	if (!b)
		return -ENOMEM;
	b->on_verdicts = on_verdicts;
	b->arg = arg;
	*ret = b;
	return 0;
}

void bus_destroy(struct bus *b)
{
	struct channel *c = b ? atomic_load(&b->channels) : NULL;

	while (c) {
		struct channel *next = c->next;

		free(c);
		c = next;
	}
	free(b);
}

static struct channel *channel_find(struct bus *b, const struct pipeline *p, size_t stage)
{
	struct channel *c = atomic_load_explicit(&b->channels, memory_order_acquire);

	while (c && (c->pipeline != p || c->stage != stage))
		c = c->next;
	return c;
}

int bus_subscribe(struct bus *b, const struct pipeline *p, size_t stage, size_t max_out,
	void (*on_tasks)(void *arg, struct task *first), void *arg)
{
	struct channel *c = calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	*c = (struct channel){.next = atomic_load(&b->channels),
		.pipeline = p,
		.stage = stage,
		.max_out = max_out,
		.on_tasks = on_tasks,
		.arg = arg};
	atomic_store_explicit(&b->channels, c, memory_order_release);
	return 0;
}

size_t bus_room(struct bus *b, const struct pipeline *p, size_t stage)
{
	struct channel *c = channel_find(b, p, stage);
	size_t n = c ? atomic_load_explicit(&c->n_out, memory_order_relaxed) : 0;

	return c && n < c->max_out ? c->max_out - n : 0;
}

void bus_publish(struct bus *b, struct task *first)
{
	struct channel *c = channel_find(b, first->pipeline, first->stage);
	size_t n = 0;

	for (struct queue_node *q = &first->node; q; q = q->next)
		n++;
	atomic_fetch_add_explicit(&c->n_out, n, memory_order_relaxed);
	c->on_tasks(c->arg, first);
}

void bus_answer(struct bus *b, struct task *first)
{
	struct channel *c = channel_find(b, first->pipeline, first->stage);
	size_t n = 0;

	for (struct queue_node *q = &first->node; q; q = q->next)
		n++;
	atomic_fetch_sub_explicit(&c->n_out, n, memory_order_relaxed);
	b->on_verdicts(b->arg, first);
}
