/* A retrial: the orders of a journal beside each other, from its first event to its last. */
#include "kit/retrial.h"

#include <search.h>

#include "base/mem.h"
#include "kit/retrial_order.h"

/* --- the orders under way --- */

static int by_seq(const void *a, const void *b)
{
	int64_t x = ((const struct retrial_order *)a)->seq,
		y = ((const struct retrial_order *)b)->seq;

	return (x > y) - (x < y);
}

static struct retrial_order *find(struct retrial *all, int64_t order_seq)
{
	const struct retrial_order key = {.seq = order_seq};
	struct retrial_order **slot = tfind(&key, &all->orders, by_seq);

	return slot ? *slot : NULL;
}

static void forget(struct retrial *all, struct retrial_order *x)
{
	tdelete(x, &all->orders, by_seq);
	retrial_order_free(x);
}

/* Forgets all of them: how many there were. */
static int64_t forget_all(struct retrial *all)
{
	int64_t n = 0;

	while (all->orders) {
		forget(all, *(struct retrial_order **)all->orders); /* the root */
		n++;
	}
	return n;
}

static int begin(struct retrial *all, const struct event *ev, struct err *e)
{
	struct retrial_order *x;
	int r;

	if (ev->seq < all->request->since)
		return 0;
	if (ev->removed.p) {
		all->report->n_removed++;
		return 0;
	}
	r = retrial_order_create(all, ev, &x, e);
	if (r < 0 || tsearch(x, &all->orders, by_seq))
		return r;
	retrial_order_free(x);
	return -ENOMEM;
}

static int go_on(struct retrial *all, const struct event *ev, struct err *e)
{
	struct retrial_order *x = find(all, ev->order_seq);
	int r;

	if (!x)
		return 0;
	r = retrial_order_meet(x, ev, e);
	if (r < 0 || !event_kind_info(ev->kind)->is_terminal)
		return r;
	r = retrial_order_compare(x);
	forget(all, x);
	return r;
}

static int on_event(
	void *retrial, struct history *h, const struct event *ev, bool is_after_gap, struct err *e)
{
	struct retrial *all = retrial;
	int r = 0;

	all->history = h;
	if (is_after_gap)
		all->report->n_broken += forget_all(all);
	if (ev->kind == EVENT_ORDER_CREATED)
		r = begin(all, ev, e);
	else if (ev->order_seq)
		r = go_on(all, ev, e);
	return r == -ENOMEM ? err_set(e, r, "out of memory") : r;
}

/* --- the stages --- */

/* Whether the stage runs again. -EINVAL: it is asked for, and cannot. */
static int choose(const struct retrial_request *request, size_t i, struct err *e)
{
	struct stage_spec spec = request->pipeline->stages[i];
	const struct plugin *plugin;
	uint32_t flags;
	int r;

	spec.isolation = ISOLATION_PROCESS; /* none of it is mapped here */
	r = plugin_load_stage(&request->folders, &spec, &plugin, e);
	if (r < 0)
		return err_wrap(e, r, "stage '%s'", spec.name);
	flags = plugin->stage->flags;
	if (!(request->asked & (uint64_t)1 << i))
		return !(flags & (SL_STAGE_EFFECTS | SL_STAGE_NETWORK | SL_STAGE_PROGRAMS));
	if (flags & (SL_STAGE_NETWORK | SL_STAGE_PROGRAMS))
		return err_set(e, -EINVAL,
			"stage '%s' cannot run again: its plugin '%s' %s, and here it may not",
			spec.name, spec.plugin,
			flags & SL_STAGE_NETWORK ? "calls out over the network"
						 : "starts programs");
	return 1;
}

static int start(struct retrial *all, struct err *e)
{
	struct pipeline *p = all->request->pipeline;
	int r = 0;

	for (size_t i = 0; i < p->n_stages && r >= 0; i++) {
		r = choose(all->request, i, e);
		if (r <= 0)
			continue;
		stage_confine(&p->stages[i]);
		r = retrial_stage_create(p, i, &all->request->folders, &all->stages[i], e);
		all->report->again |= (uint64_t)1 << i;
	}
	return r < 0 ? r : 0;
}

int retrial_run(const struct retrial_request *request, struct retrial_report *ret, struct err *e)
{
	struct retrial all = {.request = request, .pipeline = request->pipeline, .report = ret};
	const struct history_request walk = {.until = request->until,
		.on_event = on_event,
		.arg = &all,
		.watch = request->watch};
	struct verify_report verified = {0};
	int r;

	*ret = (struct retrial_report){0};
	r = start(&all, e);
	if (r == 0)
		r = journal_history(request->journal, &walk, &verified, e);
	ret->n_open = forget_all(&all);
	for (size_t i = 0; i < all.pipeline->n_stages; i++)
		retrial_stage_destroy(all.stages[i]);
	verify_report_fini(&verified);
	return r;
}
