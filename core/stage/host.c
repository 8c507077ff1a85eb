/* The host table: what a plugin reads of its task, and what it hands in.
 *
 * Everything that a plugin hands in is checked and copied here; nothing behind this file has to doubt it. */
#include "stage/host.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { EFFECTS_FIRST = 8 };

static const struct instance *instance_of(const struct sl_host *h)
{
	return h->host;
}

static const char *give_text(const char *text, const char *otherwise, size_t *ret_len)
{
	if (!text)
		text = otherwise;
	if (ret_len)
		*ret_len = strlen(text);
	return text;
}

static const char *on_order(const struct sl_task *t, size_t *ret_len)
{
	return give_text(t->task->order, "{}", ret_len);
}

static const char *on_results(const struct sl_task *t, size_t *ret_len)
{
	return give_text(t->task->results, "{}", ret_len);
}

static const char *on_signal(const struct sl_task *t, size_t *ret_len)
{
	return t->task->signal ? give_text(t->task->signal, "{}", ret_len) : NULL;
}

static const char *on_idempotency_key(const struct sl_task *t)
{
	return t->key;
}

static uint32_t on_attempt(const struct sl_task *t)
{
	return t->task->attempt;
}

static uint32_t on_turn(const struct sl_task *t)
{
	return t->task->turn;
}

static uint64_t on_ticket(const struct sl_task *t)
{
	t->task->is_ticketed = t->task->ticket != 0;
	return t->task->ticket;
}

static int32_t on_wake(const struct sl_host *h, uint64_t ticket)
{
	struct instance *in = h->host;
	int32_t r = -ENOENT;

	pthread_mutex_lock(&in->lock);
	if (in->on_wake)
		r = in->on_wake(in->wake_arg, ticket);
	pthread_mutex_unlock(&in->lock);
	return r;
}

static int64_t on_now_us(const struct sl_host *h)
{
	(void)h;
	return clock_wall_us();
}

static const char *on_catalog(const struct sl_host *h, size_t *ret_len)
{
	const struct instance *in = instance_of(h);

	if (ret_len)
		*ret_len = in->catalog_len;
	return in->catalog;
}

static const char *on_stage_name(const struct sl_host *h)
{
	return instance_of(h)->spec->name;
}

static void on_log(const struct sl_host *h, int32_t level, const char *text)
{
	struct instance *in = h->host;

	if (!text)
		return;
	if (level < LOG_ERROR || level > LOG_DEBUG)
		level = LOG_INFO;
	if (level == LOG_ERROR) {
		pthread_mutex_lock(&in->lock);
		snprintf(in->last_error, sizeof in->last_error, "%s", text);
		pthread_mutex_unlock(&in->lock);
	}
	log_write((enum log_level)level, "stage=%s plugin=%s: %s", in->spec->name,
		in->plugin->stage->name, text);
}

/* A plugin that hands in the same thing over and over does not fill the memory. */
static bool has_room(const struct task *t, size_t n)
{
	return t->arena.total + n <= TASK_VERDICT_BYTES_MAX;
}

static int keep_text(struct task *t, const char **slot, const char *text)
{
	const char *copy;

	if (!text || strlen(text) > TASK_MESSAGE_MAX || !utf8_valid(str_of(text)) ||
		!has_room(t, strlen(text)))
		return -EINVAL;
	copy = task_keep(t, str_of(text));
	if (!copy)
		return -ENOMEM;
	*slot = copy;
	return 0;
}

static int32_t on_set_message(struct sl_task *t, const char *text)
{
	return keep_text(t->task, &t->task->message, text);
}

static int32_t on_set_shortage(struct sl_task *t, const char *text)
{
	return keep_text(t->task, &t->task->shortage, text);
}

/* The value as it is when it is compact, else in the writer's form, which is. */
static int normalise_json(const char *json, size_t len, bool must_be_object, struct buf *out)
{
	_cleanup_(json_freep) cJSON *value = NULL;
	struct json_writer w = {out, false};
	struct str text = {json, len};
	bool is_compact;
	int r;

	if (!json || len > TASK_RESULT_MAX)
		return -EINVAL;
	r = json_check(text, TASK_JSON_DEPTH, &is_compact, NULL);
	if (r == 0 && is_compact && must_be_object && *json != '{')
		return -EINVAL;
	if (r == 0 && is_compact)
		buf_str(out, text);
	else if (r == 0)
		r = json_parse(text, TASK_JSON_DEPTH, &value, NULL);
	if (r < 0)
		return r;
	if (value && must_be_object && !cJSON_IsObject(value))
		return -EINVAL;
	if (value)
		json_tree(&w, value);
	if (out->failed)
		return -ENOMEM;
	return out->len <= TASK_RESULT_MAX ? 0 : -EINVAL;
}

static int32_t on_set_result(struct sl_task *t, const char *json, size_t len)
{
	_cleanup_(buf_fini) struct buf text = {0};
	int r = normalise_json(json, len, true, &text);
	const char *copy;

	if (r < 0 || !has_room(t->task, text.len)) {
		t->refused = "result (not a JSON object, or too large)";
		return r < 0 ? r : -EINVAL;
	}
	copy = task_keep(t->task, buf_view(&text));
	if (!copy)
		return -ENOMEM;
	t->task->result = copy;
	return 0;
}

static void on_delay(struct sl_task *t, int64_t ms)
{
	t->task->delay_ms = ms > 0 ? ms : 0;
}

static bool has_room_for_effect(struct sl_task *t)
{
	struct task *task = t->task;
	size_t cap = t->effects_cap ? t->effects_cap * 2 : EFFECTS_FIRST;
	struct effect *grown;

	if (task->n_effects < t->effects_cap)
		return true;
	grown = arena_alloc(&task->arena, cap * sizeof *grown);
	if (!grown)
		return false;
	if (task->n_effects)
		memcpy(grown, task->effects, task->n_effects * sizeof *grown);
	task->effects = grown;
	t->effects_cap = cap;
	return true;
}

static int add_effect(struct sl_task *t, const char *key, struct effect effect)
{
	struct task *task = t->task;
	struct str value = effect.json;

	if (!task_key_is_valid(key) || task->n_effects >= TASK_EFFECTS_MAX ||
		!has_room(task, value.n))
		return -EINVAL;
	if (!has_room_for_effect(t) || !arena_copy(&task->arena, str_of(key), &effect.key) ||
		!arena_copy(&task->arena, value, &effect.json))
		return -ENOMEM;
	task->effects[task->n_effects++] = effect;
	return 0;
}

static int32_t note_refusal(struct sl_task *t, int r)
{
	if (r < 0)
		t->refused = r == -ENOMEM ? "effect (no memory)" : "effect (out of bounds)";
	return r;
}

static int32_t on_effect_add(struct sl_task *t, const char *key, int64_t delta, int64_t floor)
{
	bool has_floor = floor != EFFECT_NO_FLOOR;

	if (delta < -TASK_DELTA_MAX || delta > TASK_DELTA_MAX ||
		(has_floor && (floor < -TASK_DELTA_MAX || floor > TASK_DELTA_MAX)))
		return note_refusal(t, -EINVAL);
	return note_refusal(
		t, add_effect(t, key,
			   (struct effect){.kind = EFFECT_ADD, .delta = delta, .floor = floor}));
}

static int32_t on_effect_put(struct sl_task *t, const char *key, const char *json, size_t len)
{
	_cleanup_(buf_fini) struct buf text = {0};
	int r = normalise_json(json, len, false, &text);

	if (r == 0)
		r = add_effect(
			t, key, (struct effect){.kind = EFFECT_PUT, .json = buf_view(&text)});
	return note_refusal(t, r);
}

static int32_t on_effect_delete(struct sl_task *t, const char *key)
{
	return note_refusal(t, add_effect(t, key, (struct effect){.kind = EFFECT_DELETE}));
}

struct sl_host host_table(struct instance *in)
{
	return (struct sl_host){
		.size = sizeof(struct sl_host),
		.abi = SL_ABI,
		.host = in,
		.order = on_order,
		.results = on_results,
		.idempotency_key = on_idempotency_key,
		.attempt = on_attempt,
		.turn = on_turn,
		.now_us = on_now_us,
		.set_message = on_set_message,
		.set_result = on_set_result,
		.delay = on_delay,
		.effect_add = on_effect_add,
		.effect_put = on_effect_put,
		.effect_delete = on_effect_delete,
		.set_shortage = on_set_shortage,
		.catalog = on_catalog,
		.stage_name = on_stage_name,
		.log = on_log,
		.signal = on_signal,
		.ticket = on_ticket,
		.wake = on_wake,
	};
}
