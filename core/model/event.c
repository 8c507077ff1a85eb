/* Events: the table of kinds, the payload's canonical JSON and its reading, and the form the API shows. */
#include "model/event.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_scan.h"
#include "base/mem.h"

static const struct event_kind_info kinds[EVENT_KINDS] = {
	[EVENT_ORDER_CREATED] = {"order_created", "created", false},
	[EVENT_STAGE_DONE] = {NULL, "success", false},
	[EVENT_STAGE_SKIPPED] = {"stage_skipped", "info", false},
	[EVENT_STAGE_RETRYING] = {"stage_retrying", "retrying", false},
	[EVENT_ATTEMPT_LOST] = {"attempt_lost", "retrying", false},
	[EVENT_STAGE_FAILED] = {"stage_failed", "failed", false},
	[EVENT_STAGE_HELD] = {"stage_held", "held", false},
	[EVENT_STAGE_RELEASED] = {"stage_released", "info", false},
	[EVENT_STAGE_WAITING] = {"stage_waiting", "info", false},
	[EVENT_STAGE_SIGNALLED] = {"stage_signalled", "info", false},
	[EVENT_STAGE_UNDONE] = {NULL, "undone", false},
	[EVENT_CANCEL_REQUESTED] = {"cancel_requested", "info", false},
	[EVENT_ORDER_COMPLETED] = {"order_completed", "success", true},
	[EVENT_ORDER_FAILED] = {"order_failed", "failed", true},
	[EVENT_ORDER_CANCELLED] = {"order_cancelled", "failed", true},
	[EVENT_STATE_ADJUSTED] = {"state_adjusted", "info", false},
	[EVENT_PIPELINE_LOADED] = {"pipeline_loaded", "info", false},
	[EVENT_STAGE_PAUSED] = {"stage_paused", "info", false},
	[EVENT_STAGE_RESUMED] = {"stage_resumed", "info", false},
	[EVENT_ORDER_MIGRATED] = {"order_migrated", "info", false},
	[EVENT_ORDER_ERASED] = {"order_erased", "info", false},
	[EVENT_ORDER_ARCHIVED] = {"order_archived", "info", false},
	[EVENT_ORDERS_ARCHIVED] = {"orders_archived", "info", false},
	[EVENT_JOURNAL_RECOVERED] = {"journal_recovered", "info", false},
};

const struct event_kind_info *event_kind_info(enum event_kind kind)
{
	static const struct event_kind_info unknown = {"unknown", "info", false};

	return kind > 0 && kind < EVENT_KINDS ? &kinds[kind] : &unknown;
}

bool event_type_is_reserved(struct str type)
{
	for (size_t i = 1; i < EVENT_KINDS; i++)
		if (kinds[i].type && str_is(type, kinds[i].type))
			return true;
	return false;
}

void event_list_init(struct event_list *list, struct arena *arena)
{
	*list = (struct event_list){.arena = arena};
	list->last = &list->first;
}

struct event *event_list_add(struct event_list *list, enum event_kind kind)
{
	struct event *ev = arena_alloc(list->arena, sizeof *ev);

	if (!ev)
		return NULL;
	ev->kind = kind;
	ev->duration_ms = -1;
	if (event_kind_info(kind)->type)
		ev->type = str_of(event_kind_info(kind)->type);
	*list->last = ev;
	list->last = &ev->next;
	list->n++;
	return ev;
}

/* --- payload fields: one table for writing and reading --- */

enum { PAYLOAD_DEPTH = JSON_DEPTH_MAX + 4 };

/* FIELD_SET: bits; a number as long as JSON can hold it exactly, else hexadecimal text. */
enum field_type { FIELD_TEXT, FIELD_RAW, FIELD_INT, FIELD_FLAG, FIELD_SET };

struct field {
	const char *name;
	enum field_type type;
	size_t offset;
	int64_t absent; /* FIELD_INT: the value that is not written */
};

#define EXACT_MAX ((uint64_t)1 << 53)

#define FIELD(name, type, member, absent)                                                          \
	{                                                                                          \
		name, type, offsetof(struct event, member), absent                                 \
	}

static const struct field fields[] = {
	FIELD("undo", FIELD_FLAG, undo, 0),
	FIELD("suspect", FIELD_FLAG, suspect, 0),
	FIELD("unsure", FIELD_FLAG, unsure, 0),
	FIELD("message", FIELD_TEXT, message, 0),
	FIELD("metadata", FIELD_RAW, metadata, 0),
	FIELD("duration_ms", FIELD_INT, duration_ms, -1),
	FIELD("due_us", FIELD_INT, due_us, 0),
	FIELD("order", FIELD_RAW, body, 0),
	FIELD("generation", FIELD_TEXT, generation, 0),
	FIELD("key", FIELD_TEXT, key, 0),
	FIELD("action", FIELD_TEXT, action, 0),
	FIELD("reason", FIELD_TEXT, reason, 0),
	FIELD("text", FIELD_TEXT, text, 0),
	FIELD("awaited", FIELD_SET, awaited, 0),
	FIELD("removed", FIELD_TEXT, removed, 0),
	FIELD("kept", FIELD_TEXT, kept, 0),
};

static void encode_set(uint64_t set, struct json_writer *w)
{
	char text[24];

	if (set <= EXACT_MAX) {
		json_int(w, (int64_t)set);
		return;
	}
	snprintf(text, sizeof text, "%" PRIx64, set);
	json_text(w, text);
}

static bool decode_set(const cJSON *j, uint64_t *ret)
{
	int64_t number;
	char *end;

	if (cJSON_IsString(j)) {
		*ret = strtoull(j->valuestring, &end, 16);
		return end != j->valuestring && !*end;
	}
	if (!json_to_int(j, &number))
		return false;
	*ret = (uint64_t)number;
	return true;
}

static void encode_field(const struct field *f, const struct event *ev, struct json_writer *w)
{
	const void *at = (const char *)ev + f->offset;

	if (f->type == FIELD_FLAG && *(const bool *)at) {
		json_key(w, f->name);
		json_bool(w, true);
	} else if (f->type == FIELD_INT && *(const int64_t *)at != f->absent) {
		json_key(w, f->name);
		json_int(w, *(const int64_t *)at);
	} else if (f->type == FIELD_SET && *(const uint64_t *)at) {
		json_key(w, f->name);
		encode_set(*(const uint64_t *)at, w);
	} else if (f->type == FIELD_TEXT && ((const struct str *)at)->p) {
		json_key(w, f->name);
		json_str(w, *(const struct str *)at);
	} else if (f->type == FIELD_RAW && ((const struct str *)at)->p) {
		json_key(w, f->name);
		json_raw(w, *(const struct str *)at);
	}
}

static void encode_effect(const struct effect *f, struct json_writer *w)
{
	static const char *const words[] = {"add", "put", "delete"};

	json_open(w, '[');
	json_text(w, words[f->kind]);
	json_str(w, f->key);
	if (f->kind == EFFECT_ADD) {
		json_int(w, f->delta);
		if (f->floor != EFFECT_NO_FLOOR)
			json_int(w, f->floor);
	} else if (f->kind == EFFECT_PUT) {
		json_raw(w, f->json);
	}
	json_close(w, ']');
}

void event_encode(const struct event *ev, struct buf *out)
{
	struct json_writer w = {out, false};

	json_open(&w, '{');
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		encode_field(&fields[i], ev, &w);
	if (ev->n_effects) {
		json_key(&w, "effects");
		json_open(&w, '[');
		for (size_t i = 0; i < ev->n_effects; i++)
			encode_effect(&ev->effects[i], &w);
		json_close(&w, ']');
	}
	json_close(&w, '}');
}

static int tree_copy(struct arena *arena, const cJSON *j, struct str *ret)
{
	_cleanup_(buf_fini) struct buf b = {0};
	struct json_writer w = {&b, false};

	json_tree(&w, j);
	return !b.failed && arena_copy(arena, buf_view(&b), ret) ? 0 : -ENOMEM;
}

/* What does not stand in the text as it is: escapes, blanks, large numbers. */
static int decode_tree(const struct field *f, const cJSON *j, struct event *ev, struct arena *arena)
{
	void *at = (char *)ev + f->offset;

	switch (f->type) {
	case FIELD_FLAG:
		break;
	case FIELD_INT:
		return json_to_int(j, at) ? 0 : -EINVAL;
	case FIELD_TEXT:
		if (!cJSON_IsString(j))
			return -EINVAL;
		return arena_copy(arena, str_of(j->valuestring), at) ? 0 : -ENOMEM;
	case FIELD_RAW:
		return tree_copy(arena, j, at);
	case FIELD_SET:
		return decode_set(j, at) ? 0 : -EINVAL;
	}
	return -EINVAL;
}

static int decode_effect(const cJSON *j, struct effect *f, struct arena *arena)
{
	const cJSON *word = cJSON_GetArrayItem(j, 0), *key = cJSON_GetArrayItem(j, 1);
	const cJSON *third = cJSON_GetArrayItem(j, 2), *fourth = cJSON_GetArrayItem(j, 3);

	if (!cJSON_IsString(word) || !cJSON_IsString(key))
		return -EINVAL;
	if (!arena_copy(arena, str_of(key->valuestring), &f->key))
		return -ENOMEM;
	f->floor = EFFECT_NO_FLOOR;
	if (strcmp(word->valuestring, "add") == 0) {
		f->kind = EFFECT_ADD;
		if (!json_to_int(third, &f->delta) || (fourth && !json_to_int(fourth, &f->floor)))
			return -EINVAL;
		return 0;
	}
	if (strcmp(word->valuestring, "put") == 0) {
		f->kind = EFFECT_PUT;
		return third ? tree_copy(arena, third, &f->json) : -EINVAL;
	}
	f->kind = EFFECT_DELETE;
	return strcmp(word->valuestring, "delete") == 0 ? 0 : -EINVAL;
}

static int decode_effects(const cJSON *list, struct event *ev, struct arena *arena)
{
	size_t n = (size_t)cJSON_GetArraySize(list), i = 0;
	const cJSON *item;

	ev->effects = arena_alloc(arena, n * sizeof *ev->effects);
	if (!ev->effects)
		return -ENOMEM;
	cJSON_ArrayForEach (item, list) {
		int r = decode_effect(item, &ev->effects[i++], arena);

		if (r < 0)
			return r;
	}
	ev->n_effects = n;
	return 0;
}

static const struct field *field_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (str_is(name, fields[i].name))
			return &fields[i];
	return NULL;
}

/* A member of the payload as it stands in the text. */
struct member {
	struct str key, value;
	bool is_compact;
};

/* What nearly all fields are: taken from the text as it stands. 1: it needs a tree. */
static int decode_plain(
	const struct field *f, const struct member *m, struct event *ev, struct arena *arena)
{
	void *at = (char *)ev + f->offset;
	struct str text;

	switch (f->type) {
	case FIELD_FLAG:
		*(bool *)at = str_is(m->value, "true");
		return 0;
	case FIELD_INT:
		return json_scan_int(m->value, at) ? 0 : 1;
	case FIELD_TEXT:
		text = json_scan_text(m->value);
		return !text.p ? 1 : arena_copy(arena, text, at) ? 0 : -ENOMEM;
	case FIELD_RAW:
		return !m->is_compact ? 1 : arena_copy(arena, m->value, at) ? 0 : -ENOMEM;
	case FIELD_SET:
		return 1;
	}
	return -EINVAL;
}

static int decode_member(const struct member *m, struct event *ev, struct arena *arena)
{
	_cleanup_(json_freep) cJSON *j = NULL;
	const struct field *f = field_find(m->key);
	int r = f ? decode_plain(f, m, ev, arena) : 1;

	if (!f && !str_is(m->key, "effects"))
		return -EINVAL;
	if (r <= 0)
		return r;
	r = json_parse(m->value, PAYLOAD_DEPTH, &j, NULL);
	if (r < 0)
		return r;
	return f ? decode_tree(f, j, ev, arena) : decode_effects(j, ev, arena);
}

int event_decode(struct str payload, struct event *ev, struct arena *arena)
{
	struct member m;
	struct json_scan s;
	int r = json_check(payload, PAYLOAD_DEPTH, &m.is_compact, NULL);

	if (r < 0)
		return r;
	if (!json_scan_begin(&s, payload))
		return -EINVAL;
	ev->duration_ms = -1;
	while (r == 0 && json_scan_next(&s, &m.key, &m.value))
		r = decode_member(&m, ev, arena);
	return r;
}

void event_json(const struct event *ev, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "order_id");
	if (ev->order_seq)
		json_id(w, &ev->order_id);
	else
		json_null(w);
	json_key(w, "event_type");
	json_str(w, ev->type);
	json_key(w, "status");
	json_text(w, event_kind_info(ev->kind)->status);
	json_key(w, "message");
	json_str(w, ev->message.p ? ev->message : STR(""));
	json_key(w, "timestamp");
	json_time(w, ev->time_us);
	json_key(w, "metadata");
	json_raw(w, ev->metadata.p ? ev->metadata : STR("{}"));
	json_key(w, "seq");
	json_int(w, ev->seq);
	if (ev->stage.p) {
		json_key(w, "stage");
		json_str(w, ev->stage);
	}
	if (ev->attempt) {
		json_key(w, "attempt");
		json_int(w, ev->attempt);
	}
	if (ev->undo) {
		json_key(w, "undo");
		json_bool(w, true);
	}
	if (ev->duration_ms >= 0) {
		json_key(w, "duration_ms");
		json_int(w, ev->duration_ms);
	}
	if (ev->due_us) {
		json_key(w, "due_at");
		json_time(w, ev->due_us);
	}
	if (ev->action.p) {
		json_key(w, "action");
		json_str(w, ev->action);
	}
	if (ev->reason.p) {
		json_key(w, "reason");
		json_str(w, ev->reason);
	}
	if (ev->removed.p) {
		json_key(w, "removed");
		json_str(w, ev->removed);
	}
	json_close(w, '}');
}
