/* Erasing an order: by a person's command, or because it was kept long enough. */
#include "engine/internal.h"

int erase_order(struct engine *en, struct batch *b, int64_t order_seq, struct str reason,
	struct str message, struct err *e)
{
	struct event_list list;
	struct event *ev;

	event_list_init(&list, &b->feed->arena);
	ev = event_list_add(&list, EVENT_ORDER_ERASED);
	if (!ev || !arena_copy(&b->feed->arena, reason, &ev->reason) ||
		!arena_copy(&b->feed->arena, message, &ev->message))
		return err_set(e, -ENOMEM, "no memory for an event");
	ev->time_us = clock_wall_us();
	ev->order_seq = order_seq;
	if (reader_order_id(en->reader, order_seq, &ev->order_id) < 0)
		return err_set(e, -EBUSY, "the order was placed just now");
	return batch_remove(en, b, &list, e);
}

static int answer(struct command *c, int r, const char *why)
{
	c->result = r < 0 ? err_set(&c->err, r, "%s", why) : 0;
	return 0;
}

int people_erase(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	struct err why = {0};
	int64_t seq;
	int r = journal_find_order(en->journal, &c->id, &seq);

	if (r == -ENOENT)
		return answer(c, r, "there is no such order");
	if (r == 0)
		r = erase_order(en, b, seq, str_of(c->reason), STR("Erased by an operator"), &why);
	if (r == -EALREADY)
		return answer(c, 0, NULL);
	if (r == -EBUSY || r == -ENOENT)
		return answer(c, -EALREADY, "an order can be erased when it has ended, not before");
	if (r == -EXDEV)
		return answer(c, -EALREADY,
			"the order is archived: what it said is in the file that it names, not "
			"here; `stageline erase --archive FILE` erases it there");
	if (r < 0)
		*e = why;
	return r;
}
