/* The remains of events and of orders. How they are kept is the journal's. */
#include "model/remains.h"

#include "base/mem.h"

static const char *word_of(enum event_kind removal)
{
	return removal == EVENT_ORDER_ERASED ? REMOVED_ERASED : REMOVED_ARCHIVED;
}

/* Of a body, the amount. */
static void write_body(struct str body, struct json_writer *w)
{
	_cleanup_(json_freep) cJSON *j = NULL;
	const cJSON *total;

	json_open(w, '{');
	if (json_parse(body, JSON_DEPTH_MAX, &j, NULL) == -ENOMEM)
		w->out->failed = true;
	total = cJSON_GetObjectItemCaseSensitive(j, "total_amount");
	if (cJSON_IsNumber(total)) {
		json_key(w, "total_amount");
		json_tree(w, total);
	}
	json_close(w, '}');
}

static int body_remains(struct str body, struct arena *arena, struct str *ret)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	write_body(body, &w);
	return !text.failed && arena_copy(arena, buf_view(&text), ret) ? 0 : -ENOMEM;
}

int remains_of(
	const struct event *ev, enum event_kind removal, struct arena *arena, struct event *ret)
{
	*ret = (struct event){
		.seq = ev->seq,
		.time_us = ev->time_us,
		.order_seq = ev->order_seq,
		.order_id = ev->order_id,
		.kind = ev->kind,
		.type = ev->type,
		.stage = ev->stage,
		.attempt = ev->attempt,
		.undo = ev->undo,
		.suspect = ev->suspect,
		.unsure = ev->unsure,
		.duration_ms = ev->duration_ms,
		.due_us = ev->due_us,
		.generation = ev->generation,
		.action = ev->action,
		.awaited = ev->awaited,
		.removed = str_of(word_of(removal)),
		.effects = ev->effects,
		.n_effects = ev->n_effects,
	};
	return ev->body.p ? body_remains(ev->body, arena, &ret->body) : 0;
}

static void forget(char **text)
{
	free(*text);
	*text = NULL;
}

int apply_removal(struct order *o, const struct event *ev)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	char *body, *archive = NULL;

	if (o->seq != ev->order_seq || !order_is_terminal(o) || o->removed_us)
		return -EPROTO;
	write_body(str_of(o->body), &w);
	body = buf_steal(&text, NULL);
	if (ev->kind == EVENT_ORDER_ARCHIVED && ev->metadata.p)
		archive = str_dup(ev->metadata);
	if (!body || (ev->kind == EVENT_ORDER_ARCHIVED && ev->metadata.p && !archive)) {
		free(body);
		free(archive);
		return -ENOMEM;
	}
	free(o->body);
	o->body = body;
	o->archive = archive;
	o->removed = word_of(ev->kind);
	o->removed_us = ev->time_us;
	o->last_seq = ev->seq;
	forget(&o->error);
	for (size_t i = 0; i < o->pipeline->n_stages; i++) {
		forget(&o->stages[i].error);
		forget(&o->stages[i].result);
		forget(&o->stages[i].signal);
		forget(&o->stages[i].signal_key);
	}
	return 0;
}

void apply_created_remains(struct order *o, const struct event *ev)
{
	if (ev->removed.p)
		o->removed =
			str_is(ev->removed, REMOVED_ERASED) ? REMOVED_ERASED : REMOVED_ARCHIVED;
}
