/* What the workers here hold, from its taking until its entry is gone: leases are renewed, and attempts that take too
 * long are asked after. */
#include <stdio.h>

#include "base/mem.h"
#include "bus/redis_room.h"

void redis_held_add(struct channel *ch, struct held *h)
{
	h->channel = ch;
	h->next = ch->held;
	h->slot = &ch->held;
	if (h->next)
		h->next->slot = &h->next;
	ch->held = h;
}

void redis_held_end(struct held *h)
{
	h->channel->n_held--;
	h->channel->n_risky -= redis_is_risky(h->channel, h->attempt.number);
}

void redis_held_free(struct held *h)
{
	*h->slot = h->next;
	if (h->next)
		h->next->slot = h->slot;
	free(h);
}

/* --- renewing --- */

/* Entries of one channel for one command. */
struct picked {
	struct held *held[ACKS_MAX];
	char ids[ACKS_MAX][ENTRY_ID_MAX];
	int n;
};

static void pick(struct redis_bus *b, struct channel *ch, struct picked *p, int64_t before_ms)
{
	p->n = 0;
	pthread_mutex_lock(&b->lock);
	for (struct held *h = ch->held; h && p->n < ACKS_MAX; h = h->next) {
		if (h->is_over || h->renewed_ms > before_ms)
			continue;
		memcpy(p->ids[p->n], h->entry, sizeof h->entry);
		p->held[p->n++] = h;
	}
	pthread_mutex_unlock(&b->lock);
}

/* Negative errno: Redis did not take it. */
static int claim(struct redis_bus *b, const struct channel *ch, const struct picked *p)
{
	const char *argv[ACKS_MAX + 6] = {"XCLAIM", ch->key, WORKER_GROUP, b->consumer, "0"};
	int n = 5;

	for (int i = 0; i < p->n; i++)
		argv[n++] = p->ids[i];
	argv[n++] = "JUSTID";
	redis_put_argv(&b->answers, n, argv, NULL);
	return redis_hear(b, ch->key);
}

void redis_renew(struct redis_bus *b, struct channel *ch)
{
	int64_t now_ms = clock_mono_ms();
	struct picked p;

	do {
		pick(b, ch, &p, now_ms - atomic_load(&b->lease_ms) / 3);
		if (!p.n || claim(b, ch, &p) < 0)
			return;
		pthread_mutex_lock(&b->lock);
		for (int i = 0; i < p.n; i++)
			p.held[i]->renewed_ms = now_ms;
		pthread_mutex_unlock(&b->lock);
	} while (p.n == ACKS_MAX);
}

/* --- attempts that take too long --- */

/* With the lock held. */
static void answer_late(struct redis_bus *b, struct held *h)
{
	const struct stage_spec *spec = &h->channel->pipeline->stages[h->channel->stage];
	struct task *t = attempt_task(&h->attempt, h->channel);
	char text[160];

	if (!t)
		return; /* at the next look */
	t->verdict = VERDICT_TIMEOUT;
	t->duration_us = spec->timeout_ms * 1000;
	snprintf(text, sizeof text, "%s gave no answer within %lld ms", spec->name,
		(long long)spec->timeout_ms);
	t->message = task_keep(t, str_of(text));
	t->carrier = h;
	h->is_late = true;
	redis_held_end(h);
	redis_send_later(b, t);
}

/* Whether its workers have given it up, and then that is its answer; else `deadline_ms` says what they know. With the
 * lock held. */
static bool was_given_up(struct redis_bus *b, struct channel *ch, struct held *h, int64_t now_ms)
{
	struct task *t = NULL;

	h->deadline_ms = ch->workers.ask(ch->workers.arg,
		&(struct task){.order_id = h->attempt.order_id,
			.order_seq = h->attempt.order_seq,
			.attempt = h->attempt.number,
			.undo = h->attempt.undo},
		now_ms, &t);
	if (!t)
		return false;
	h->has_call = false;
	redis_held_end(h);
	redis_send_later(b, t);
	return true;
}

void redis_look_at_deadlines(struct redis_bus *b, struct channel *ch, int64_t now_ms)
{
	pthread_mutex_lock(&b->lock);
	for (struct held *h = ch->held; h && !ch->is_quiet; h = h->next) {
		if (!h->has_call || h->is_late || h->is_answered || now_ms < h->deadline_ms)
			continue;
		if (!was_given_up(b, ch, h, now_ms) && !h->deadline_ms)
			answer_late(b, h);
	}
	pthread_mutex_unlock(&b->lock);
}
