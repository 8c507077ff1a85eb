/* `stageline test`: plays the cases of a pipeline, and says which became otherwise. */
#include <getopt.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/option.h"
#include "cli/cli.h"
#include "cli/host_config.h"
#include "cli/schema.h"
#include "cli/terminal.h"
#include "engine/load.h"
#include "kit/case_run.h"
#include "kit/span.h"

enum { FILES_MAX = 256, SILENCE_MS = 60000 };

static const char usage[] =
	"usage: stageline test [OPTIONS] [PIPELINE [CASES ...]]\n"
	"       stageline test --schema\n"
	"\n"
	"Plays the cases of the pipeline file: the real engine, journal and decisions on a clock "
	"of\n"
	"their own, with real or played stages. CASES defaults to the file beside it:\n"
	"orders.test.yaml for orders.yaml. Starts no daemon and opens no port.\n"
	"\n"
	"  --config FILE   settings of the host, for the plugin folders\n"
	"  --plugins DIR   folder of stage plugins; may be given several times\n"
	"  --filter TEXT   only cases with TEXT in their name\n"
	"  --timeout TIME  real time after which a case is given up (default 60s)\n"
	"  --verbose       prints the events of every case, and more of the log\n"
	"  --json          prints one JSON document, for programs\n"
	"  --schema        prints the JSON Schema of files of cases, for editors\n"
	"  --help          prints this\n"
	"\n"
	"Exit status: 0 all passed, 1 a case failed, 2 wrong usage, 78 something is wrong with a "
	"file.\n";

struct test {
	const char *filter;
	bool is_verbose, is_json;
	int64_t silence_ms;
	struct host_flags host;
	struct host_config *config;
	struct pipeline *pipeline;
	struct case_file *files[FILES_MAX];
	size_t n_files;
	size_t n_passed, n_failed;
	struct json_writer w;
	struct buf json;
};

/* --- the files --- */

static int report(const char *file, const struct yaml_faults *faults, const struct err *e, int r)
{
	if (faults->n)
		yaml_faults_print(faults, file, stderr);
	else
		fprintf(stderr, "stageline: error: %s\n", e->code ? err_text(e) : strerror(-r));
	return EXIT_BAD_CONFIG;
}

static int load_settings(struct test *t)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	const char *file = NULL;
	struct err e = {0};
	int r = host_config_load(&t->host, &t->config, &file, &faults, &e);

	return r < 0 ? report(file, &faults, &e, r) : EXIT_SUCCESS;
}

/* Without its plugins: a stage that no case runs for real needs none. */
static int load_pipeline(struct test *t, const char *path)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(freep) char *text = NULL;
	struct err e = {0};
	size_t length;
	int r = yaml_read(path, &text, &length, &e);

	if (r == 0)
		r = pipeline_parse((struct str){text, length}, &t->pipeline, &faults);
	else
		err_wrap(&e, r, "pipeline '%s'", path);
	return r < 0 ? report(path, &faults, &e, r) : EXIT_SUCCESS;
}

static int load_cases(struct test *t, const char *path)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct err e = {0};
	int r = case_file_read(path, t->pipeline, &t->files[t->n_files], &faults, &e);

	if (r < 0)
		return report(path, &faults, &e, r);
	t->n_files++;
	return EXIT_SUCCESS;
}

/* "orders.yaml" → "orders.test.yaml" */
static int load_cases_beside(struct test *t, const char *pipeline)
{
	_cleanup_(buf_fini) struct buf path = {0};
	const char *slash = strrchr(pipeline, '/');
	const char *dot = strrchr(slash ? slash : pipeline, '.');
	size_t n = dot ? (size_t)(dot - pipeline) : strlen(pipeline);
	const char *kept;

	buf_fmt(&path, "%.*s.test%s", (int)n, pipeline, dot ? dot : "");
	kept = path.failed ? NULL : arena_strdup(&t->config->arena, path.data);
	if (!kept) {
		fputs("stageline: error: no memory\n", stderr);
		return EXIT_FAILURE;
	}
	return load_cases(t, kept);
}

static bool is_selected(const struct test *t, const struct order_case *c)
{
	return !t->filter || strstr(c->name, t->filter);
}

static bool is_real_somewhere(const struct test *t, size_t stage)
{
	for (size_t i = 0; i < t->n_files; i++)
		for (size_t k = 0; k < t->files[i]->n; k++)
			if (is_selected(t, &t->files[i]->cases[k]) &&
				case_stage_is_real(&t->files[i]->cases[k].stages[stage]))
				return true;
	return false;
}

/* The plugins that are needed, as `check` would. */
static int check_plugins(struct test *t, const char *path)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct plugin_folders folders = host_config_folders(t->config);
	struct stage_spec stages[PIPELINE_STAGES_MAX];
	struct pipeline needed = *t->pipeline;
	struct err e = {0};
	int r;

	needed.n_stages = 0;
	needed.stages = stages;
	for (size_t i = 0; i < t->pipeline->n_stages; i++)
		if (is_real_somewhere(t, i))
			stages[needed.n_stages++] = t->pipeline->stages[i];
	r = stage_check(&needed, &folders, &faults);
	if (r == 0)
		return EXIT_SUCCESS;
	report(path, &faults, &e, r);
	fputs("stageline: --plugins DIR says where plugins are; a stage that every case plays "
	      "needs "
	      "none\n",
		stderr);
	return EXIT_BAD_CONFIG;
}

/* --- printing --- */

static int64_t number(const cJSON *object, const char *name)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(j) ? (int64_t)j->valuedouble : 0;
}

static void print_events(const cJSON *answer)
{
	const cJSON *event;

	cJSON_ArrayForEach (event, cJSON_GetObjectItemCaseSensitive(answer, "events")) {
		const char *stage = json_member(event, "stage").p;
		const char *message = json_member(event, "message").p;
		char at[SPAN_TEXT_SIZE];

		span_text(number(event, "at_ms"), at);
		printf("     %10s  ", at);
		terminal_put(stdout, json_member(event, "event_type").p, SIZE_MAX);
		if (stage) {
			fputs("  ", stdout);
			terminal_put(stdout, stage, SIZE_MAX);
		}
		if (message && *message) {
			fputs("  ", stdout);
			terminal_put(stdout, message, SIZE_MAX);
		}
		putchar('\n');
	}
}

static void print_faults(const cJSON *answer)
{
	const char *file = json_member(answer, "file").p;
	const cJSON *fault;

	cJSON_ArrayForEach (fault, cJSON_GetObjectItemCaseSensitive(answer, "faults")) {
		printf("     %s:%lld:%lld: ", file, (long long)number(fault, "line"),
			(long long)number(fault, "column"));
		terminal_put(stdout, json_member(fault, "text").p, SIZE_MAX);
		putchar('\n');
	}
}

static void print_case(const struct test *t, const cJSON *answer, bool is_passed)
{
	terminal_colour(stdout, is_passed ? COLOUR_GREEN : COLOUR_RED);
	fputs(is_passed ? "ok   " : "FAIL ", stdout);
	terminal_colour(stdout, COLOUR_NONE);
	terminal_put(stdout, json_member(answer, "name").p, SIZE_MAX);
	printf(" (%lld ms)\n", (long long)number(answer, "real_ms"));
	print_faults(answer);
	if (t->is_verbose)
		print_events(answer);
	fflush(stdout);
}

/* --- running --- */

static int run_case(struct test *t, const struct case_file *file, const struct order_case *c)
{
	struct case_setup setup = {host_config_folders(t->config), t->silence_ms};
	struct err e = {0};
	cJSON *answer = case_run(&setup, t->pipeline, file, c, &e);
	bool is_passed;

	if (!answer) {
		fprintf(stderr, "stageline: error: case '%s': %s\n", c->name, err_text(&e));
		return EXIT_FAILURE;
	}
	is_passed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "passed"));
	t->n_passed += is_passed;
	t->n_failed += !is_passed;
	if (t->is_json)
		json_tree(&t->w, answer);
	else
		print_case(t, answer, is_passed);
	cJSON_Delete(answer);
	return EXIT_SUCCESS;
}

static int run_cases(struct test *t)
{
	int status = EXIT_SUCCESS;

	json_open(&t->w, '{');
	json_key(&t->w, "cases");
	json_open(&t->w, '[');
	for (size_t i = 0; i < t->n_files; i++)
		for (size_t k = 0; k < t->files[i]->n && status == EXIT_SUCCESS; k++)
			if (is_selected(t, &t->files[i]->cases[k]))
				status = run_case(t, t->files[i], &t->files[i]->cases[k]);
	json_close(&t->w, ']');
	json_key(&t->w, "passed");
	json_int(&t->w, (int64_t)t->n_passed);
	json_key(&t->w, "failed");
	json_int(&t->w, (int64_t)t->n_failed);
	json_close(&t->w, '}');
	return status;
}

static int sum_up(struct test *t)
{
	if (t->is_json)
		puts(buf_view(&t->json).p);
	else
		printf("cases: %zu passed, %zu failed\n", t->n_passed, t->n_failed);
	if (!t->n_passed && !t->n_failed) {
		fprintf(stderr, "stageline: error: no case has '%s' in its name\n", t->filter);
		return EXIT_FAILURE;
	}
	return t->n_failed || fflush(stdout) || t->json.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int test(struct test *t, char **arguments, size_t n)
{
	const char *pipeline;
	int status = load_settings(t);

	if (status != EXIT_SUCCESS)
		return status;
	pipeline = n ? arguments[0] : t->config->pipeline;
	status = load_pipeline(t, pipeline);
	if (status == EXIT_SUCCESS && n < 2)
		status = load_cases_beside(t, pipeline);
	for (size_t i = 1; i < n && status == EXIT_SUCCESS; i++)
		status = load_cases(t, arguments[i]);
	if (status == EXIT_SUCCESS)
		status = check_plugins(t, pipeline);
	if (status == EXIT_SUCCESS)
		status = run_cases(t);
	return status == EXIT_SUCCESS ? sum_up(t) : status;
}

static void test_fini(struct test *t)
{
	for (size_t i = 0; i < t->n_files; i++)
		case_file_free(t->files[i]);
	pipeline_free(t->pipeline);
	host_config_destroy(t->config);
	buf_fini(&t->json);
}

static int refuse(const char *why)
{
	fprintf(stderr, "stageline: error: %s\n%s", why, usage);
	return EXIT_USAGE;
}

int test_main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"plugins", required_argument, NULL, 'P'}, {"filter", required_argument, NULL, 'f'},
		{"timeout", required_argument, NULL, 't'}, {"verbose", no_argument, NULL, 'v'},
		{"json", no_argument, NULL, 'j'}, {"schema", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct test t = {.silence_ms = SILENCE_MS};
	int option, status;

	terminal_init();
	log_set_level(LOG_ERROR);
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		if (option == 's')
			return schema_print(case_file_schema);
		if (option == 'f')
			t.filter = optarg;
		else if (option == 'v')
			t.is_verbose = true;
		else if (option == 'j')
			t.is_json = true;
		else if (option == 't' &&
			 (option_parse_duration(str_of(optarg), &t.silence_ms) < 0 ||
				 t.silence_ms < 1))
			return refuse("--timeout is a time, such as 60s");
		else if (option != 't' && !host_flags_take(&t.host, option, optarg))
			return refuse("wrong usage");
	}
	if (argc - optind > FILES_MAX)
		return refuse("too many files");
	if (t.is_verbose)
		log_set_level(LOG_INFO);
	t.w = (struct json_writer){&t.json, false};
	status = test(&t, argv + optind, (size_t)(argc - optind));
	test_fini(&t);
	return status;
}
