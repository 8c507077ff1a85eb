/* Runs a plugin in a child: one line of JSON per run comes back, and the end of the child is one more answer. */
#include "kit/trial.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/option.h"
#include "kit/subprocess.h"
#include "model/task.h"
#include "stage/stage.h"

enum { EXIT_CONFIG = 78, GRACE_MS = 2000 };

/* --- time, in the child --- */

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

static void pass_until(int64_t due_us, bool is_fast)
{
	int64_t left_us = due_us - clock_mono_us();
	struct timespec t = {left_us / 1000000, left_us % 1000000 * 1000};

	if (left_us <= 0)
		return;
	if (is_fast)
		skipped_us += left_us;
	else
		while (nanosleep(&t, &t) < 0 && errno == EINTR)
			;
}

/* --- one run --- */

struct running {
	const struct trial *trial;
	struct pipeline pipeline;
	struct stage_spec spec;
	struct instance *instance;
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
		pass_until(t->due_ms * 1000 < deadline_us ? t->due_ms * 1000 : deadline_us,
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
	run_task(run, t);
	task_free(t);
}

/* --- the child --- */

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

static void work(void *arg, int out, char note[SUBPROCESS_NOTE_SIZE])
{
	const struct trial *t = arg;
	struct running run = {.trial = t,
		.out = out,
		.note = note,
		.spec = {.name = t->stage, .config = t->config, .timeout_ms = t->timeout_ms},
		.pipeline = {.name = "trial", .n_stages = 1}};
	struct err e = {0};
	int r;

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
	snprintf(note, SUBPROCESS_NOTE_SIZE, "%s()", t->is_undo ? "undo" : "run");
	for (int64_t i = 0; i < t->n_runs; i++)
		run_once(&run);
	snprintf(note, SUBPROCESS_NOTE_SIZE, "destroy()");
	instance_destroy(run.instance);
}

/* --- the answer --- */

struct sum {
	cJSON *last, *verdicts;
	double *times;
	size_t n;
};

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void count(cJSON *verdicts, const char *word)
{
	cJSON *n = cJSON_GetObjectItemCaseSensitive(verdicts, word);

	if (n)
		cJSON_SetNumberHelper(n, n->valuedouble + 1);
	else
		cJSON_AddNumberToObject(verdicts, word, 1);
}

/* Takes the line. */
static bool take_line(struct sum *s, cJSON *line)
{
	const cJSON *us = cJSON_GetObjectItemCaseSensitive(line, "us");
	const char *verdict = json_member(line, "verdict").p;

	if (!verdict || !cJSON_IsNumber(us)) {
		cJSON_Delete(line);
		return false;
	}
	s->times[s->n++] = us->valuedouble;
	count(s->verdicts, verdict);
	cJSON_Delete(s->last);
	s->last = line;
	return true;
}

/* What the child said: lines, each complete. *ret_refused is set to the one that refuses. */
static bool read_lines(
	const struct subprocess_end *end, const struct trial *t, struct sum *s, cJSON **ret_refused)
{
	const char *p = end->out.data;

	for (const char *stop; p && (stop = strchr(p, '\n')); p = stop + 1) {
		cJSON *line = cJSON_ParseWithLength(p, (size_t)(stop - p));

		if (line && cJSON_GetObjectItemCaseSensitive(line, "refused")) {
			cJSON_Delete(*ret_refused);
			*ret_refused = line;
		} else if (!line || (int64_t)s->n == t->n_runs || !take_line(s, line)) {
			return false;
		}
	}
	return true;
}

static void add_end(const struct subprocess_end *end, const struct trial *t, struct sum *s)
{
	char how[128], text[SUBPROCESS_NOTE_SIZE + 160];
	const char *word = end->is_late ? "timeout" : "crash";

	subprocess_end_text(end, how, sizeof how);
	if (end->is_late)
		snprintf(text, sizeof text, "%s did not come back within %lld ms", end->note,
			(long long)t->timeout_ms);
	else
		snprintf(text, sizeof text, "%s %s", end->note, how);
	cJSON_Delete(s->last);
	s->last = cJSON_CreateObject();
	cJSON_AddStringToObject(s->last, "verdict", word);
	cJSON_AddStringToObject(s->last, "message", text);
	if (subprocess_end_signal(end))
		cJSON_AddStringToObject(s->last, "signal", subprocess_end_signal(end));
	else
		cJSON_AddNullToObject(s->last, "signal");
	if (!end->signal)
		cJSON_AddNumberToObject(s->last, "exit", end->status);
	count(s->verdicts, word);
}

static cJSON *sum_up(struct sum *s)
{
	cJSON *answer = steal_ptr(s->last), *time;

	cJSON_DeleteItemFromObject(answer, "us");
	cJSON_AddNumberToObject(answer, "runs", (double)s->n);
	cJSON_AddItemToObject(answer, "verdicts", steal_ptr(s->verdicts));
	if (!s->n)
		return answer;
	qsort(s->times, s->n, sizeof *s->times, compare_times);
	time = cJSON_AddObjectToObject(answer, "time_us");
	cJSON_AddNumberToObject(time, "min", s->times[0]);
	cJSON_AddNumberToObject(time, "median", s->times[s->n / 2]);
	cJSON_AddNumberToObject(time, "max", s->times[s->n - 1]);
	return answer;
}

static cJSON *answer_of(
	const struct subprocess_end *end, const struct trial *t, int *ret_status, struct err *e)
{
	_cleanup_(json_freep) cJSON *refused = NULL;
	struct sum s = {.verdicts = cJSON_CreateObject(),
		.times = calloc((size_t)t->n_runs, sizeof *s.times)};
	bool is_whole = s.times && read_lines(end, t, &s, &refused);
	cJSON *answer = NULL;

	*ret_status = EXIT_FAILURE;
	if (!is_whole) {
		err_set(e, -EPROTO, "what came back from the plugin's process cannot be read");
	} else if (refused && end->is_fine) {
		const char *why = json_member(refused, "refused").p;
		const cJSON *status = cJSON_GetObjectItemCaseSensitive(refused, "status");

		*ret_status = cJSON_IsNumber(status) ? status->valueint : EXIT_FAILURE;
		if (why && *why)
			err_set(e, -EINVAL, "%s", why);
	} else {
		if (!end->is_fine)
			add_end(end, t, &s);
		answer = s.last ? sum_up(&s) : NULL;
		if (!answer)
			err_set(e, -EPROTO, "nothing came back from the plugin's process");
	}
	cJSON_Delete(s.last);
	cJSON_Delete(s.verdicts);
	free(s.times);
	return answer;
}

cJSON *trial_run(const struct trial *t, int *ret_status, struct err *e)
{
	struct subprocess_end end = {0};
	cJSON *answer = NULL;
	int64_t silence_ms = t->timeout_ms + GRACE_MS;

	*ret_status = EXIT_FAILURE;
	if (subprocess_run(work, (void *)t, silence_ms, &end, e) == 0)
		answer = answer_of(&end, t, ret_status, e);
	subprocess_end_fini(&end);
	return answer;
}
