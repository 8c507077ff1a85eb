/* Moving an order to the current generation. */
#include "model/migrate.h"

#include "base/crash_point.h"
#include "engine/internal.h"

static int refuse(struct command *c, int r, const char *why)
{
	c->result = err_set(&c->err, r, "%s", why);
	return 0;
}

/* Everything that may fail does so before the event is appended, or fails the whole batch. */
static int move(struct engine *en, struct batch *b, struct live_order *lo, struct event_list *list,
	struct err *e)
{
	const struct pipeline *from = lo->order->pipeline, *to = en->current->pipeline;
	struct event_list none;
	int r;

	if (live_fit(&en->live, &lo, to->n_stages) < 0)
		return err_set(e, -ENOMEM, "no memory for an order");
	r = batch_append(en, b, list, e);
	if (r < 0)
		return r;
	CRASH_POINT("migrate");
	r = migrate(&lo->order, list->first, to);
	if (r < 0)
		return err_set(e, r, "cannot move an order: %s", strerror(-r));
	lo->moved_from = from;
	memset(lo->lined_up, 0, to->n_stages * sizeof lo->lined_up[0]);
	event_list_init(&none, &b->feed->arena);
	return order_advance(en, b, lo, &none, e);
}

int people_migrate(struct engine *en, struct batch *b, struct command *c, struct err *e)
{
	struct decide_env env = engine_env(en);
	struct event_list list;
	struct live_order *lo;
	struct err why = {0};
	int r = people_find_order(en, c, &lo, e);

	if (r < 0 || !lo)
		return r;
	if (c->digest[0] && strcmp(c->digest, lo->order->pipeline->digest) != 0)
		return people_refuse_order(
			en, lo, c, -EALREADY, "the order is on another generation by now");
	if (lo->is_dirty)
		return refuse(c, -EAGAIN, "the order is changing just now: try again");
	event_list_init(&list, &b->feed->arena);
	r = decide_migrate(&env, lo->order, en->current->pipeline, str_of(c->reason), &list, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return people_refuse_order(en, lo, c, r, err_text(&why));
	return move(en, b, lo, &list, e);
}
