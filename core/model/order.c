/* An order's life as an object, and the forms in which it is shown to people and to stages. */
#include "model/order.h"

#include <stdio.h>

#include "base/mem.h"

struct order *order_new(const struct pipeline *p)
{
	struct order *o = calloc(1, sizeof *o + p->n_stages * sizeof o->stages[0]);

	if (o)
		o->pipeline = p;
	return o;
}

void order_free(struct order *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		free(o->stages[i].error);
		free(o->stages[i].result);
		free(o->stages[i].signal);
		free(o->stages[i].signal_key);
	}
	free(o->body);
	free(o->error);
	free(o->archive);
	free(o);
}

uint64_t order_unknown(const struct order *o)
{
	uint64_t set = o->out;

	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (stage_has_begun(&o->stages[i]))
			set |= (uint64_t)1 << i;
	return set;
}

bool order_is_on_hold(const struct order *o)
{
	if (order_is_terminal(o))
		return false;
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_HELD)
			return true;
	return false;
}

const char *order_error(const struct order *o)
{
	for (size_t i = 0; !order_is_terminal(o) && i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_HELD)
			return o->stages[i].error;
	return o->error;
}

const char *order_held_stage(const struct order *o)
{
	for (size_t i = 0; !order_is_terminal(o) && i < o->pipeline->n_stages; i++)
		if (o->stages[i].status == STAGE_HELD)
			return o->pipeline->stages[i].name;
	return NULL;
}

static const char *current_label(const struct order *o)
{
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		uint8_t s = o->stages[i].status;

		if (s == STAGE_QUEUED || s == STAGE_RETRYING || s == STAGE_WAITING)
			return o->pipeline->stages[i].status;
	}
	return "pending";
}

const char *order_status(const struct order *o)
{
	static const char *const words[] = {
		[ORDER_COMPENSATING] = "compensating",
		[ORDER_COMPLETED] = "completed",
		[ORDER_FAILED] = "failed",
		[ORDER_CANCELLED] = "cancelled",
	};

	if (order_is_on_hold(o))
		return "on_hold";
	return o->phase == ORDER_RUNNING ? current_label(o) : words[o->phase];
}

const char *order_stage_word(const struct order *o, size_t stage)
{
	static const char *const words[STAGE_STATUSES] = {"idle", "queued", "retrying", "waiting",
		"held", "done", "skipped", "failed", "undone"};
	const struct stage_state *s = &o->stages[stage];

	if (s->undo && (s->status == STAGE_QUEUED || s->status == STAGE_RETRYING))
		return "undoing";
	if (o->out & (uint64_t)1 << stage)
		return "running";
	return words[s->status];
}

static void stage_json(const struct order *o, size_t i, struct json_writer *w)
{
	const struct stage_spec *spec = &o->pipeline->stages[i];
	const struct stage_state *s = &o->stages[i];

	json_open(w, '{');
	json_key(w, "name");
	json_text(w, spec->name);
	json_key(w, "status");
	json_text(w, order_stage_word(o, i));
	json_key(w, "label");
	json_text(w, spec->status);
	json_key(w, "attempt");
	json_int(w, s->attempt);
	json_key(w, "after");
	json_open(w, '[');
	for (size_t k = 0; k < o->pipeline->n_stages; k++)
		if (spec->after & (uint64_t)1 << k)
			json_text(w, o->pipeline->stages[k].name);
	json_close(w, ']');
	if (spec->undo_event) {
		json_key(w, "undo_event");
		json_text(w, spec->undo_event);
	}
	if (s->error) {
		json_key(w, "error");
		json_text(w, s->error);
	}
	if (s->due_us) {
		json_key(w, "due_at");
		json_time(w, s->due_us);
	}
	json_close(w, '}');
}

static void times_json(
	int64_t created_us, int64_t updated_us, int64_t completed_us, struct json_writer *w)
{
	json_key(w, "created_at");
	json_time(w, created_us);
	json_key(w, "updated_at");
	json_time(w, updated_us);
	if (completed_us) {
		json_key(w, "completed_at");
		json_time(w, completed_us);
	}
}

static void head_json(
	const struct id *id, const char *status, struct str body, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "id");
	json_id(w, id);
	json_key(w, "status");
	json_text(w, status);
	json_members(w, body);
}

/* Of an order whose details are gone: "erased": true, "erased_at": when. */
static void removed_json(const struct order *o, struct json_writer *w)
{
	char at[16];

	if (!o->removed)
		return;
	json_key(w, o->removed);
	json_bool(w, true);
	if (o->removed_us) {
		snprintf(at, sizeof at, "%s_at", o->removed);
		json_key(w, at);
		json_time(w, o->removed_us);
	}
	if (o->archive) {
		json_key(w, "archive");
		json_raw(w, str_of(o->archive));
	}
}

void order_json(const struct order *o, struct json_writer *w)
{
	head_json(&o->id, order_status(o), str_of(o->body), w);
	times_json(o->created_us, o->updated_us, o->completed_us, w);
	removed_json(o, w);
	if (order_error(o)) {
		json_key(w, "error");
		json_text(w, order_error(o));
	}
	json_key(w, "generation");
	json_text(w, o->pipeline->digest);
	json_key(w, "last_seq");
	json_int(w, o->last_seq);
	json_key(w, "stages");
	json_open(w, '[');
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		stage_json(o, i, w);
	json_close(w, ']');
	json_close(w, '}');
}

void order_created_json(
	const struct id *id, int64_t created_us, struct str body, struct json_writer *w)
{
	head_json(id, "pending", body, w);
	times_json(created_us, created_us, 0, w);
	json_close(w, '}');
}

void order_task_json(const struct order *o, struct buf *order, struct buf *results)
{
	struct json_writer w = {order, false};

	json_open(&w, '{');
	json_key(&w, "id");
	json_id(&w, &o->id);
	json_key(&w, "created_at");
	json_time(&w, o->created_us);
	json_members(&w, str_of(o->body));
	json_close(&w, '}');

	w = (struct json_writer){results, false};
	json_open(&w, '{');
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		if (!o->stages[i].result)
			continue;
		json_key(&w, o->pipeline->stages[i].name);
		json_raw(&w, str_of(o->stages[i].result));
	}
	json_close(&w, '}');
}
