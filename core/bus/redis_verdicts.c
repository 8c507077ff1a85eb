/* The reader: the thread with the coordinator's connection for blocking reads. Verdicts go to the engine; their
 * entries are deleted when they are on disk, and read again at the next start when they are not. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_room.h"

enum { BLOCK_MS = 250, EARLY_BLOCK_MS = 20, REFUSED_MS = 500 };

struct carrier *carrier_new(
	struct redis_bus *b, struct channel *ch, const char *entry, size_t n_left)
{
	struct carrier *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->channel = ch;
	c->n_left = n_left;
	snprintf(c->entry, sizeof c->entry, "%s", entry);
	c->next = b->carriers;
	c->slot = &b->carriers;
	if (c->next)
		c->next->slot = &c->next;
	b->carriers = c;
	return c;
}

/* --- one verdict --- */

struct named {
	uint32_t stage;
	struct attempt attempt;
	int64_t duration_us;
};

static int unpack_name(struct unpack *r, struct named *ret)
{
	struct attempt *a = &ret->attempt;
	const char *id;
	uint32_t undo;

	ret->stage = unpack_u32(r);
	a->order_seq = (int64_t)unpack_u64(r);
	id = unpack_bytes(r, sizeof a->order_id.bytes);
	a->number = unpack_u32(r);
	undo = unpack_u32(r);
	ret->duration_us = (int64_t)unpack_u64(r);
	if (r->failed || undo > 1)
		return -EPROTO;
	memcpy(a->order_id.bytes, id, sizeof a->order_id.bytes);
	a->undo = undo;
	return 0;
}

/* The task that is out; else one of an earlier life or a repeated one, which the engine judges. */
static struct task *task_of(struct redis_bus *b, struct channel *ch, const struct attempt *a)
{
	struct task *t;

	pthread_mutex_lock(&b->lock);
	t = outs_take(b, ch, a);
	pthread_mutex_unlock(&b->lock);
	return t ? t : attempt_task(a, ch);
}

/* Without a verdict that can be taken it is another attempt's turn: nothing waits for ever. */
static struct task *read_verdict(struct redis_bus *b, struct str digest, struct unpack *r)
{
	struct task_answer answer;
	struct channel *ch;
	struct named n;
	struct task *t;

	if (unpack_name(r, &n) < 0 || task_answer_unpack(r, &answer) < 0) {
		r->failed = true;
		redis_link_refused(
			&b->verdicts, "verdicts", "a verdict is not packed as one, and is dropped");
		return NULL;
	}
	pthread_mutex_lock(&b->lock);
	ch = redis_channel_of(b, digest, n.stage);
	pthread_mutex_unlock(&b->lock);
	if (!ch)
		return NULL; /* of a generation whose orders have ended */
	t = task_of(b, ch, &n.attempt);
	if (!t) {
		redis_put_nothing(&b->verdicts); /* all is read again over the next connection */
		return NULL;
	}
	t->duration_us = n.duration_us >= -1 ? n.duration_us : -1;
	if (task_answer_take(t, &answer) < 0) {
		redis_link_refused(&b->verdicts, "verdicts",
			"a verdict is out of bounds, and is taken for a retry");
		t->verdict = VERDICT_RETRY;
		t->message = task_keep(t, STR("the worker's answer made no sense"));
	}
	return t;
}

/* --- entries --- */

static void hand_over(struct redis_bus *b, struct task *first, size_t n, const char *entry)
{
	struct carrier *c;

	pthread_mutex_lock(&b->lock);
	/* Without one it stays in Redis. */
	c = b->verdicts.out.failed ? NULL : carrier_new(b, NULL, entry, n);
	if (c && !n) {
		*c->slot = c->next;
		if (c->next)
			c->next->slot = c->slot;
		c->next = b->settled;
		b->settled = c;
	}
	pthread_mutex_unlock(&b->lock);
	for (struct queue_node *q = first ? &first->node : NULL; q; q = q->next)
		((struct task *)q)->carrier = c;
	if (first)
		b->on_verdicts(b->arg, first);
}

static void read_entry(struct redis_bus *b, const redisReply *entry)
{
	const char *id = entry->element[0]->str;
	const redisReply *fields = entry->element[1];
	struct queue_node *first = NULL, **last = &first;
	struct unpack r;
	struct str digest;
	size_t n = 0;
	uint32_t version;

	if (fields->type != REDIS_REPLY_ARRAY || fields->elements != 2)
		return;
	r = (struct unpack){{fields->element[1]->str, fields->element[1]->len}, false};
	version = unpack_u32(&r);
	if (version != REDIS_VERSION && !r.failed) {
		redis_link_refused(&b->verdicts, "verdicts",
			"another version wrote a verdict, which is left alone");
		return;
	}
	digest = unpack_str(&r);
	while (!r.failed && r.rest.n) {
		struct task *t = read_verdict(b, digest, &r);

		if (!t)
			continue;
		*last = &t->node;
		last = &t->node.next;
		*last = NULL;
		n++;
	}
	hand_over(b, (struct task *)first, n, id);
}

/* How many entries there were; negative: none could be read. */
static int read_some(struct redis_bus *b, int block_ms)
{
	_cleanup_(redis_reply_freep) redisReply *reply = NULL;
	char key[KEY_MAX], last[ENTRY_ID_MAX], block[32] = "";
	const redisReply *entries;

	key_of(b, key, "verdicts", "");
	pthread_mutex_lock(&b->lock);
	memcpy(last, b->last, sizeof last);
	pthread_mutex_unlock(&b->lock);
	snprintf(block, sizeof block, "%d", block_ms);
	reply = block_ms ? redis_ask(&b->verdicts, key, "XREAD COUNT %d BLOCK %s STREAMS %s %s",
				   READ_MAX, block, key, last)
			 : redis_ask(&b->verdicts, key, "XREAD COUNT %d STREAMS %s %s", READ_MAX,
				   key, last);
	if (!reply)
		return -EIO;
	if (reply->type != REDIS_REPLY_ARRAY || !reply->elements)
		return 0;
	entries = reply->element[0]->element[1];
	for (size_t i = 0; i < entries->elements; i++)
		if (entries->element[i]->elements == 2)
			read_entry(b, entries->element[i]);
	pthread_mutex_lock(&b->lock);
	if (strcmp(b->last, last) == 0 &&
		entries->elements) /* else everything was lost meanwhile */
		snprintf(b->last, sizeof b->last, "%.47s",
			entries->element[entries->elements - 1]->element[0]->str);
	pthread_mutex_unlock(&b->lock);
	return (int)entries->elements;
}

/* Over a new connection it may be another Redis, which counts from an earlier time. */
static void begin_again(struct redis_bus *b)
{
	if (b->read_up_ms == b->verdicts.up_ms)
		return;
	b->read_up_ms = b->verdicts.up_ms;
	pthread_mutex_lock(&b->lock);
	snprintf(b->last, sizeof b->last, "0-0");
	pthread_mutex_unlock(&b->lock);
}

/* The streams have been searched, and no verdict on what was not found in them is left to read. */
static void catch_up(struct redis_bus *b)
{
	atomic_store(&b->has_caught_up, true);
	b->on_verdicts(b->arg, NULL);
}

/* As read_some(). */
static int read_on(struct redis_bus *b, bool is_draining)
{
	bool is_late = !atomic_load(&b->has_caught_up), is_set_up = atomic_load(&b->is_set_up);
	int block_ms = is_draining || (is_late && is_set_up) ? 0
		       : is_late			     ? EARLY_BLOCK_MS
							     : BLOCK_MS;
	int n = read_some(b, block_ms);

	if (is_late && is_set_up && n >= 0 && n < READ_MAX)
		catch_up(b);
	return n;
}

void *redis_reader_run(void *bus)
{
	struct redis_bus *b = bus;
	bool is_last = false;

	pthread_setname_np(pthread_self(), "redis-verdicts");
	while (!atomic_load(&b->is_stopping) && !is_last) {
		bool is_draining = atomic_load(&b->is_draining);
		int64_t again_ms = clock_mono_ms() + REFUSED_MS;
		int n;

		if (redis_link_up(&b->verdicts) == 0) {
			begin_again(b);
			n = read_on(b, is_draining);
			is_last = is_draining && n <= 0;
			if (n >= 0)
				continue;
		}
		is_last |= is_draining;
		if (!b->verdicts.c)
			again_ms = b->verdicts.again_ms;
		pthread_mutex_lock(&b->lock);
		if (!atomic_load(&b->is_stopping) && !atomic_load(&b->is_draining))
			redis_wait(b, &b->to_publish, again_ms);
		pthread_mutex_unlock(&b->lock);
	}
	redis_link_down(&b->verdicts);
	return NULL;
}
