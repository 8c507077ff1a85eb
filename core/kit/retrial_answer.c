/* What an order of a retrial met then: the answers of its stages in their order, and what it added to the state. */
#include "kit/retrial_order.h"

/* What an event says that a stage answered; false: nothing. */
static bool read_answer(const struct event *ev, bool was_lost, struct retrial_answer *ret)
{
	/* Attempts that were lost used up the last one: that follows again by itself. */
	bool is_used_up = was_lost && ev->duration_ms < 0;

	*ret = (struct retrial_answer){.verdict = VERDICT_RETRY,
		.delay_ms = -1,
		.message = ev->message,
		.result = ev->metadata,
		.key = ev->key,
		.effects = ev->effects,
		.n_effects = ev->n_effects};
	switch (ev->kind) {
	case EVENT_STAGE_DONE:
	case EVENT_STAGE_UNDONE:
		ret->verdict = VERDICT_DONE;
		return true;
	case EVENT_STAGE_FAILED:
		if (!ev->unsure)
			ret->verdict = VERDICT_FAIL;
		return !ev->unsure || !is_used_up;
	case EVENT_STAGE_HELD: /* an undo is held by a no, too */
		ret->verdict = ev->undo ? VERDICT_FAIL : VERDICT_RETRY;
		return !is_used_up;
	case EVENT_STAGE_RETRYING:
		return true;
	case EVENT_STAGE_WAITING:
		ret->verdict = VERDICT_WAIT;
		ret->delay_ms = (ev->due_us - ev->time_us) / 1000;
		return true;
	case EVENT_ATTEMPT_LOST:
		ret->kind = ANSWER_LOST;
		return true;
	case EVENT_STAGE_SIGNALLED:
		ret->kind = ANSWER_SIGNAL;
		return true;
	default:
		return false;
	}
}

static int copy_texts(struct arena *arena, struct retrial_answer *a)
{
	struct effect *effects = arena_alloc(arena, a->n_effects * sizeof *effects + 1);

	if (!effects || !arena_copy(arena, a->message, &a->message) ||
		!arena_copy(arena, a->result, &a->result) || !arena_copy(arena, a->key, &a->key))
		return -ENOMEM;
	for (size_t i = 0; i < a->n_effects; i++) {
		effects[i] = a->effects[i];
		if (!arena_copy(arena, a->effects[i].key, &effects[i].key) ||
			!arena_copy(arena, a->effects[i].json, &effects[i].json))
			return -ENOMEM;
	}
	a->effects = effects;
	return 0;
}

int retrial_order_remember(struct retrial_order *x, size_t stage, const struct event *ev)
{
	struct retrial_memory *m = &x->stages[stage];
	struct retrial_answer **last = &m->answers[ev->undo], *a, read;
	bool is_answer = read_answer(ev, m->was_lost[ev->undo], &read);

	m->was_lost[ev->undo] = ev->kind == EVENT_ATTEMPT_LOST;
	if (!is_answer)
		return 0;
	m->is_due[ev->undo] |= read.kind == ANSWER_VERDICT;
	if (x->all->stages[stage] && read.kind != ANSWER_SIGNAL)
		return ev->kind == EVENT_STAGE_DONE &&
				       !arena_copy(&x->arena, ev->metadata, &m->was_result)
			       ? -ENOMEM
			       : 0;
	a = arena_alloc(&x->arena, sizeof *a);
	if (!a || copy_texts(&x->arena, &read) < 0)
		return -ENOMEM;
	*a = read;
	while (*last)
		last = &(*last)->next;
	*last = a;
	return 0;
}

const struct retrial_answer *retrial_order_recall(struct retrial_order *x, size_t stage, bool undo)
{
	struct retrial_answer *a = x->stages[stage].answers[undo];

	if (a)
		x->stages[stage].answers[undo] = a->next;
	return a;
}

static struct retrial_sum *find_sum(struct retrial_order *x, struct str key)
{
	struct retrial_sum *s = x->sums;

	while (s && !str_eq(s->key, key))
		s = s->next;
	if (s)
		return s;
	s = arena_alloc(&x->arena, sizeof *s);
	if (!s || !arena_copy(&x->arena, key, &s->key))
		return NULL;
	s->next = x->sums;
	return x->sums = s;
}

int retrial_order_add_up(struct retrial_order *x, const struct event *ev, bool then)
{
	for (size_t i = 0; i < ev->n_effects; i++) {
		const struct effect *f = &ev->effects[i];
		struct retrial_sum *s;

		if (f->kind != EFFECT_ADD)
			continue;
		s = find_sum(x, f->key);
		if (!s)
			return -ENOMEM;
		*(then ? &s->then : &s->now) += f->delta;
	}
	return 0;
}
