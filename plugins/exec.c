/* exec: asks a program by a line of JSON and takes the line it answers with for the verdict. plugins/any-language.md
 * is its page. A question waits without a thread; the stage is woken when the answer is there. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer.h"
#include "exec_loop.h"
#include "question.h"
#include "refuse.h"

enum { LATER_SPARE_MS = 5000, SHOWN_SIZE = 100 };

struct exec_config {
	struct sl_list command, environment;
	const char *folder;
	int64_t processes, timeout, grace, max_line, wait;
};

struct exec {
	const struct sl_host *host;
	const struct exec_config *config;
	char **argv, **environment; /* end in NULL; environment owns its strings */
	char path[PATH_MAX];
	char shown[SHOWN_SIZE];
	struct exec_loop *loop;
};

/* --- run and undo --- */

static struct exec_call *make_call(const struct exec *x, struct sl_task *task, bool is_undo)
{
	struct question q = question_of(x->host, task, is_undo);
	struct exec_call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	call->pending.ticket = x->host->ticket(task);
	call->deadline_ms = exec_now_ms() + x->config->timeout;
	snprintf(call->id, sizeof call->id, "%" PRIu64, call->pending.ticket);
	text_fmt(&call->line, "{\"id\":\"%s\",", call->id);
	question_write(&q, x->host, task, &call->line);
	text_put(&call->line, "}");
	if (!call->line.failed) /* a line break in JSON stands between its parts only */
		for (size_t i = 0; i < call->line.n; i++)
			if (call->line.p[i] == '\n')
				call->line.p[i] = ' ';
	text_put(&call->line, "\n");
	if (call->pending.ticket && !call->line.failed)
		return call;
	exec_call_free(call);
	return NULL;
}

static int32_t is_done(const struct exec *x, const cJSON *answer, struct sl_task *task)
{
	struct text why = {0}, message = {0};
	int32_t verdict = answer_hand_in(answer, x->host, task, &why);

	if (verdict != SL_DONE) {
		text_fmt(&message, "'%s' answered, but %s", x->shown, why.p ? why.p : "wrongly");
		answer_message(message.p ? message.p : x->shown, x->host, task);
	}
	text_fini(&message);
	text_fini(&why);
	return verdict;
}

static int32_t take_answer(const struct exec *x, const cJSON *answer, struct sl_task *task)
{
	static const struct {
		const char *word;
		int32_t verdict;
	} verdicts[] = {
		{"done", SL_DONE}, {"fail", SL_FAIL}, {"retry", SL_RETRY}, {"wait", SL_WAIT}};
	const char *word = answer_text(answer, "verdict"),
		   *message = answer_text(answer, "message");
	const cJSON *delay = cJSON_GetObjectItemCaseSensitive(answer, "delay_ms");
	double delay_ms = cJSON_GetNumberValue(delay);
	size_t n = sizeof verdicts / sizeof verdicts[0], i = 0;

	while (i < n && (!word || strcmp(verdicts[i].word, word) != 0))
		i++;
	if (i == n) {
		x->host->set_message(
			task, "the program's answer has no verdict: done, fail, retry or wait");
		return SL_RETRY;
	}
	if (verdicts[i].verdict == SL_DONE)
		return is_done(x, answer, task);
	if (message)
		answer_message(message, x->host, task);
	if (delay_ms >= 0 && delay_ms < 1e15)
		x->host->delay(task, (int64_t)delay_ms);
	else if (verdicts[i].verdict == SL_WAIT)
		x->host->delay(task, x->config->wait);
	return verdicts[i].verdict;
}

static int32_t ask(struct exec *x, struct sl_task *task, bool is_undo)
{
	bool is_under_way;
	struct exec_call *call = exec_loop_take(x->loop, x->host->ticket(task), &is_under_way);

	if (call) {
		int32_t verdict = SL_RETRY;

		if (call->answer)
			verdict = take_answer(x, call->answer, task);
		else
			answer_message(
				call->trouble.p ? call->trouble.p : "no memory", x->host, task);
		exec_call_free(call);
		return verdict;
	}
	if (!is_under_way) {
		call = make_call(x, task, is_undo);
		if (!call) {
			x->host->set_message(task,
				x->host->ticket(task) ? "no memory"
						      : "this host has no way to wake a stage");
			return SL_RETRY;
		}
		exec_loop_start(x->loop, call);
	}
	x->host->delay(task, x->config->timeout + LATER_SPARE_MS);
	return SL_LATER;
}

static int32_t exec_run(void *self, struct sl_task *task)
{
	return ask(self, task, false);
}

static int32_t exec_undo(void *self, struct sl_task *task)
{
	return ask(self, task, true);
}

/* --- what the config says --- */

/* What a program gets of the daemon's environment without asking: no secret is among it. */
static const char *const passed[] = {
	"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"};

static bool is_named(const char *entry, const char *name, size_t n)
{
	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static bool set_variable(struct exec *x, const char *name, size_t n, const char *value)
{
	struct text entry = {0};
	size_t i = 0;

	while (x->environment[i] && !is_named(x->environment[i], name, n))
		i++;
	text_bytes(&entry, name, n);
	text_put(&entry, "=");
	text_put(&entry, value);
	if (entry.failed) {
		text_fini(&entry);
		return false;
	}
	free(x->environment[i]);
	x->environment[i] = entry.p;
	return true;
}

static bool pass_on(struct exec *x, const char *name)
{
	const char *value = getenv(name);

	return !value || set_variable(x, name, strlen(name), value);
}

static int read_environment(struct exec *x)
{
	const struct sl_list *list = &x->config->environment;
	size_t n_passed = sizeof passed / sizeof passed[0];
	bool ok = true;

	x->environment = calloc(n_passed + list->n + 1, sizeof(char *));
	for (size_t i = 0; x->environment && ok && i < n_passed; i++)
		ok = pass_on(x, passed[i]);
	for (size_t i = 0; x->environment && ok && i < list->n; i++) {
		const char *entry = list->items[i], *equals = strchr(entry, '=');

		if (!*entry || equals == entry)
			return refuse(x->host, -EINVAL,
				"environment: item %zu is neither NAME=value nor NAME", i + 1);
		ok = equals ? set_variable(x, entry, (size_t)(equals - entry), equals + 1)
			    : pass_on(x, entry);
	}
	return x->environment && ok ? 0 : refuse(x->host, -ENOMEM, "no memory");
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static const char *path_variable(const struct exec *x)
{
	for (size_t i = 0; x->environment[i]; i++)
		if (is_named(x->environment[i], "PATH", 4))
			return x->environment[i] + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* The daemon's own folder counts now; the program starts in its folder. */
static bool find_from_folder(struct exec *x, const char *name)
{
	const char *folder = x->config->folder ? x->config->folder : "";
	char here[PATH_MAX] = "";
	int n;

	if (name[0] == '/')
		folder = "";
	else if (folder[0] != '/' && !getcwd(here, sizeof here))
		return false;
	n = snprintf(x->path, sizeof x->path, "%s%s%s%s%s", here, here[0] ? "/" : "", folder,
		folder[0] ? "/" : "", name);
	return n > 0 && (size_t)n < sizeof x->path && is_program(x->path);
}

/* A name without slash is looked for where PATH says; a path is meant from the folder. */
static bool find_program(struct exec *x, const char *name)
{
	if (strchr(name, '/'))
		return find_from_folder(x, name);
	for (const char *at = path_variable(x); *at;) {
		size_t n = strcspn(at, ":");

		if (n &&
			snprintf(x->path, sizeof x->path, "%.*s/%s", (int)n, at, name) < PATH_MAX &&
			is_program(x->path))
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

static int read_command(struct exec *x)
{
	const struct sl_list *command = &x->config->command;
	struct text shown = {0};

	if (!command->n || !command->items[0][0])
		return refuse(x->host, -EINVAL, "command is empty");
	x->argv = calloc(command->n + 1, sizeof(char *));
	for (size_t i = 0; x->argv && i < command->n; i++) {
		x->argv[i] = (char *)command->items[i];
		text_fmt(&shown, "%s%s", i ? " " : "", command->items[i]);
	}
	if (x->argv && !shown.failed) {
		struct text line = {0};

		text_line(&line, shown.p, shown.n, SHOWN_SIZE - 1);
		snprintf(x->shown, sizeof x->shown, "%s", line.p ? line.p : "");
		text_fini(&line);
	}
	text_fini(&shown);
	if (!x->argv || !x->shown[0])
		return refuse(x->host, -ENOMEM, "no memory");
	return 0;
}

static int read_config(struct exec *x)
{
	const char *folder = x->config->folder;
	struct stat st;
	int r = read_command(x);

	if (r == 0)
		r = read_environment(x);
	if (r == 0 && folder && stat(folder, &st) < 0)
		r = refuse(x->host, -errno, "folder '%s': %s", folder, strerror(errno));
	if (r == 0 && folder && !S_ISDIR(st.st_mode))
		r = refuse(x->host, -ENOTDIR, "folder '%s' is none", folder);
	if (r == 0 && !find_program(x, x->argv[0]))
		r = refuse(x->host, -ENOENT, "command: there is no program '%s'", x->argv[0]);
	return r;
}

/* --- the instance --- */

static void exec_destroy(void *self)
{
	struct exec *x = self;

	exec_loop_destroy(x->loop);
	for (size_t i = 0; x->environment && x->environment[i]; i++)
		free(x->environment[i]);
	free(x->environment);
	free(x->argv);
	free(x);
}

static int start_loop(struct exec *x)
{
	const struct exec_config *c = x->config;
	struct exec_loop_options options = {
		.host = x->host,
		.program = {x->path, x->argv, x->environment, c->folder, x->shown,
			(size_t)c->max_line},
		.n_processes = (size_t)c->processes,
		.timeout_ms = c->timeout,
		.grace_ms = c->grace,
	};

	return exec_loop_create(&options, &x->loop);
}

static int32_t exec_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct exec *x;
	int r;

	if (host->size < offsetof(struct sl_host, wake) + sizeof host->wake)
		return refuse(host, -ENOSYS, "needs a host with ABI 1.1");
	x = calloc(1, sizeof *x);
	if (!x)
		return refuse(host, -ENOMEM, "no memory");
	x->host = host;
	x->config = config;
	r = read_config(x);
	if (r == 0)
		r = start_loop(x);
	if (r < 0) {
		exec_destroy(x);
		return r;
	}
	*ret_self = x;
	return 0;
}

#define OPTION(its_type, field, ...)                                                               \
	{                                                                                          \
		.type = SL_OPTION_##its_type, .name = #field,                                      \
		.offset = offsetof(struct exec_config, field), __VA_ARGS__                         \
	}
#define DAY_MS INT64_C(86400000)

static const struct sl_option options[] = {
	OPTION(LIST, command, .flags = SL_OPTION_REQUIRED,
		.summary = "the program and its arguments; no shell reads it"),
	OPTION(INT, processes, .fallback = "1", .min = 1, .max = 64,
		.summary = "how many of it run at once, each with one task at a time"),
	OPTION(DURATION, timeout, .fallback = "9s", .min = 1, .max = DAY_MS,
		.summary = "from the task to its answer; then the program is killed"),
	OPTION(STRING, folder, .summary = "working folder; without it, the daemon's"),
	OPTION(LIST, environment,
		.summary = "NAME=value, or NAME of the daemon's; beside PATH, HOME, LANG …"),
	OPTION(SIZE, max_line, .fallback = "256KiB", .min = 64, .max = 16 * 1024 * 1024,
		.summary = "longest line of an answer"),
	OPTION(DURATION, wait, .fallback = "1d", .min = 1, .max = 400 * DAY_MS,
		.summary = "how long 'wait' waits for its signal, without delay_ms"),
	OPTION(DURATION, grace, .fallback = "2s", .min = 0, .max = 60000,
		.summary = "at the end, between SIGTERM and SIGKILL"),
};

SL_EXPORT const struct sl_stage stageline_stage = {
	.size = sizeof(struct sl_stage),
	.abi = SL_ABI,
	.name = "exec",
	.version = "1.0",
	.summary = "Asks a program of your own: JSON lines on stdin and stdout, kept alive between "
		   "tasks",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS | SL_STAGE_PROGRAMS,
	.n_options = sizeof options / sizeof options[0],
	.option_size = sizeof(struct sl_option),
	.config_size = sizeof(struct exec_config),
	.options = options,
	.create = exec_create,
	.destroy = exec_destroy,
	.run = exec_run,
	.undo = exec_undo,
};
