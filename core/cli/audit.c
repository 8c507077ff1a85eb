/* `stageline audit`: finds the action and runs it. */
#include "cli/audit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/offline.h"

static const struct offline_action *const actions[] = {
	&audit_verify, &audit_prove, &audit_export, &audit_import};

static const char *short_name(const struct offline_action *a)
{
	return strchr(a->name, ' ') + 1;
}

static void print_usage(FILE *out)
{
	fputs("usage: stageline audit ACTION [ARGUMENTS] [OPTIONS]\n\n"
	      "Proves what happened, from the journal's file alone; a daemon may run "
	      "meanwhile.\n\nActions:\n",
		out);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		fprintf(out, "  %-7s %-11s %s\n", short_name(actions[i]), actions[i]->arguments,
			actions[i]->summary);
	fputs("\n`stageline audit ACTION --help` tells what the action takes.\n", out);
}

int audit_main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (strcmp(name, short_name(actions[i])) == 0)
			return offline_main(actions[i], argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	if (*name)
		fprintf(stderr, "stageline: audit has no action '%s'\n", name);
	print_usage(stderr);
	return EXIT_USAGE;
}
