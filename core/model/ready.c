/* Readiness: a stage's turn by `after`, and its condition asked of the order as an event will leave it. */
#include "model/ready.h"

#include "base/mem.h"
#include "model/condition.h"

void sight_fini(struct sight *s)
{
	cJSON_Delete(s->order);
	cJSON_Delete(s->results);
}

static uint64_t finished_stages(const struct order *o)
{
	uint64_t finished = 0;

	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_DONE || o->stages[i].status == STAGE_SKIPPED)
			finished |= (uint64_t)1 << i;
	return finished;
}

bool stage_is_next(const struct order *o, size_t i)
{
	return !(o->pipeline->stages[i].after & ~finished_stages(o));
}

bool stage_is_wanted(const struct order *o, size_t i, const struct sight *s)
{
	const struct condition *when = o->pipeline->stages[i].when;

	return !when || condition_holds(when, s->order, s->results);
}

/* The stage that the event may finish, as a set. */
static uint64_t finished_by(const struct order *o, const struct event *ev)
{
	bool finishes = ev->kind == EVENT_STAGE_DONE || ev->kind == EVENT_STAGE_SKIPPED ||
			ev->kind == EVENT_STAGE_RELEASED;
	int i = finishes ? pipeline_find(o->pipeline, ev->stage) : -1;

	return i < 0 ? 0 : (uint64_t)1 << i;
}

static bool is_any_asked(const struct order *o, const struct event *ev)
{
	uint64_t finished;

	if (o->phase != ORDER_RUNNING)
		return false;
	finished = finished_stages(o) | finished_by(o, ev);
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (o->pipeline->stages[i].when && o->stages[i].status == STAGE_IDLE &&
			!(o->pipeline->stages[i].after & ~finished))
			return true;
	return false;
}

static struct str result_after(const struct order *o, const struct event *ev, size_t i)
{
	if (ev->kind == EVENT_STAGE_DONE && str_is(ev->stage, o->pipeline->stages[i].name))
		return ev->metadata;
	return str_of(o->stages[i].result);
}

static void put_results(const struct order *o, const struct event *ev, struct buf *out)
{
	struct json_writer w = {out, false};

	json_open(&w, '{');
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		struct str result = result_after(o, ev, i);

		if (!result.p)
			continue;
		json_key(&w, o->pipeline->stages[i].name);
		json_raw(&w, result);
	}
	json_close(&w, '}');
}

/* All of it was JSON when it was accepted, so what cannot be read now lacks memory. */
static int see(struct str json, cJSON **ret)
{
	return json_parse(json, JSON_DEPTH_MAX + 4, ret, NULL) < 0 ? -ENOMEM : 0;
}

int sight_after(const struct order *o, const struct event *ev, struct sight *ret)
{
	_cleanup_(sight_fini) struct sight s = {0};
	_cleanup_(buf_fini) struct buf results = {0};
	int r;

	if (!is_any_asked(o, ev))
		return 0;
	put_results(o, ev, &results);
	if (results.failed)
		return -ENOMEM;
	r = see(ev->body.p ? ev->body : str_of(o->body), &s.order);
	if (r == 0)
		r = see(buf_view(&results), &s.results);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct sight){0};
	return 0;
}
