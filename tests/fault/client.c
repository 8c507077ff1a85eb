/* The client of the played world: it places orders, hears the answers and follows the feed. */
#include <stdio.h>

#include "base/mem.h"
#include "world.h"

static void check_answer(struct world *w, struct placed *p, const struct command *c)
{
	if (c->result < 0)
		return;
	if (p->is_accepted && !id_eq(&p->id, &c->id))
		world_fail(w, "key %s gave two orders", p->key);
	p->is_accepted = true;
	p->id = c->id;
}

void world_on_answers(void *arg, struct command *first)
{
	struct world *w = arg;

	while (first) {
		struct command *next = (struct command *)first->node.next;
		size_t i = 0;

		while (i < w->n_commands && w->commands[i] != first)
			i++;
		if (i == w->n_commands)
			world_fail(w, "an answer to nothing");
		w->commands[i] = w->commands[--w->n_commands];
		if (!w->is_dying && first->kind == COMMAND_PLACE)
			check_answer(w, first->context, first);
		else if (!w->is_dying && first->kind == COMMAND_RELOAD)
			world_reloaded(w, first);
		else if (!w->is_dying)
			world_heard(w, first->context, first);
		command_free(first);
		first = next;
	}
}

void world_on_commit(void *arg, struct feed_batch *batch)
{
	struct world *w = arg;

	for (const struct event *ev = batch->events.first; ev; ev = ev->next) {
		if (w->last_seen_seq && ev->seq != w->last_seen_seq + 1)
			world_fail(w, "the feed goes from event %lld to %lld",
				(long long)w->last_seen_seq, (long long)ev->seq);
		w->last_seen_seq = ev->seq;
		world_keep_due_time(w, ev);
	}
	feed_batch_free(batch);
}

static struct placed *new_order(struct world *w)
{
	struct placed *p = &w->placed[w->n_placed];
	struct buf body = {0};

	buf_fmt(&body,
		"{\"customer_email\":\"%zu@example.com\",\"items\":[{\"product_id\":\"A\","
		"\"quantity\":1,\"price\":1.00}],\"total_amount\":1.00}",
		w->n_placed);
	p->body = buf_steal(&body, NULL);
	if (!world_one_in(w, 3))
		snprintf(p->key, sizeof p->key, "key-%zu", w->n_placed);
	w->n_placed++;
	return p;
}

static struct placed *earlier_order(struct world *w)
{
	struct placed *p = &w->placed[world_below(w, w->n_placed)];

	return *p->key && !p->may_be_erased ? p : NULL;
}

void world_place(struct world *w)
{
	bool is_new = !w->n_placed || (w->n_placed < ORDERS_MAX && !world_one_in(w, 4));
	struct placed *p = is_new ? new_order(w) : earlier_order(w);
	struct command *c;

	if (!p || w->n_commands == COMMANDS_MAX)
		return;
	c = command_new(COMMAND_PLACE, p);
	if (!c)
		world_fail(w, "no memory");
	c->body = str_dup(str_of(p->body));
	c->key = *p->key ? str_dup(str_of(p->key)) : NULL;
	world_send(w, c);
}

void world_send(struct world *w, struct command *c)
{
	w->commands[w->n_commands++] = c;
	engine_submit(w->engine, c);
}
