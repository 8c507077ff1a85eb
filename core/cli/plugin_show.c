/* `stageline plugin show`: what plugins say of themselves, read from their files. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/option_type.h"
#include "cli/cli.h"
#include "cli/host_config.h"
#include "cli/plugin.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "stage/describe.h"

static const char usage[] = "usage: stageline plugin show [OPTIONS] [FILE ...]\n"
			    "\n"
			    "Shows name, version, ABI, flags and options of plugins: of each FILE, "
			    "or of all in the plugin\n"
			    "folders. Reads the files only; none of their code runs.\n"
			    "\n"
			    "  --config FILE  settings of the host, for the plugin folders\n"
			    "  --plugins DIR  folder of stage plugins; may be given several times\n"
			    "  --json         prints a JSON array, for programs\n"
			    "  --help         prints this\n"
			    "\n"
			    "Exit status: 0 done, 1 a file is no plugin that this version takes, 2 "
			    "wrong usage, 78 something\n"
			    "is wrong with the settings.\n";

struct show {
	bool is_json, has_failed;
	size_t n_shown;
	struct json_writer w;
	struct buf json;
	struct plugin_folders folders;
};

static const struct {
	uint32_t bit;
	const char *name;
} flags[] = {{SL_STAGE_CONCURRENT, "concurrent"}, {SL_STAGE_EFFECTS, "effects"},
	{SL_STAGE_NETWORK, "network"}, {SL_STAGE_PROGRAMS, "programs"}};

/* --- for people --- */

static void print_line(const char *name, const char *text)
{
	printf("  %-8s ", name);
	terminal_put(stdout, text, SIZE_MAX);
	putchar('\n');
}

static void print_flags(const struct sl_stage *s)
{
	bool is_first = true;

	fputs("  flags    ", stdout);
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (s->flags & flags[i].bit) {
			printf("%s%s", is_first ? "" : ", ", flags[i].name);
			is_first = false;
		}
	puts(is_first ? "none" : "");
}

static void print_options(const struct sl_stage *s)
{
	static const struct table_column columns[] = {{"OPTION"}, {"TYPE"},
		{"DEFAULT", .is_cut = true}, {"BOUNDS", .is_cut = true}, {"WHAT", .is_cut = true}};
	_cleanup_(table_fini) struct table t = {columns, ARRAY_LEN(columns)};

	for (size_t i = 0; i < s->n_options; i++) {
		const struct sl_option *o = &s->options[i];
		char bounds[OPTION_BOUNDS_SIZE];

		option_bounds_text(o, bounds);
		table_add(&t, o->name);
		table_add(&t, option_type(o->type)->name);
		table_add(&t, o->fallback		      ? o->fallback
			      : o->flags & SL_OPTION_REQUIRED ? "(required)"
							      : "-");
		table_add(&t, o->choices ? o->choices : *bounds ? bounds : "-");
		table_add(&t, o->summary);
	}
	table_print(&t);
}

static void print_plugin(const char *path, const struct plugin_description *d)
{
	const struct sl_stage *s = &d->stage;
	char abi[32];

	snprintf(abi, sizeof abi, "%u.%u", s->abi >> 16, s->abi & 0xffff);
	terminal_colour(stdout, COLOUR_BOLD);
	terminal_put(stdout, s->name, SIZE_MAX);
	putchar(' ');
	terminal_put(stdout, s->version, SIZE_MAX);
	terminal_colour(stdout, COLOUR_NONE);
	fputs(": ", stdout);
	terminal_put(stdout, s->summary, SIZE_MAX);
	putchar('\n');
	print_line("file", path);
	print_line("machine", d->image.machine);
	print_line("abi", abi);
	print_flags(s);
	print_line("undo", s->undo ? "yes" : "no");
	if (s->n_options)
		putchar('\n');
	if (s->n_options)
		print_options(s);
}

/* --- for programs --- */

static void write_option(const struct sl_option *o, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "name");
	json_text(w, o->name);
	json_key(w, "type");
	json_text(w, option_type(o->type)->name);
	json_key(w, "required");
	json_bool(w, o->flags & SL_OPTION_REQUIRED);
	json_key(w, "default");
	json_text(w, o->fallback);
	if (o->min || o->max) {
		json_key(w, "min");
		json_int(w, o->min);
		json_key(w, "max");
		json_int(w, o->max);
	}
	json_key(w, "choices");
	json_text(w, o->choices);
	json_key(w, "summary");
	json_text(w, o->summary);
	json_close(w, '}');
}

static void write_plugin(
	const char *path, const struct plugin_description *d, struct json_writer *w)
{
	const struct sl_stage *s = &d->stage;
	char abi[32];

	snprintf(abi, sizeof abi, "%u.%u", s->abi >> 16, s->abi & 0xffff);
	json_open(w, '{');
	json_key(w, "file");
	json_text(w, path);
	json_key(w, "name");
	json_text(w, s->name);
	json_key(w, "version");
	json_text(w, s->version);
	json_key(w, "summary");
	json_text(w, s->summary);
	json_key(w, "machine");
	json_text(w, d->image.machine);
	json_key(w, "abi");
	json_text(w, abi);
	json_key(w, "flags");
	json_open(w, '[');
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (s->flags & flags[i].bit)
			json_text(w, flags[i].name);
	json_close(w, ']');
	json_key(w, "undo");
	json_bool(w, s->undo != NULL);
	json_key(w, "options");
	json_open(w, '[');
	for (size_t i = 0; i < s->n_options; i++)
		write_option(&s->options[i], w);
	json_close(w, ']');
	json_close(w, '}');
}

/* --- which --- */

/* A file that the daemon would not find by the name it gives itself. */
static void warn_of_name(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
	size_t n = strlen(name);

	if (strncmp(file, name, n) != 0 || strcmp(file + n, ".so") != 0)
		fprintf(stderr,
			"stageline: warning: '%s' calls itself '%s', so its file must be %s.so\n",
			path, name, name);
}

static void show_file(struct show *s, const char *path)
{
	struct plugin_description *d;
	struct err e = {0};

	if (plugin_describe(path, &d, &e) < 0) {
		fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		s->has_failed = true;
		return;
	}
	if (s->is_json)
		write_plugin(path, d, &s->w);
	else if (s->n_shown)
		putchar('\n');
	if (!s->is_json)
		print_plugin(path, d);
	s->n_shown++;
	warn_of_name(path, d->stage.name);
	if (!d->image.is_native)
		fprintf(stderr, "stageline: warning: '%s' is for %s and will not load here\n", path,
			d->image.machine);
	plugin_description_free(d);
}

/* The first folder that has it, as the daemon would look. */
static void show_name(void *arg, const char *name)
{
	struct show *s = arg;
	_cleanup_(buf_fini) struct buf path = {0};
	struct stat st;

	for (size_t i = 0; i < s->folders.n; i++) {
		buf_clear(&path);
		buf_fmt(&path, "%s/%s.so", s->folders.paths[i], name);
		if (!path.failed && stat(path.data, &st) == 0)
			break;
	}
	if (path.data)
		show_file(s, path.data);
}

static int show_all(struct show *s, const struct host_flags *host)
{
	_cleanup_(host_config_destroyp) struct host_config *config = NULL;
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	const char *file = NULL;
	struct err e = {0};
	int r = host_config_load(host, &config, &file, &faults, &e);

	if (r < 0) {
		if (faults.n)
			yaml_faults_print(&faults, file, stderr);
		else
			fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return EXIT_BAD_CONFIG;
	}
	s->folders = host_config_folders(config);
	plugin_each_name(&s->folders, show_name, s);
	for (size_t i = 0; !s->n_shown && !s->has_failed && i < s->folders.n; i++)
		fprintf(stderr, "stageline: no plugin in %s\n", s->folders.paths[i]);
	return EXIT_SUCCESS;
}

int plugin_show_main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"plugins", required_argument, NULL, 'P'}, {"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct host_flags host = {0};
	struct show s = {0};
	int option, status = EXIT_SUCCESS;

	terminal_init();
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		if (option == 'j') {
			s.is_json = true;
		} else if (!host_flags_take(&host, option, optarg)) {
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	s.w = (struct json_writer){&s.json, false};
	json_open(&s.w, '[');
	for (int i = optind; i < argc; i++)
		show_file(&s, argv[i]);
	if (optind == argc)
		status = show_all(&s, &host);
	json_close(&s.w, ']');
	if (s.is_json && status == EXIT_SUCCESS)
		puts(buf_view(&s.json).p);
	if (status == EXIT_SUCCESS && (s.has_failed || s.json.failed || fflush(stdout)))
		status = EXIT_FAILURE;
	buf_fini(&s.json);
	return status;
}
