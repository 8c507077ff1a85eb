/* What became of a played case, beside what the case expects. */
#include "base/mem.h"
#include "kit/play.h"
#include "kit/span.h"

static const char *text_or(struct str text, const char *otherwise)
{
	return text.p ? text.p : otherwise;
}

static const struct yaml_node *at(const struct play *p, const char *key)
{
	return yaml_get(p->c->expect.node, key);
}

static void compare_status(struct play *p)
{
	const struct expectation *x = &p->c->expect;
	const char *status = order_status(p->order), *error = order_error(p->order);

	if (x->status && strcmp(status, x->status) != 0)
		yaml_fault(p->faults, at(p, "status"), "status is '%s', not '%s'%s%s%s", status,
			x->status, error ? " (" : "", error ? error : "", error ? ")" : "");
	if (x->error && !error)
		yaml_fault(p->faults, at(p, "error"), "there is no error");
	else if (x->error && strcmp(error, x->error) != 0)
		yaml_fault(p->faults, at(p, "error"), "error is '%s', not '%s'", error, x->error);
}

static void compare_time(struct play *p)
{
	const struct expectation *x = &p->c->expect;
	int64_t took_ms = (p->events[p->n_events - 1]->time_us - p->events[0]->time_us) / 1000;
	char text[SPAN_TEXT_SIZE];

	if (!x->has_takes || (took_ms >= x->takes.low && took_ms <= x->takes.high))
		return;
	span_text(took_ms, text);
	yaml_fault(p->faults, at(p, "takes"), "it took %s", text);
}

/* --- events --- */

static bool fits(const struct event *ev, const struct expected_event *x)
{
	return str_is(ev->type, x->type) && (!x->stage || str_is(ev->stage, x->stage)) &&
	       (!x->message || str_is(ev->message.p ? ev->message : STR(""), x->message)) &&
	       (!x->attempt || ev->attempt == x->attempt);
}

static void describe(const struct event *ev, struct buf *out)
{
	buf_fmt(out, "%s", text_or(ev->type, "?"));
	if (!ev->stage.p && !ev->message.p)
		return;
	buf_fmt(out, " (%s%s%s", text_or(ev->stage, ""), ev->stage.p && ev->message.p ? ": " : "",
		text_or(ev->message, ""));
	if (ev->attempt)
		buf_fmt(out, ", attempt %u", ev->attempt);
	buf_text(out, ")");
}

static void fault_event(struct play *p, const struct expected_event *x, size_t i)
{
	_cleanup_(buf_fini) struct buf text = {0};

	if (i < p->n_events)
		describe(p->events[i], &text);
	yaml_fault(p->faults, x->node, "event %zu is %s, not %s", i + 1,
		text.data ? text.data : "none: the order has no more", x->type);
}

/* The first that differs; what follows would only say so again. */
static void compare_all(struct play *p, const struct expected_events *x)
{
	_cleanup_(buf_fini) struct buf text = {0};

	if (!x->node)
		return;
	for (size_t i = 0; i < x->n; i++)
		if (i >= p->n_events || !fits(p->events[i], &x->list[i])) {
			fault_event(p, &x->list[i], i);
			return;
		}
	if (x->n == p->n_events)
		return;
	describe(p->events[x->n], &text);
	yaml_fault(p->faults, x->node, "event %zu, %s, is not expected", x->n + 1,
		text.data ? text.data : "");
}

static void compare_some(struct play *p, const struct expected_events *x)
{
	const struct expected_event *before = NULL;
	size_t i = 0;

	for (size_t k = 0; k < x->n; k++, i++) {
		while (i < p->n_events && !fits(p->events[i], &x->list[k]))
			i++;
		if (i >= p->n_events) {
			yaml_fault(p->faults, x->list[k].node, "there is no such %s%s%s",
				x->list[k].type, before ? " after " : "",
				before ? before->type : "");
			return;
		}
		before = &x->list[k];
	}
}

/* --- values --- */

static cJSON *value_of(const struct yaml_node *node)
{
	_cleanup_(buf_fini) struct buf text = {0};

	pipeline_state_json(node, &text);
	return text.failed ? NULL : cJSON_Parse(text.data);
}

static bool is_value(struct str json, const struct yaml_node *node)
{
	_cleanup_(json_freep) cJSON *want = value_of(node);
	_cleanup_(json_freep) cJSON *is = json.p ? cJSON_ParseWithLength(json.p, json.n) : NULL;

	return is && want && cJSON_Compare(is, want, true);
}

struct found {
	struct str key;
	struct buf json;
	bool is_there;
};

static int on_entry(void *arg, struct str key, struct str json)
{
	struct found *f = arg;

	if (!str_eq(key, f->key))
		return 0;
	f->is_there = true;
	buf_str(&f->json, json);
	return 0;
}

static int compare_key(struct play *p, const struct yaml_node *want, struct err *e)
{
	struct found f = {.key = want->key};
	struct state_page page = {.prefix = want->key, .limit = 1};
	int r = reader_state(p->reader, &page, on_entry, &f, e);

	if (r >= 0 && !f.is_there && want->type != YAML_NULL)
		yaml_fault(p->faults, want, "%s is absent, not %s", want->key.p,
			want->text.p ? want->text.p : "a value");
	else if (r >= 0 && f.is_there &&
		 (want->type == YAML_NULL || !is_value(buf_view(&f.json), want)))
		yaml_fault(p->faults, want, "%s is %.200s, not %s", want->key.p,
			buf_view(&f.json).p,
			want->type == YAML_NULL ? "absent"
			: want->text.p		? want->text.p
						: "what is written here");
	buf_fini(&f.json);
	return r < 0 ? r : 0;
}

static void compare_calls(struct play *p, const struct yaml_node *map)
{
	for (const struct yaml_node *m = map ? map->first : NULL; m; m = m->next) {
		int i = pipeline_find(p->pipeline, m->key);
		uint32_t n = p->calls[i][false];

		if (n != m->integer)
			yaml_fault(p->faults, m, "%s was called %u time%s, not %lld", m->key.p, n,
				n == 1 ? "" : "s", (long long)m->integer);
	}
}

static void compare_result(struct play *p, const struct yaml_node *want, const cJSON *result)
{
	for (const struct yaml_node *m = want->first; m; m = m->next) {
		const cJSON *is = cJSON_GetObjectItemCaseSensitive(result, m->key.p);
		_cleanup_(freep) char *text = is ? cJSON_PrintUnformatted(is) : NULL;
		_cleanup_(json_freep) cJSON *value = value_of(m);

		if (!is || !value || !cJSON_Compare(is, value, true))
			yaml_fault(p->faults, m, "'%s' of the result of %s is %.200s", m->key.p,
				want->key.p, text ? text : "absent");
	}
}

static void compare_results(struct play *p, const struct yaml_node *map)
{
	for (const struct yaml_node *m = map ? map->first : NULL; m; m = m->next) {
		int i = pipeline_find(p->pipeline, m->key);
		const char *text = p->order->stages[i].result;
		_cleanup_(json_freep) cJSON *result = text ? cJSON_Parse(text) : NULL;

		compare_result(p, m, result);
	}
}

int play_compare(struct play *p, struct err *e)
{
	const struct expectation *x = &p->c->expect;
	int r = 0;

	if (!p->order || !p->n_events)
		return 0; /* it was refused, which is a fault already */
	compare_status(p);
	compare_time(p);
	compare_all(p, &x->events);
	compare_some(p, &x->includes);
	compare_calls(p, x->calls);
	compare_results(p, x->results);
	for (const struct yaml_node *m = x->state ? x->state->first : NULL; m && r == 0;
		m = m->next)
		r = compare_key(p, m, e);
	return r;
}
