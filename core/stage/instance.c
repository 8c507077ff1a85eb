/* One plugin instance for one stage: its options, the host table it sees, and one call of run or undo.
 *
 * Everything that a plugin hands in is checked and copied here; nothing behind this file has to doubt it. */
#include "stage/stage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/option.h"

enum { DAY_MS = 24 * 60 * 60 * 1000, EFFECTS_FIRST = 8, REASON_MAX = 256 };

#define WAIT_MAX_MS (400LL * DAY_MS)
#define DELTA_MAX   ((int64_t)1 << 53)	 /* numbers of the state are JSON */
#define VALUE_DEPTH (JSON_DEPTH_MAX - 8) /* results are nested once more in what shows them */

struct instance {
	const struct plugin *plugin;
	const struct stage_spec *spec;
	struct sl_host host;
	void *self;
	void *config;
	struct arena arena; /* strings and lists of the config */
	char *catalog;
	size_t catalog_len;
	atomic_bool has_broken_promise; /* said once */
	pthread_mutex_t lock;
	char last_error[REASON_MAX]; /* what the plugin logged as error: why create failed */
};

struct sl_task {
	struct task *task;
	struct instance *instance;
	char key[ID_TEXT_SIZE + 256];
	const char *refused; /* which result or effect the host could not take; NULL: none */
	size_t effects_cap;
};

static const struct instance *instance_of(const struct sl_host *h)
{
	return h->host;
}

/* --- what a plugin reads --- */

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

/* --- what a plugin hands in --- */

static int replace_text(char **slot, const char *text)
{
	char *copy;

	if (!text || strlen(text) > TASK_MESSAGE_MAX || !utf8_valid(str_of(text)))
		return -EINVAL;
	copy = str_dup(str_of(text));
	if (!copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

static int32_t on_set_message(struct sl_task *t, const char *text)
{
	return replace_text(&t->task->message, text);
}

static int32_t on_set_shortage(struct sl_task *t, const char *text)
{
	return replace_text(&t->task->shortage, text);
}

/* The value again, in the writer's form: compact, on one line, no number that only cJSON understands. */
static int normalise_json(const char *json, size_t len, bool must_be_object, struct buf *out)
{
	_cleanup_(json_freep) cJSON *value = NULL;
	struct json_writer w = {out, false};
	int r;

	if (!json || len > TASK_RESULT_MAX)
		return -EINVAL;
	r = json_parse((struct str){json, len}, VALUE_DEPTH, &value, NULL);
	if (r < 0)
		return r;
	if (must_be_object && !cJSON_IsObject(value))
		return -EINVAL;
	json_tree(&w, value);
	if (out->failed)
		return -ENOMEM;
	return out->len <= TASK_RESULT_MAX ? 0 : -EINVAL;
}

static int32_t on_set_result(struct sl_task *t, const char *json, size_t len)
{
	_cleanup_(buf_fini) struct buf text = {0};
	int r = normalise_json(json, len, true, &text);

	if (r < 0) {
		t->refused = "result (not a JSON object, or too large)";
		return r;
	}
	free(t->task->result);
	t->task->result = buf_steal(&text, NULL);
	return 0;
}

static void on_delay(struct sl_task *t, int64_t ms)
{
	t->task->delay_ms = ms > 0 ? ms : 0;
}

static bool key_is_valid(const char *key)
{
	size_t n = key ? strlen(key) : 0;

	if (!n || n >= TASK_KEY_MAX || !utf8_valid((struct str){key, n}))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
			return false;
	return true;
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

	if (!key_is_valid(key) || task->n_effects >= TASK_EFFECTS_MAX ||
		task->arena.total + value.n > TASK_EFFECT_BYTES_MAX)
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
	if (delta < -DELTA_MAX || delta > DELTA_MAX)
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

static const struct sl_host host_table = {
	.size = sizeof(struct sl_host),
	.abi = SL_ABI,
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
};

/* --- one call --- */

static void forget_effects(struct task *t)
{
	arena_fini(&t->arena);
	t->effects = NULL;
	t->n_effects = 0;
	free(steal_ptr(t->shortage));
}

static void forget_answer(struct task *t)
{
	forget_effects(t);
	free(steal_ptr(t->message));
	free(steal_ptr(t->result));
	t->delay_ms = -1;
}

/* The plugin did what the ABI forbids: its answer is dropped and the attempt counts as a passing trouble. */
static void refuse_answer(struct instance *in, struct task *t, const char *what)
{
	char text[160];

	snprintf(text, sizeof text, "plugin '%s' gave %s", in->plugin->stage->name, what);
	if (!atomic_exchange(&in->has_broken_promise, true))
		log_error("stage=%s order_seq=%lld %s", in->spec->name, (long long)t->order_seq,
			text);
	forget_answer(t);
	t->verdict = VERDICT_RETRY;
	t->message = str_dup(str_of(text));
}

static void take_answer(struct instance *in, struct sl_task *st, int32_t answer)
{
	static const enum verdict verdicts[] = {
		[SL_DONE] = VERDICT_DONE,
		[SL_FAIL] = VERDICT_FAIL,
		[SL_RETRY] = VERDICT_RETRY,
		[SL_LATER] = VERDICT_LATER,
		[SL_WAIT] = VERDICT_WAIT,
	};
	struct task *t = st->task;
	char what[96];

	if (answer < 0 || (size_t)answer >= ARRAY_LEN(verdicts)) {
		snprintf(what, sizeof what, "%d, which is no verdict", answer);
		refuse_answer(in, t, what);
	} else if (answer == SL_DONE && st->refused) {
		snprintf(what, sizeof what, "an invalid %s", st->refused);
		refuse_answer(in, t, what);
	} else {
		t->verdict = verdicts[answer];
	}
}

static void settle_times(struct task *t)
{
	int64_t max_ms = t->verdict == VERDICT_WAIT ? WAIT_MAX_MS : DAY_MS;
	int64_t now_us = clock_mono_us();

	if (t->delay_ms > max_ms)
		t->delay_ms = max_ms;
	if (t->verdict != VERDICT_DONE)
		forget_effects(t);
	if (t->verdict == VERDICT_LATER) {
		t->turn++;
		t->due_ms = now_us / 1000 + (t->delay_ms > 0 ? t->delay_ms : 0);
	}
	t->duration_ms = (now_us - t->started_us) / 1000;
}

void instance_run(struct instance *in, struct task *t)
{
	const struct sl_stage *stage = in->plugin->stage;
	struct sl_task st = {.task = t, .instance = in};

	if (!t->started_us)
		t->started_us = clock_mono_us();
	forget_answer(t);
	task_idempotency_key(t, st.key, sizeof st.key);
	if (t->undo && !stage->undo)
		refuse_answer(in, t, "no way to undo");
	else
		take_answer(in, &st, (t->undo ? stage->undo : stage->run)(in->self, &st));
	settle_times(t);
}

/* --- making and ending --- */

static int fill_config(struct instance *in, struct err *e)
{
	const struct sl_stage *stage = in->plugin->stage;
	struct yaml_faults faults = {0};
	int r;

	in->config = calloc(1, stage->config_size ? stage->config_size : 1);
	if (!in->config)
		return -ENOMEM;
	r = option_read(stage->options, stage->n_options, in->spec->config, NULL, in->config,
		stage->config_size, &in->arena, &faults);
	if (r == -EINVAL)
		yaml_faults_first(&faults, e);
	yaml_faults_fini(&faults);
	return r;
}

static int call_create(struct instance *in, struct err *e)
{
	const struct sl_stage *stage = in->plugin->stage;
	int32_t r = stage->create(&in->host, in->config, &in->self);
	int code = r < 0 && r > -4096 ? r : -EPROTO;

	if (r == 0)
		return 0;
	pthread_mutex_lock(&in->lock);
	err_set(e, code, "plugin '%s' could not start: %s", stage->name,
		in->last_error[0] ? in->last_error : strerror(-code));
	pthread_mutex_unlock(&in->lock);
	return code;
}

static void instance_free(struct instance *in)
{
	pthread_mutex_destroy(&in->lock);
	arena_fini(&in->arena);
	free(in->config);
	free(in->catalog);
	free(in);
}

int instance_create(const struct pipeline *p, size_t stage, const struct plugin *plugin,
	struct instance **ret, struct err *e)
{
	struct instance *in = calloc(1, sizeof *in);
	int r = -ENOMEM;

	if (!in)
		return r;
	pthread_mutex_init(&in->lock, NULL);
	in->plugin = plugin;
	in->spec = &p->stages[stage];
	in->host = host_table;
	in->host.host = in;
	in->catalog = str_dup(p->catalog.n ? p->catalog : STR("[]"));
	if (!in->catalog)
		goto fail;
	in->catalog_len = strlen(in->catalog);
	r = fill_config(in, e);
	if (r == 0)
		r = call_create(in, e);
	if (r < 0)
		goto fail;
	*ret = in;
	return 0;
fail:
	instance_free(in);
	return err_wrap(e, r, "stage '%s'", p->stages[stage].name);
}

void instance_destroy(struct instance *in)
{
	if (!in)
		return;
	if (in->plugin->stage->destroy)
		in->plugin->stage->destroy(in->self);
	instance_free(in);
}

bool instance_can_undo(const struct instance *in)
{
	return in->plugin->stage->undo != NULL;
}

bool instance_is_concurrent(const struct instance *in)
{
	return in->plugin->stage->flags & SL_STAGE_CONCURRENT;
}

const struct stage_spec *instance_spec(const struct instance *in)
{
	return in->spec;
}
