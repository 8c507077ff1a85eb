/* `stageline manual PART`: what the manual pages print from the program's own tables. Run when they are built. */
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/host_config.h"
#include "model/pipeline_keys.h"
#include "stage/describe.h"

static void settings(FILE *out)
{
	option_map_manual(host_config_map(), out);
}

static void pipeline(FILE *out)
{
	option_map_manual(&pipeline_map, out);
}

static void stages(FILE *out)
{
	option_map_manual(&stage_map, out);
}

static void catalog(FILE *out)
{
	option_map_manual(&catalog_map, out);
}

static const struct part {
	const char *name;
	void (*print)(FILE *out);
} parts[] = {
	{"settings", settings},
	{"pipeline", pipeline},
	{"stages", stages},
	{"catalog", catalog},
};

/* What a plugin says of itself, read from its file. */
static int plugin(const char *path)
{
	struct plugin_description *d;
	struct err e = {0};

	if (plugin_describe(path, &d, &e) < 0) {
		fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return EXIT_FAILURE;
	}
	printf(".Ss plugin: %s\n", d->stage.name);
	option_manual_text(d->stage.summary, stdout);
	fputs(".\n", stdout);
	if (d->stage.n_options)
		option_manual(d->stage.options, d->stage.n_options, stdout);
	plugin_description_free(d);
	return EXIT_SUCCESS;
}

int manual_main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "plugin") == 0)
		return plugin(argv[2]);
	for (size_t i = 0; argc == 2 && i < ARRAY_LEN(parts); i++)
		if (strcmp(parts[i].name, argv[1]) == 0) {
			parts[i].print(stdout);
			return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
		}
	fputs("usage: stageline manual settings|pipeline|stages|catalog\n"
	      "       stageline manual plugin FILE\n",
		stderr);
	return EXIT_USAGE;
}
