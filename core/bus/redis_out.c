/* The table of what is out: tasks that Redis has, or will have, and that no verdict came for. */
#include "bus/redis_room.h"

static struct out **slot_of(struct redis_bus *b, int64_t order_seq)
{
	uint64_t h = (uint64_t)order_seq * UINT64_C(0x9e3779b97f4a7c15);

	return &b->outs[(h >> 32) & (b->n_buckets - 1)];
}

static void wait_in_line(struct out *o)
{
	struct channel *ch = o->channel;

	o->place = OUT_WAITING;
	o->next = NULL;
	*ch->waiting_last = o;
	ch->waiting_last = &o->next;
}

int outs_add(struct redis_bus *b, struct channel *ch, struct task *t)
{
	struct out *o = calloc(1, sizeof *o), **slot = slot_of(b, t->order_seq);

	if (!o)
		return -ENOMEM;
	o->task = t;
	o->channel = ch;
	o->hash_next = *slot;
	*slot = o;
	b->n_outs++;
	atomic_fetch_add(&ch->n_out, 1);
	wait_in_line(o);
	return 0;
}

static bool is_of(const struct out *o, const struct channel *ch, const struct attempt *a)
{
	struct attempt own = attempt_of(o->task);

	return o->channel == ch && attempt_eq(&own, a);
}

static struct out **find(struct redis_bus *b, const struct channel *ch, const struct attempt *a)
{
	struct out **slot = slot_of(b, a->order_seq);

	while (*slot && !is_of(*slot, ch, a))
		slot = &(*slot)->hash_next;
	return slot;
}

struct task *outs_find(struct redis_bus *b, const struct channel *ch, const struct attempt *a)
{
	struct out *o = *find(b, ch, a);

	return o ? o->task : NULL;
}

static void leave_line(struct out *o)
{
	struct out **slot = &o->channel->waiting;

	while (*slot != o)
		slot = &(*slot)->next;
	*slot = o->next;
	if (!*slot)
		o->channel->waiting_last = slot;
}

/* Takes it out of its slot in the table. */
static struct task *take(struct redis_bus *b, struct out **slot)
{
	struct out *o = *slot;
	struct task *t = o->task;

	*slot = o->hash_next;
	b->n_outs--;
	atomic_fetch_sub(&o->channel->n_out, 1);
	if (o->place == OUT_SENDING) {
		o->is_gone = true;
		return t;
	}
	if (o->place == OUT_WAITING)
		leave_line(o);
	free(o);
	return t;
}

struct task *outs_take(struct redis_bus *b, const struct channel *ch, const struct attempt *a)
{
	struct out **slot = find(b, ch, a);

	return *slot ? take(b, slot) : NULL;
}

static bool was_sent(const struct out *o, int64_t before_ms)
{
	return o->place == OUT_SENT && !o->task->is_only_awaited && o->sent_ms <= before_ms;
}

void outs_send_again(struct redis_bus *b, const struct channel *ch, int64_t before_ms)
{
	for (size_t i = 0; i < b->n_buckets; i++)
		for (struct out *o = b->outs[i]; o; o = o->hash_next)
			if (was_sent(o, before_ms) &&
				(!ch || (o->channel == ch &&
						!redis_was_found(o->channel, o->task))))
				wait_in_line(o);
}

bool outs_has_older(struct redis_bus *b, const struct channel *ch, int64_t before_ms)
{
	for (size_t i = 0; i < b->n_buckets; i++)
		for (struct out *o = b->outs[i]; o; o = o->hash_next)
			if (o->channel == ch && was_sent(o, before_ms))
				return true;
	return false;
}

static bool is_awaited_since(const struct out *o, const struct channel *ch, int64_t before_ms)
{
	return o->channel == ch && o->task->is_only_awaited && o->place == OUT_SENT &&
	       o->sent_ms <= before_ms;
}

bool outs_has_awaited(struct redis_bus *b, const struct channel *ch, int64_t before_ms)
{
	for (size_t i = 0; i < b->n_buckets; i++)
		for (struct out *o = b->outs[i]; o; o = o->hash_next)
			if (is_awaited_since(o, ch, before_ms))
				return true;
	return false;
}

struct task *outs_take_lost(struct redis_bus *b, const struct channel *ch, int64_t before_ms)
{
	struct queue_node *first = NULL;

	for (size_t i = 0; i < b->n_buckets; i++) {
		struct out **slot = &b->outs[i];

		while (*slot) {
			struct out *o = *slot;
			struct task *t;

			if (is_awaited_since(o, ch, before_ms) && !redis_was_found(ch, o->task)) {
				t = take(b, slot);
				t->node.next = first;
				first = &t->node;
				continue;
			}
			if (is_awaited_since(o, ch, before_ms))
				o->sent_ms = clock_mono_ms();
			slot = &o->hash_next;
		}
	}
	return (struct task *)first;
}

size_t outs_begin(struct channel *ch, struct out **ret, size_t max)
{
	size_t n = 0;

	while (ch->waiting && n < max) {
		struct out *o = ch->waiting;

		ch->waiting = o->next;
		o->place = OUT_SENDING;
		ret[n++] = o;
	}
	if (!ch->waiting)
		ch->waiting_last = &ch->waiting;
	return n;
}

void outs_end(struct out *o, bool has_arrived)
{
	if (o->is_gone) {
		free(o);
	} else if (has_arrived) {
		o->place = OUT_SENT;
		o->sent_ms = clock_mono_ms();
	} else {
		wait_in_line(o);
	}
}

struct task *outs_clear(struct redis_bus *b, const struct channel *ch)
{
	struct queue_node *first = NULL;

	for (size_t i = 0; i < b->n_buckets; i++) {
		struct out **slot = &b->outs[i];

		while (*slot) {
			struct task *t;

			if (ch && (*slot)->channel != ch) {
				slot = &(*slot)->hash_next;
				continue;
			}
			t = take(b, slot);
			t->node.next = first;
			first = &t->node;
		}
	}
	return (struct task *)first;
}
