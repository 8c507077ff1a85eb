/* The in-memory bus: counts what is out per stage, so that the rest waits in the journal, and hands
 * tasks straight to the stage's workers and verdicts straight back. */
#include "bus/bus.h"

#include <stdatomic.h>

struct channel {
	struct channel *next;
	_Atomic(const struct pipeline *) pipeline; /* NULL: free to be used again */
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

	while (c && (atomic_load_explicit(&c->pipeline, memory_order_acquire) != p ||
			    c->stage != stage))
		c = c->next;
	return c;
}

/* Channels are never freed, since any thread may be walking past one. */
static struct channel *channel_free(struct bus *b)
{
	struct channel *c = atomic_load(&b->channels);

	while (c && atomic_load(&c->pipeline))
		c = c->next;
	return c;
}

int bus_subscribe(struct bus *b, const struct pipeline *p, size_t stage, size_t max_out,
	void (*on_tasks)(void *arg, struct task *first), void *arg)
{
	struct channel *used = channel_free(b), *c = used ? used : calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->stage = stage;
	c->max_out = max_out;
	c->on_tasks = on_tasks;
	c->arg = arg;
	atomic_store(&c->n_out, 0);
	atomic_store_explicit(&c->pipeline, p, memory_order_release);
	if (used)
		return 0;
	c->next = atomic_load(&b->channels);
	atomic_store_explicit(&b->channels, c, memory_order_release);
	return 0;
}

void bus_unsubscribe(struct bus *b, const struct pipeline *p)
{
	for (struct channel *c = atomic_load(&b->channels); c; c = c->next)
		if (atomic_load(&c->pipeline) == p)
			atomic_store(&c->pipeline, NULL);
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
