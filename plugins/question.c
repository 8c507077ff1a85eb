/* What a service or a program outside is asked. */
#include "question.h"

#include <inttypes.h>
#include <stdio.h>

struct question question_of(const struct sl_host *host, const struct sl_task *task, int is_undo)
{
	struct question q = {.direction = is_undo ? "undo" : "run"};
	const char *key = host->idempotency_key(task);
	size_t len = 0;
	const char *signal = host->signal(task, &len);

	if (signal)
		snprintf(q.key, sizeof q.key, "%s:%016" PRIx64, key, text_hash(signal, len));
	else
		snprintf(q.key, sizeof q.key, "%s", key);
	return q;
}

static void member(struct text *out, const char *name, const char *json, size_t len)
{
	text_fmt(out, ",\"%s\":", name);
	text_bytes(out, json, len);
}

void question_write(const struct question *q, const struct sl_host *host,
	const struct sl_task *task, struct text *out)
{
	size_t n_order, n_results, n_signal;
	const char *order = host->order(task, &n_order), *results = host->results(task, &n_results);
	const char *signal = host->signal(task, &n_signal);

	text_put(out, "\"stage\":");
	text_json(out, host->stage_name(host));
	text_fmt(out,
		",\"direction\":\"%s\",\"attempt\":%" PRIu32 ",\"idempotency_key\":", q->direction,
		host->attempt(task));
	text_json(out, q->key);
	member(out, "order", order, n_order);
	member(out, "results", results, n_results);
	if (signal)
		member(out, "signal", signal, n_signal);
}
