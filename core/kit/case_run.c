/* Runs a case in a child, and makes one answer of what it says and of how it ended. */
#include "kit/case_run.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kit/subprocess.h"
#include "kit/play.h"
#include "kit/span.h"

struct job {
	const struct case_setup *setup;
	struct pipeline *pipeline;
	const struct order_case *c;
	const char *folder;
};

/* --- in the child --- */

static void write_fault(struct json_writer *w, int line, int column, const char *text)
{
	json_open(w, '{');
	json_key(w, "line");
	json_int(w, line);
	json_key(w, "column");
	json_int(w, column);
	json_key(w, "text");
	json_text(w, text);
	json_close(w, '}');
}

static void write_events(const struct play *p, struct json_writer *w)
{
	json_key(w, "events");
	json_open(w, '[');
	for (size_t i = 0; i < p->n_events; i++) {
		_cleanup_(buf_fini) struct buf text = {0};
		struct json_writer inner = {&text, false};

		event_json(p->events[i], &inner);
		json_open(w, '{');
		json_key(w, "at_ms");
		json_int(w, (p->events[i]->time_us - p->events[0]->time_us) / 1000);
		json_members(w, buf_view(&text));
		json_close(w, '}');
	}
	json_close(w, ']');
}

static void write_answer(const struct play *p, const struct err *e, struct json_writer *w)
{
	int64_t ms = p->n_events
			     ? (p->events[p->n_events - 1]->time_us - p->events[0]->time_us) / 1000
			     : 0;
	size_t n = p->faults->n < YAML_FAULTS_MAX ? p->faults->n : YAML_FAULTS_MAX;

	json_open(w, '{');
	json_key(w, "status");
	json_text(w, p->order ? order_status(p->order) : NULL);
	json_key(w, "error");
	json_text(w, p->order ? order_error(p->order) : NULL);
	json_key(w, "virtual_ms");
	json_int(w, ms);
	json_key(w, "faults");
	json_open(w, '[');
	for (size_t i = 0; i < n; i++)
		write_fault(w, p->faults->list[i].line, p->faults->list[i].column,
			p->faults->list[i].text);
	if (e->code)
		write_fault(w, p->c->node->line, p->c->node->column, err_text(e));
	json_close(w, ']');
	write_events(p, w);
	json_close(w, '}');
}

static void work(void *arg, int out, char note[SUBPROCESS_NOTE_SIZE])
{
	struct job *job = arg;
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	struct play *p = calloc(1, sizeof *p);
	struct err e = {0};
	int r;

	if (!p)
		_exit(1);
	p->c = job->c;
	p->folders = job->setup->folders;
	p->faults = &faults;
	p->note = note;
	r = play_run(p, job->pipeline, job->folder, &e);
	if (r == 0)
		r = play_compare(p, &e);
	if (r < 0 && !e.code)
		err_set(&e, r, "%s", strerror(-r));
	write_answer(p, &e, &w);
	play_fini(p);
	free(p);
	if (subprocess_write(out, &text) < 0)
		_exit(1);
}

/* --- the folder --- */

static int make_folder(char *path, size_t size, struct err *e)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");

	snprintf(path, size, "%s/stageline-case-%d-XXXXXX", base ? base : "/tmp", (int)getpid());
	return mkdtemp(path) ? 0
			     : err_set(e, -errno, "no folder for a case in %s: %s",
				       base ? base : "/tmp", strerror(errno));
}

static void remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' || entry->d_name[1] > '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

/* --- the answer --- */

static cJSON *answer_of(
	const struct subprocess_end *end, const struct order_case *c, int64_t silence_ms)
{
	cJSON *answer = end->is_fine ? cJSON_ParseWithLength(end->out.data, end->out.len) : NULL;
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};
	char how[128], what[SUBPROCESS_NOTE_SIZE + 256], within[SPAN_TEXT_SIZE];

	if (answer)
		return answer;
	subprocess_end_text(end, how, sizeof how);
	snprintf(what, sizeof what, "%s%s%s", *end->note ? end->note : "the case", " ", how);
	span_text(silence_ms, within);
	if (end->is_late)
		snprintf(what, sizeof what,
			"%s did not come back within %s of real time; a stage that waits returns "
			"SL_LATER",
			*end->note ? end->note : "the case", within);
	json_open(&w, '{');
	json_key(&w, "status");
	json_null(&w);
	json_key(&w, "error");
	json_null(&w);
	json_key(&w, "virtual_ms");
	json_int(&w, 0);
	json_key(&w, "faults");
	json_open(&w, '[');
	write_fault(&w, c->node->line, c->node->column, what);
	json_close(&w, ']');
	json_key(&w, "events");
	json_raw(&w, STR("[]"));
	json_close(&w, '}');
	return text.failed ? NULL : cJSON_Parse(text.data);
}

static cJSON *complete(
	cJSON *answer, const struct case_file *file, const struct order_case *c, int64_t real_ms)
{
	const cJSON *faults = cJSON_GetObjectItemCaseSensitive(answer, "faults");
	bool is_fine = cJSON_IsArray(faults) && !faults->child;

	if (!cJSON_AddStringToObject(answer, "file", file->path) ||
		!cJSON_AddStringToObject(answer, "name", c->name) ||
		!cJSON_AddNumberToObject(answer, "line", c->node->line) ||
		!cJSON_AddBoolToObject(answer, "passed", is_fine) ||
		!cJSON_AddNumberToObject(answer, "real_ms", (double)real_ms)) {
		cJSON_Delete(answer);
		return NULL;
	}
	return answer;
}

cJSON *case_run(const struct case_setup *setup, struct pipeline *p, const struct case_file *file,
	const struct order_case *c, struct err *e)
{
	struct subprocess_end end = {0};
	int64_t start_ms = clock_mono_ms();
	char folder[128];
	struct job job = {setup, p, c, folder};
	cJSON *answer = NULL;
	sigset_t before;
	int r;

	subprocess_hold_signals(&before);
	r = make_folder(folder, sizeof folder, e);
	if (r < 0) {
		subprocess_release_signals(&before);
		return NULL;
	}
	r = subprocess_run(work, &job, setup->silence_ms, &end, e);
	if (r == 0) {
		answer = answer_of(&end, c, setup->silence_ms);
		if (answer)
			answer = complete(answer, file, c, clock_mono_ms() - start_ms);
		if (!answer)
			err_set(e, -ENOMEM, "no memory for the answer of a case");
	}
	subprocess_end_fini(&end);
	remove_folder(folder);
	subprocess_release_signals(&before);
	return answer;
}
