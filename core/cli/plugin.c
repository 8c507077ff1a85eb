/* `stageline plugin`: for those who write stages. Finds the action and runs it. */
#include "cli/plugin.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"

static const struct {
	const char *name, *arguments, *summary;
	int (*run)(int argc, char **argv);
} actions[] = {
	{"new", "NAME", "Makes a folder for a new stage: source, build, test", plugin_new_main},
	{"show", "[FILE ...]", "Shows what plugins say of themselves, and runs none of their code",
		plugin_show_main},
	{"test", "FILE", "Runs a plugin with one order, in a process of its own", plugin_test_main},
};

static void print_usage(FILE *out)
{
	fputs("usage: stageline plugin ACTION [ARGUMENTS] [OPTIONS]\n\n"
	      "For those who write stages.\n\nActions:\n",
		out);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		fprintf(out, "  %-5s%-11s %s\n", actions[i].name, actions[i].arguments,
			actions[i].summary);
	fputs("\n`stageline plugin ACTION --help` tells what the action takes.\n", out);
}

int plugin_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(name, actions[i].name) == 0)
			return actions[i].run(argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	if (*name)
		fprintf(stderr, "stageline: plugin has no action '%s'\n", name);
	print_usage(stderr);
	return EXIT_USAGE;
}
