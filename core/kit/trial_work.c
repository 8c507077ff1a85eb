/* A trial in its child: the plugin is loaded, called as often as asked, and each run is one line of JSON. */
#include "kit/trial_work.h"

#include <limits.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/option.h"
#include "model/task.h"
#include "stage/stage.h"

enum { EXIT_CONFIG = 78 };

/* --- time --- */

/* What SL_LATER asked for and nobody waited for. */
static int64_t skipped_us;

static int64_t read_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t wall_us(void)
{
	return read_us(CLOCK_REALTIME) + skipped_us;
}

static int64_t mono_us(void)
{
	return read_us(CLOCK_MONOTONIC) + skipped_us;
}

static const struct clock_source clocks = {wall_us, mono_us};

/* The one task that is tried, for a plugin that wakes it. */
struct alarm {
	sem_t rings;
	atomic_uint_fast64_t ticket;
};

static int on_wake(void *arg, uint64_t ticket)
{
	struct alarm *a = arg;

	if (ticket != a->ticket)
		return -ENOENT;
	sem_post(&a->rings);
	return 0;
}

static void pass_until(struct alarm *a, int64_t due_us, bool is_fast)
{
	int64_t left_us = due_us - clock_mono_us(), until_us = due_us - skipped_us;
	struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};

	if (left_us <= 0)
		return;
	if (is_fast)
		skipped_us += left_us;
	else
		while (sem_clockwait(&a->rings, CLOCK_MONOTONIC, &until) < 0 && errno == EINTR)
			;
}

/* --- one run --- */

struct running {
	const struct trial *trial;
	struct pipeline pipeline;
	struct stage_spec spec;
	struct instance *instance;
	struct alarm *alarm;
	int out;
	char *note;
};

static void write_effect(const struct effect *f, struct json_writer *w)
{
	static const char *const names[] = {"add", "put", "delete"};

	json_open(w, '{');
	json_key(w, names[f->kind]);
	json_str(w, f->key);
	if (f->kind == EFFECT_ADD) {
		json_key(w, "by");
		json_int(w, f->delta);
	}
	if (f->kind == EFFECT_ADD && f->floor != EFFECT_NO_FLOOR) {
		json_key(w, "floor");
		json_int(w, f->floor);
	}
	if (f->kind == EFFECT_PUT) {
		json_key(w, "value");
		json_raw(w, f->json);
	}
	json_close(w, '}');
}

static int write_run(
	const struct running *run, const struct task *t, int64_t call_us, int64_t waited_us)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	json_open(&w, '{');
	json_key(&w, "verdict");
	json_text(&w, verdict_word(t->verdict));
	json_key(&w, "message");
	json_text(&w, t->message);
	json_key(&w, "shortage");
	json_text(&w, t->shortage);
	json_key(&w, "result");
	json_raw(&w, t->result ? str_of(t->result) : STR("null"));
	json_key(&w, "effects");
	json_open(&w, '[');
	for (size_t i = 0; i < t->n_effects; i++)
		write_effect(&t->effects[i], &w);
	json_close(&w, ']');
	json_key(&w, "delay_ms");
	if (t->delay_ms >= 0)
		json_int(&w, t->delay_ms);
	else
		json_null(&w);
	json_key(&w, "turns");
	json_int(&w, t->turn + 1);
	json_key(&w, "waited_ms");
	json_int(&w, waited_us / 1000);
	json_key(&w, "us");
	json_int(&w, call_us);
	json_close(&w, '}');
	buf_char(&text, '\n');
	return subprocess_write(run->out, &text);
}

static void run_task(const struct running *run, struct task *t)
{
	int64_t call_us = 0, waited_us = 0, deadline_us = INT64_MAX;

	for (;;) {
		int64_t start_us = read_us(CLOCK_MONOTONIC), from_us;

		instance_run(run->instance, t);
		call_us += read_us(CLOCK_MONOTONIC) - start_us;
		if (t->verdict != VERDICT_LATER)
			break;
		from_us = clock_mono_us();
		deadline_us = t->started_us + run->spec.timeout_ms * 1000;
		pass_until(run->alarm,
			t->due_ms * 1000 < deadline_us ? t->due_ms * 1000 : deadline_us,
			run->trial->is_fast);
		waited_us += clock_mono_us() - from_us;
		if (clock_mono_us() >= deadline_us) {
			task_clear_verdict(t);
			t->verdict = VERDICT_TIMEOUT;
			t->message = "the stage's timeout passed while it answered SL_LATER";
			break;
		}
	}
	if (write_run(run, t, call_us, waited_us) < 0)
		_exit(1);
}

/* The order as stages see it: with an id and a time, its own or new ones. */
static void write_order(const cJSON *order, const struct id *id, struct buf *out)
{
	struct json_writer w = {out, false};
	const cJSON *member;

	json_open(&w, '{');
	if (!cJSON_GetObjectItemCaseSensitive(order, "id")) {
		json_key(&w, "id");
		json_id(&w, id);
	}
	if (!cJSON_GetObjectItemCaseSensitive(order, "created_at")) {
		json_key(&w, "created_at");
		json_time(&w, clock_wall_us());
	}
	cJSON_ArrayForEach (member, order) {
		json_key(&w, member->string);
		json_tree(&w, member);
	}
	json_close(&w, '}');
}

static void run_once(const struct running *run)
{
	_cleanup_(buf_fini) struct buf order = {0};
	const struct trial *trial = run->trial;
	struct str own_id = json_member(trial->order, "id");
	struct task *t;
	struct id id;

	if (!own_id.p || id_parse(own_id, &id) < 0)
		id_create(&id, clock_wall_us());
	write_order(trial->order, &id, &order);
	t = order.failed ? NULL : task_new(buf_view(&order), trial->results, trial->signal);
	if (!t)
		_exit(1);
	t->pipeline = &run->pipeline;
	t->order_id = id;
	t->order_seq = 1;
	t->attempt = (uint32_t)trial->attempt;
	t->undo = trial->is_undo;
	t->ticket = ++run->alarm->ticket;
	run_task(run, t);
	run->alarm->ticket++; /* whoever wakes it now comes too late */
	task_free(t);
}

/* --- the plugin --- */

/* One line that says why there is no run. `status`: of the command. */
static void refuse(int out, int status, const char *why)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	json_open(&w, '{');
	json_key(&w, "refused");
	json_text(&w, why);
	json_key(&w, "status");
	json_int(&w, status);
	json_close(&w, '}');
	buf_char(&text, '\n');
	subprocess_write(out, &text);
}

/* "some/where/NAME.so" → folder and name */
static int load(const char *file, const struct plugin **ret, struct err *e)
{
	char folder[PATH_MAX], name[PATH_MAX];
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	size_t n = strlen(base);
	const char *path = folder;
	struct plugin_folders folders = {&path, 1};

	if (n < 4 || strcmp(base + n - 3, ".so") != 0 || strlen(file) >= sizeof folder)
		return err_set(e, -EINVAL, "'%s' is not called NAME.so", file);
	snprintf(
		folder, sizeof folder, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
	if (slash == file)
		snprintf(folder, sizeof folder, "/");
	snprintf(name, sizeof name, "%.*s", (int)(n - 3), base);
	return plugin_load(&folders, name, ret, e);
}

/* false: the faults were printed. */
static bool config_is_fine(const struct running *run, const struct plugin *plugin)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(arena_fini) struct arena arena = {0};
	const struct sl_stage *stage = plugin->stage;
	_cleanup_(freep) void *config = calloc(1, stage->config_size + 1);

	if (!config || option_read(stage->options, stage->n_options, run->spec.config, NULL, config,
			       stage->config_size, &arena, &faults) == 0)
		return true;
	for (size_t i = 0; i < faults.n && i < YAML_FAULTS_MAX; i++)
		if (faults.list[i].line == 1)
			faults.list[i].column -= run->trial->config_shift;
	yaml_faults_print(&faults, run->trial->config_name, stderr);
	return false;
}

static int prepare(struct running *run, struct err *e)
{
	const struct plugin *plugin;
	int r;

	snprintf(run->note, SUBPROCESS_NOTE_SIZE, "loading");
	r = load(run->trial->file, &plugin, e);
	if (r < 0)
		return r;
	run->spec.plugin = plugin->stage->name;
	if (!run->spec.name)
		run->spec.name = plugin->stage->name;
	if (!config_is_fine(run, plugin))
		return -EDOM;
	snprintf(run->note, SUBPROCESS_NOTE_SIZE, "create()");
	r = instance_create(&run->pipeline, 0, plugin, &run->instance, e);
	if (r == 0 && run->trial->is_undo && !instance_can_undo(run->instance))
		r = err_set(e, -EINVAL, "plugin '%s' has no undo()", plugin->stage->name);
	return r;
}

void trial_work(void *arg, int out, char note[SUBPROCESS_NOTE_SIZE])
{
	const struct trial *t = arg;
	struct running run = {.trial = t,
		.out = out,
		.note = note,
		.spec = {.name = t->stage, .config = t->config, .timeout_ms = t->timeout_ms},
		.pipeline = {.name = "trial", .n_stages = 1}};
	struct alarm alarm = {0};
	struct err e = {0};
	int r;

	sem_init(&alarm.rings, 0, 0);
	run.alarm = &alarm;
	run.pipeline.stages = &run.spec;
	if (t->pipeline)
		run.pipeline.catalog = t->pipeline->catalog;
	clock_set_source(&clocks);
	r = prepare(&run, &e);
	if (r < 0) {
		refuse(out, r == -EDOM ? EXIT_CONFIG : EXIT_FAILURE,
			r == -EDOM ? ""
			: e.code   ? err_text(&e)
				   : strerror(-r));
		return;
	}
	instance_set_waker(run.instance, on_wake, &alarm);
	snprintf(note, SUBPROCESS_NOTE_SIZE, "%s()", t->is_undo ? "undo" : "run");
	for (int64_t i = 0; i < t->n_runs; i++)
		run_once(&run);
	snprintf(note, SUBPROCESS_NOTE_SIZE, "destroy()");
	instance_set_waker(run.instance, NULL, NULL);
	instance_destroy(run.instance);
}
