/* The in-memory bus: counts what is out per stage, so that the rest waits in the journal, and hands
 * tasks straight to the stage's workers and verdicts straight back. */
#include "bus/bus.h"

#include <stdatomic.h>

#include "base/mem.h"

struct channel {
	struct channel *next;
	_Atomic(const struct pipeline *) pipeline; /* NULL: free to be used again */
	size_t stage, max_out;
	atomic_size_t n_out;
	struct bus_workers workers;
};

struct memory_bus {
	struct bus bus;
	void (*on_verdicts)(void *arg, struct task *first);
	void *arg;
	_Atomic(struct channel *) channels; /* grows only */
};

static struct channel *channel_find(struct memory_bus *b, const struct pipeline *p, size_t stage)
{
	struct channel *c = atomic_load_explicit(&b->channels, memory_order_acquire);

	while (c && (atomic_load_explicit(&c->pipeline, memory_order_acquire) != p ||
			    c->stage != stage))
		c = c->next;
	return c;
}

/* Channels are never freed, since any thread may be walking past one. */
static struct channel *channel_free(struct memory_bus *b)
{
	struct channel *c = atomic_load(&b->channels);

	while (c && atomic_load(&c->pipeline))
		c = c->next;
	return c;
}

static struct memory_bus *memory_of(struct bus *b)
{
	return CONTAINER_OF(b, struct memory_bus, bus);
}

static int memory_subscribe(struct bus *bus, const struct pipeline *p, size_t stage, size_t max_out,
	const struct bus_workers *workers)
{
	struct memory_bus *b = memory_of(bus);
	struct channel *used = channel_free(b), *c = used ? used : calloc(1, sizeof *c);

	if (!c)
		return -ENOMEM;
	c->stage = stage;
	c->max_out = max_out;
	c->workers = *workers;
	atomic_store(&c->n_out, 0);
	atomic_store_explicit(&c->pipeline, p, memory_order_release);
	if (used)
		return 0;
	c->next = atomic_load(&b->channels);
	atomic_store_explicit(&b->channels, c, memory_order_release);
	return 0;
}

static void memory_unsubscribe(struct bus *bus, const struct pipeline *p)
{
	for (struct channel *c = atomic_load(&memory_of(bus)->channels); c; c = c->next)
		if (atomic_load(&c->pipeline) == p)
			atomic_store(&c->pipeline, NULL);
}

static size_t memory_room(struct bus *bus, const struct pipeline *p, size_t stage)
{
	struct channel *c = channel_find(memory_of(bus), p, stage);
	size_t n = c ? atomic_load_explicit(&c->n_out, memory_order_relaxed) : 0;

	/* Asked after that: a lost call that comes back in between is counted, never left out twice. */
	if (c && n >= c->max_out && c->workers.n_lost)
		n -= c->workers.n_lost(c->workers.arg);
	return c && n < c->max_out ? c->max_out - n : 0;
}

static size_t count(const struct task *first)
{
	size_t n = 0;

	for (const struct queue_node *q = &first->node; q; q = q->next)
		n++;
	return n;
}

static void memory_publish(struct bus *bus, struct task *first)
{
	struct channel *c = channel_find(memory_of(bus), first->pipeline, first->stage);

	atomic_fetch_add_explicit(&c->n_out, count(first), memory_order_relaxed);
	c->workers.on_tasks(c->workers.arg, first);
}

static void memory_answer(struct bus *bus, struct task *first)
{
	struct memory_bus *b = memory_of(bus);
	struct channel *c = channel_find(b, first->pipeline, first->stage);

	atomic_fetch_sub_explicit(&c->n_out, count(first), memory_order_relaxed);
	b->on_verdicts(b->arg, first);
}

static int64_t memory_ask(struct bus *bus, const struct task *t, int64_t now_ms)
{
	struct channel *c = channel_find(memory_of(bus), t->pipeline, t->stage);
	struct task *given_up = NULL;
	int64_t again_ms;

	if (!c || !c->workers.ask)
		return 0;
	again_ms = c->workers.ask(c->workers.arg, t, now_ms, &given_up);
	if (given_up)
		memory_answer(bus, given_up);
	return again_ms;
}

static void memory_state(struct bus *bus, struct bus_state *ret)
{
	(void)bus;
	*ret = (struct bus_state){.kind = "memory", .is_connected = true};
}

static int memory_n_workers(struct bus *bus, const struct pipeline *p, size_t stage)
{
	return channel_find(memory_of(bus), p, stage) != NULL;
}

static void memory_destroy(struct bus *bus)
{
	struct memory_bus *b = memory_of(bus);
	struct channel *c = atomic_load(&b->channels);

	while (c) {
		struct channel *next = c->next;

		free(c);
		c = next;
	}
	free(b);
}

static const struct bus_ops memory_ops = {
	.destroy = memory_destroy,
	.subscribe = memory_subscribe,
	.unsubscribe = memory_unsubscribe,
	.room = memory_room,
	.publish = memory_publish,
	.answer = memory_answer,
	.ask = memory_ask,
	.state = memory_state,
	.n_workers = memory_n_workers,
};

int bus_create_memory(
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct bus **ret)
{
	struct memory_bus *b = calloc(1, sizeof *b);

	if (!b)
		return -ENOMEM;
	b->bus.ops = &memory_ops;
	b->on_verdicts = on_verdicts;
	b->arg = arg;
	*ret = &b->bus;
	return 0;
}
