/* Which attempt a task, an entry or a verdict is about. */
#include "bus/redis_room.h"

struct attempt attempt_of(const struct task *t)
{
	return (struct attempt){t->order_id, t->order_seq, t->attempt, t->undo};
}

bool attempt_eq(const struct attempt *a, const struct attempt *b)
{
	return a->order_seq == b->order_seq && a->number == b->number && a->undo == b->undo &&
	       id_eq(&a->order_id, &b->order_id);
}

struct task *attempt_task(const struct attempt *a, const struct channel *ch)
{
	struct task *t = task_new(STR("{}"), STR("{}"), (struct str){0});

	if (!t)
		return NULL;
	t->pipeline = ch->pipeline;
	t->stage = ch->stage;
	t->order_id = a->order_id;
	t->order_seq = a->order_seq;
	t->attempt = a->number;
	t->undo = a->undo;
	return t;
}
