/* How an order of a retrial ends, beside how it ended. */
#include <stdio.h>

#include "base/mem.h"
#include "kit/retrial_order.h"

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void add(struct buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct buf *out, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buf_text(out, out->len ? "; " : "");
	buf_text(out, text);
}

/* Whether two objects say the same, in whatever order. */
static bool is_same_json(struct str a, struct str b)
{
	_cleanup_(json_freep) cJSON *x = NULL, *y = NULL;

	if (str_eq(a, b))
		return true;
	if (!a.p || !b.p || !(x = cJSON_ParseWithLength(a.p, a.n)) ||
		!(y = cJSON_ParseWithLength(b.p, b.n)))
		return false;
	return cJSON_Compare(x, y, true);
}

static void compare_results(const struct retrial_order *x, struct buf *out)
{
	const struct pipeline *p = x->all->pipeline;

	for (size_t i = 0; i < p->n_stages; i++)
		if (x->all->stages[i] && x->stages[i].was_there &&
			!is_same_json(x->stages[i].was_result, str_of(x->order->stages[i].result)))
			add(out, "result of %s", p->stages[i].name);
}

static void compare_sums(const struct retrial_order *x, struct buf *out)
{
	for (const struct retrial_sum *s = x->sums; s; s = s->next)
		if (s->now != s->then)
			add(out, "%s changes by %lld, not by %lld", s->key.p, (long long)s->now,
				(long long)s->then);
}

static void compare(const struct retrial_order *x, struct retrial_result *result, struct buf *out)
{
	if (x->missing) {
		result->end = RETRIAL_UNKNOWN;
		buf_text(out, x->missing);
		return;
	}
	if (strcmp(result->was.status, result->would.status) != 0) {
		result->end = RETRIAL_DIFFERENT;
		return;
	}
	if (!is_same_text(result->was.error, result->would.error) ||
		!is_same_text(result->was.stage, result->would.stage))
		add(out, "for another reason");
	compare_results(x, out);
	compare_sums(x, out);
	result->end = out->len ? RETRIAL_CHANGED : RETRIAL_SAME;
}

/* A stage may have been held on the way to a good end. */
static struct retrial_fate fate_then(const struct retrial_order *x)
{
	bool has_failed = strcmp(x->was.status, "failed") == 0;

	return (struct retrial_fate){
		x->was.status, has_failed ? x->was.stage : NULL, has_failed ? x->was.error : NULL};
}

static struct retrial_fate fate_now(const struct retrial_order *x)
{
	const struct order *o = x->order;

	if (x->missing)
		return (struct retrial_fate){.status = "unknown"};
	if (order_is_on_hold(o))
		return (struct retrial_fate){"on_hold", order_held_stage(o), order_error(o)};
	if (o->phase == ORDER_FAILED)
		return (struct retrial_fate){"failed", x->would.stage, x->would.error};
	return (struct retrial_fate){.status = order_status(o)};
}

int retrial_order_compare(struct retrial_order *x)
{
	const struct retrial_request *request = x->all->request;
	_cleanup_(buf_fini) struct buf detail = {0};
	struct retrial_result result = {
		.order_id = x->order->id, .was = fate_then(x), .would = fate_now(x)};

	compare(x, &result, &detail);
	if (detail.failed)
		return -ENOMEM;
	result.detail = detail.len ? detail.data : NULL;
	x->all->report->n[result.end]++;
	request->on_result(request->arg, &result);
	return 0;
}
