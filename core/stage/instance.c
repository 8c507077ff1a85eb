/* One plugin instance for one stage: its options filled, one call of run or undo, and the verdict of it. */
#include "stage/host.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/option.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

#define WAIT_MAX_MS (400LL * DAY_MS)

/* The plugin did what the ABI forbids: its answer is dropped and the attempt counts as a passing trouble. */
static void refuse_answer(struct instance *in, struct task *t, const char *what)
{
	char text[160];

	snprintf(text, sizeof text, "plugin '%s' gave %s", in->plugin->stage->name, what);
	if (!atomic_exchange(&in->has_broken_promise, true))
		log_error("stage=%s order_seq=%lld %s", in->spec->name, (long long)t->order_seq,
			text);
	task_clear_verdict(t);
	t->verdict = VERDICT_RETRY;
	t->message = task_keep(t, str_of(text));
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
	if (t->verdict != VERDICT_DONE) {
		t->n_effects = 0;
		t->shortage = NULL;
	}
	if (t->verdict == VERDICT_LATER) {
		t->turn++;
		t->due_ms = now_us / 1000 + (t->delay_ms > 0 ? t->delay_ms : 0);
	}
	t->duration_us = now_us - t->started_us;
}

static void call_begin(struct task *t)
{
	if (!t->started_us)
		t->started_us = clock_mono_us();
	task_clear_verdict(t);
}

void instance_run(struct instance *in, struct task *t)
{
	const struct sl_stage *stage = in->plugin->stage;
	struct sl_task st = {.task = t, .instance = in};

	call_begin(t);
	task_idempotency_key(t, st.key, sizeof st.key);
	if (t->undo && !stage->undo)
		refuse_answer(in, t, "no way to undo");
	else
		take_answer(in, &st, (t->undo ? stage->undo : stage->run)(in->self, &st));
	settle_times(t);
}

void instance_answer(struct instance *in, struct task *t,
	int32_t (*answer)(void *arg, const struct sl_host *host, struct sl_task *st), void *arg)
{
	struct sl_task st = {.task = t, .instance = in};

	call_begin(t);
	take_answer(in, &st, answer(arg, &in->host, &st));
	settle_times(t);
}

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

static int make_instance(const struct pipeline *p, size_t stage, const struct plugin *plugin,
	bool is_alive, struct instance **ret, struct err *e)
{
	struct instance *in = calloc(1, sizeof *in);
	int r = -ENOMEM;

	if (!in)
		return r;
	pthread_mutex_init(&in->lock, NULL);
	in->plugin = plugin;
	in->pipeline = p;
	in->stage = stage;
	in->is_alive = is_alive;
	in->spec = &p->stages[stage];
	in->host = host_table(in);
	in->catalog = str_dup(p->catalog.n ? p->catalog : STR("[]"));
	if (!in->catalog)
		goto fail;
	in->catalog_len = strlen(in->catalog);
	r = fill_config(in, e);
	if (r == 0 && is_alive)
		r = call_create(in, e);
	if (r < 0)
		goto fail;
	*ret = in;
	return 0;
fail:
	instance_free(in);
	return err_wrap(e, r, "stage '%s'", p->stages[stage].name);
}

int instance_create(const struct pipeline *p, size_t stage, const struct plugin *plugin,
	struct instance **ret, struct err *e)
{
	return make_instance(p, stage, plugin, true, ret, e);
}

int instance_describe(const struct pipeline *p, size_t stage, const struct plugin *plugin,
	struct instance **ret, struct err *e)
{
	return make_instance(p, stage, plugin, false, ret, e);
}

void instance_destroy(struct instance *in)
{
	if (!in)
		return;
	if (in->is_alive && in->plugin->stage->destroy)
		in->plugin->stage->destroy(in->self);
	instance_free(in);
}

void instance_set_waker(struct instance *in, int (*on_wake)(void *arg, uint64_t ticket), void *arg)
{
	pthread_mutex_lock(&in->lock);
	in->on_wake = on_wake;
	in->wake_arg = arg;
	pthread_mutex_unlock(&in->lock);
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
