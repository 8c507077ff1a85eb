/* `stageline plugin test`: one plugin, one order, and what came of it. */
#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/option.h"
#include "cli/cli.h"
#include "cli/plugin.h"
#include "cli/terminal.h"
#include "kit/span.h"
#include "kit/trial.h"

enum { JSON_FILE_MAX = 1 << 20, TIMEOUT_MS = 10000 };

static const char usage[] =
	"usage: stageline plugin test FILE.so --order FILE [OPTIONS]\n"
	"\n"
	"Runs a plugin with one order, in a process of its own: no daemon, no journal, nothing is "
	"kept.\n"
	"\n"
	"  --order FILE         the order as JSON\n"
	"  --config 'KEY: VALUE, ...'\n"
	"                       the plugin's options, as `config:` of a pipeline has them\n"
	"  --config-file FILE   the same, in a YAML file\n"
	"  --pipeline FILE      takes the catalogue from there and, with --stage, config and "
	"timeout\n"
	"  --stage NAME         the stage's name (default: the plugin's)\n"
	"  --undo               calls undo instead of run\n"
	"  --results FILE       results of finished stages as JSON: {\"STAGE\": {...}}\n"
	"  --signal FILE        the answer from outside, as after SL_WAIT\n"
	"  --attempt N          which attempt it is (default 1)\n"
	"  --repeat N           that many orders, one after the other; prints the times\n"
	"  --timeout TIME       longest time of one attempt (default 10s)\n"
	"  --fast-forward       skips the time that SL_LATER asks for\n"
	"  --expect VERDICT     exits with 1 unless every run ends so: done, fail, retry, wait, "
	"timeout\n"
	"                       or crash\n"
	"  --json               prints one JSON object, for programs\n"
	"  --help               prints this\n"
	"\n"
	"Exit status: 0 it ran, and as expected; 1 it crashed, hung, could not start or ended "
	"otherwise\n"
	"than expected; 2 wrong usage; 78 something is wrong with the config.\n";

enum flag {
	ORDER,
	CONFIG,
	CONFIG_FILE,
	PIPELINE,
	STAGE,
	RESULTS,
	SIGNAL,
	ATTEMPT,
	REPEAT,
	TIMEOUT,
	EXPECT,
	N_TEXTS,
	UNDO = N_TEXTS,
	FAST_FORWARD,
	JSON,
	HELP
};

static const struct option options[] = {{"order", required_argument, NULL, 256 + ORDER},
	{"config", required_argument, NULL, 256 + CONFIG},
	{"config-file", required_argument, NULL, 256 + CONFIG_FILE},
	{"pipeline", required_argument, NULL, 256 + PIPELINE},
	{"stage", required_argument, NULL, 256 + STAGE},
	{"results", required_argument, NULL, 256 + RESULTS},
	{"signal", required_argument, NULL, 256 + SIGNAL},
	{"attempt", required_argument, NULL, 256 + ATTEMPT},
	{"repeat", required_argument, NULL, 256 + REPEAT},
	{"timeout", required_argument, NULL, 256 + TIMEOUT},
	{"expect", required_argument, NULL, 256 + EXPECT}, {"undo", no_argument, NULL, 256 + UNDO},
	{"fast-forward", no_argument, NULL, 256 + FAST_FORWARD},
	{"json", no_argument, NULL, 256 + JSON}, {"help", no_argument, NULL, 256 + HELP}, {0}};

struct asked {
	const char *texts[N_TEXTS];
	bool is_json;
	struct trial trial;
	struct pipeline *pipeline;
	struct yaml *config;
	cJSON *order;
	char *results, *signal;
};

static int refuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int refuse(const char *fmt, ...)
{
	va_list ap;

	fputs("stageline: error: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(" (`stageline plugin test --help` tells more)\n", stderr);
	return EXIT_USAGE;
}

/* --- what was given --- */

/* A file of JSON; an object when it must be. */
static int read_json(const char *path, bool is_object, char **ret_text, cJSON **ret)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	_cleanup_(freep) char *text = NULL;
	struct err e = {0};
	size_t n;
	int r = yaml_read(path, &text, &n, &e);

	if (r == 0)
		r = json_parse((struct str){text, n}, JSON_DEPTH_MAX, &json, &e);
	if (r == 0 && is_object && !cJSON_IsObject(json))
		r = err_set(&e, -EINVAL, "a JSON object is wanted");
	if (r < 0)
		return refuse("'%s': %s", path, err_text(&e));
	if (ret_text)
		*ret_text = steal_ptr(text);
	if (ret)
		*ret = steal_ptr(json);
	return EXIT_SUCCESS;
}

static int print_faults(const struct yaml_faults *faults, const char *file, int r)
{
	if (faults->n)
		yaml_faults_print(faults, file, stderr);
	else
		fprintf(stderr, "stageline: error: '%s': %s\n", file, strerror(-r));
	return EXIT_BAD_CONFIG;
}

static int read_pipeline(struct asked *a)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(freep) char *text = NULL;
	const char *path = a->texts[PIPELINE];
	struct err e = {0};
	size_t n;
	int r, stage;

	if (!path)
		return EXIT_SUCCESS;
	if (yaml_read(path, &text, &n, &e) < 0)
		return refuse("'%s': %s", path, err_text(&e));
	r = pipeline_parse((struct str){text, n}, &a->pipeline, &faults);
	if (r < 0)
		return print_faults(&faults, path, r);
	a->trial.pipeline = a->pipeline;
	if (!a->trial.stage)
		return EXIT_SUCCESS;
	stage = pipeline_find(a->pipeline, str_of(a->trial.stage));
	if (stage < 0)
		return refuse("'%s' has no stage '%s'", path, a->trial.stage);
	a->trial.config = a->pipeline->stages[stage].config;
	a->trial.config_name = path;
	if (!a->texts[TIMEOUT])
		a->trial.timeout_ms = a->pipeline->stages[stage].timeout_ms;
	return EXIT_SUCCESS;
}

/* "key: value, key: value" is the inside of a YAML map. */
static int read_config(struct asked *a)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(buf_fini) struct buf wrapped = {0};
	_cleanup_(freep) char *text = NULL;
	const char *inline_ = a->texts[CONFIG], *path = a->texts[CONFIG_FILE];
	struct err e = {0};
	size_t n = 0;
	int r;

	if (!inline_ && !path)
		return EXIT_SUCCESS;
	if (path && yaml_read(path, &text, &n, &e) < 0)
		return refuse("'%s': %s", path, err_text(&e));
	a->trial.config_name = path ? path : "--config";
	a->trial.config_shift = inline_ && *inline_ != '{';
	buf_fmt(&wrapped, a->trial.config_shift ? "{%s}" : "%s", inline_ ? inline_ : text);
	r = wrapped.failed ? -ENOMEM : yaml_parse(buf_view(&wrapped), &a->config, &faults);
	if (r < 0 || faults.n)
		return print_faults(&faults, a->trial.config_name, r);
	a->trial.config = a->config->root;
	return EXIT_SUCCESS;
}

static int read_number(const char *name, const char *text, int64_t max, int64_t *ret)
{
	char *end;
	long long n;

	if (!text)
		return EXIT_SUCCESS;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text || *end || n < 1 || n > max)
		return refuse(
			"--%s '%s' is not a number from 1 to %lld", name, text, (long long)max);
	*ret = n;
	return EXIT_SUCCESS;
}

static int read_numbers(struct asked *a)
{
	static const char *const words[] = {"done", "fail", "retry", "wait", "timeout", "crash"};
	const char *timeout = a->texts[TIMEOUT], *expect = a->texts[EXPECT];
	int status = read_number("attempt", a->texts[ATTEMPT], 1000000, &a->trial.attempt);
	size_t i = 0;

	if (status == EXIT_SUCCESS)
		status = read_number("repeat", a->texts[REPEAT], TRIAL_RUNS_MAX, &a->trial.n_runs);
	if (status == EXIT_SUCCESS && timeout &&
		(option_parse_duration(str_of(timeout), &a->trial.timeout_ms) < 0 ||
			a->trial.timeout_ms < 1))
		return refuse("--timeout '%s' is no time, such as 500ms or 10s", timeout);
	while (expect && i < ARRAY_LEN(words) && strcmp(words[i], expect) != 0)
		i++;
	if (i == ARRAY_LEN(words))
		return refuse("--expect '%s' is no verdict", expect);
	return status;
}

static int read_files(struct asked *a)
{
	int status = EXIT_SUCCESS;

	if (!a->texts[ORDER])
		return refuse("--order FILE is missing: the order as JSON");
	if (a->texts[CONFIG] && a->texts[CONFIG_FILE])
		return refuse("either --config or --config-file");
	status = read_json(a->texts[ORDER], true, NULL, &a->order);
	if (status == EXIT_SUCCESS && a->texts[RESULTS])
		status = read_json(a->texts[RESULTS], true, &a->results, NULL);
	if (status == EXIT_SUCCESS && a->texts[SIGNAL])
		status = read_json(a->texts[SIGNAL], false, &a->signal, NULL);
	if (status == EXIT_SUCCESS)
		status = read_pipeline(a);
	if (status == EXIT_SUCCESS)
		status = read_config(a);
	a->trial.order = a->order;
	a->trial.results = a->results ? str_of(a->results) : STR("{}");
	a->trial.signal = str_of(a->signal);
	return status;
}

/* --- what came of it --- */

static void print_line(const char *name, const char *text)
{
	printf("%-9s ", name);
	terminal_put(stdout, text, SIZE_MAX);
	putchar('\n');
}

static void print_json(const char *name, const cJSON *value)
{
	_cleanup_(freep) char *text =
		value && !cJSON_IsNull(value) ? cJSON_PrintUnformatted(value) : NULL;

	if (text)
		print_line(name, text);
}

static double number(const cJSON *object, const char *name)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(j) ? j->valuedouble : 0;
}

static void print_times(const cJSON *answer)
{
	const cJSON *time = cJSON_GetObjectItemCaseSensitive(answer, "time_us"), *n;
	char waited[SPAN_TEXT_SIZE];

	if (number(answer, "turns") > 1) {
		span_text((int64_t)number(answer, "waited_ms"), waited);
		printf("%-9s %.0f, waited %s in between\n", "calls", number(answer, "turns"),
			waited);
	}
	if (time && number(answer, "runs") > 1)
		printf("%-9s %.3f ms median, %.3f to %.3f ms, %.0f runs\n", "time",
			number(time, "median") / 1000, number(time, "min") / 1000,
			number(time, "max") / 1000, number(answer, "runs"));
	else if (time)
		printf("%-9s %.3f ms\n", "time", number(time, "median") / 1000);
	if (number(answer, "runs") <= 1)
		return;
	printf("%-9s", "verdicts");
	cJSON_ArrayForEach (n, cJSON_GetObjectItemCaseSensitive(answer, "verdicts")) {
		printf(" %s %.0f", n->string, n->valuedouble);
	}
	putchar('\n');
}

static void print_answer(const cJSON *answer)
{
	const cJSON *effect, *delay = cJSON_GetObjectItemCaseSensitive(answer, "delay_ms");
	const char *message = json_member(answer, "message").p;
	const char *shortage = json_member(answer, "shortage").p, *name = "effects";
	char text[SPAN_TEXT_SIZE];

	print_line("verdict", json_member(answer, "verdict").p);
	if (message)
		print_line("message", message);
	print_json("result", cJSON_GetObjectItemCaseSensitive(answer, "result"));
	cJSON_ArrayForEach (effect, cJSON_GetObjectItemCaseSensitive(answer, "effects")) {
		print_json(name, effect);
		name = "";
	}
	if (shortage)
		print_line("shortage", shortage);
	if (cJSON_IsNumber(delay)) {
		span_text((int64_t)delay->valuedouble, text);
		print_line("delay", text);
	}
	print_times(answer);
}

/* Whether it went as it should; says so when not. */
static bool is_fine(const struct asked *a, const cJSON *answer)
{
	const cJSON *verdicts = cJSON_GetObjectItemCaseSensitive(answer, "verdicts"), *v;
	const char *expect = a->texts[EXPECT];

	cJSON_ArrayForEach (v, verdicts) {
		bool is_dead = strcmp(v->string, "crash") == 0 || strcmp(v->string, "timeout") == 0;

		if (expect ? strcmp(v->string, expect) == 0 : !is_dead)
			continue;
		if (expect)
			fprintf(stderr, "stageline: error: verdict is '%s', not '%s'\n", v->string,
				expect);
		return false;
	}
	return true;
}

static int test(struct asked *a)
{
	_cleanup_(json_freep) cJSON *answer = NULL;
	_cleanup_(freep) char *text = NULL;
	struct err e = {0};
	int status;

	answer = trial_run(&a->trial, &status, &e);
	if (!answer) {
		if (e.code)
			fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return status;
	}
	text = a->is_json ? cJSON_PrintUnformatted(answer) : NULL;
	if (text)
		puts(text);
	else
		print_answer(answer);
	return is_fine(a, answer) && !fflush(stdout) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void asked_fini(struct asked *a)
{
	pipeline_free(a->pipeline);
	yaml_destroy(a->config);
	cJSON_Delete(a->order);
	free(a->results);
	free(a->signal);
}

int plugin_test_main(int argc, char **argv)
{
	struct asked a = {
		.trial = {.attempt = 1, .n_runs = 1, .timeout_ms = TIMEOUT_MS, .config_name = ""}};
	int option, status;

	terminal_init();
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h' || option == 256 + HELP)
			return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		if (option == '?')
			return refuse("wrong usage");
		if (option < 256 + N_TEXTS)
			a.texts[option - 256] = optarg;
		a.trial.is_undo |= option == 256 + UNDO;
		a.trial.is_fast |= option == 256 + FAST_FORWARD;
		a.is_json |= option == 256 + JSON;
	}
	if (argc - optind != 1)
		return refuse("one FILE.so is wanted");
	a.trial.file = argv[optind];
	a.trial.stage = a.texts[STAGE];
	status = read_numbers(&a);
	if (status == EXIT_SUCCESS)
		status = read_files(&a);
	if (status == EXIT_SUCCESS)
		status = test(&a);
	asked_fini(&a);
	return status;
}
