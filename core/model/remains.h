/* What stays of an order's events when what they said goes: for a person's sake (erased), or for the room
 * (archived).
 *
 * Stays: the header, and of the payload what other rows follow from: effects on the state, the generation, the
 * amount, directions, durations and due times, what an operator did with a dead letter. Goes: e-mail address, items
 * and all else of the body, messages, results, answers from outside, reasons, idempotency keys. Pure. */
#pragma once

#include "model/order.h"

#define REMOVED_ERASED	 "erased"
#define REMOVED_ARCHIVED "archived"

/* An event that says of its order that only the remains of its earlier events are left. */
static inline bool event_is_removal(enum event_kind kind)
{
	return kind == EVENT_ORDER_ERASED || kind == EVENT_ORDER_ARCHIVED;
}

/* The remains of `ev` after `removal`. Borrows from `ev`, and from `arena` what is new. -ENOMEM. */
int remains_of(
	const struct event *ev, enum event_kind removal, struct arena *arena, struct event *ret);

/* apply() of a removal: the order says no more than one that is folded from remains. -EPROTO: it has not ended, or
 * was removed before. -ENOMEM. */
int apply_removal(struct order *o, const struct event *ev);
/* apply() of the first event of an order that is folded from remains. */
void apply_created_remains(struct order *o, const struct event *ev);
