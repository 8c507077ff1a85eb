/* The program: finds the command and runs it. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "stage/child.h"
#include "stageline/stage.h"
#include "version.h"

static int version_main(int argc, char **argv)
{
	(void)argc, (void)argv;
	printf("stageline %s (stage ABI %d.%d)\n", STAGELINE_VERSION, SL_ABI_MAJOR, SL_ABI_MINOR);
	return EXIT_SUCCESS;
}

static int stage_child_main(int argc, char **argv)
{
	(void)argc, (void)argv;
	return child_run();
}

static const struct command_entry {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"serve", "runs the pipeline and serves HTTP", serve_main},
	{"worker", "runs stages for a coordinator on another machine, through Redis", worker_main},
	{"check", "says everything that is wrong with a pipeline file", check_main},
	{"test", "plays the cases of a pipeline on a clock of their own", test_main},
	{"reload", "has the running daemon load its pipeline file anew", reload_main},
	{"orders", "places, finds, follows, cancels and erases orders", orders_main},
	{"erase", "erases what an order says of people", erase_main},
	{"dead-letters", "shows orders on hold, and repairs them", dead_letters_main},
	{"state", "shows and adjusts stock and ledgers", state_main},
	{"pipeline", "shows and follows stages and generations, pauses, resumes, migrates",
		pipeline_main},
	{"system", "shows the daemon itself: its journal, counts and health", system_main},
	{"backup", "copies the journal, also while a daemon writes it", backup_main},
	{"archive", "moves orders that have ended into a file, with their proof", archive_main},
	{"replay", "folds the journal once more: compares, rebuilds, goes back in time",
		replay_main},
	{"audit", "proves what happened: checks, proves, exports, imports", audit_main},
	{"recover", "saves what can be saved from a damaged journal", recover_main},
	{"plugin", "makes, shows and tries out plugins, for those who write stages", plugin_main},
	{"version", "prints the version", version_main},
	{"manual", NULL, manual_main},
	{CHILD_COMMAND, NULL, stage_child_main},
};

static void print_usage(FILE *out)
{
	fputs("usage: stageline COMMAND [OPTIONS]\n\nCommands:\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (commands[i].summary) /* else it is for the program itself */
			fprintf(out, "  %-13s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`stageline COMMAND --help` tells more.\n", out);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(name, "--version") == 0)
		return version_main(argc, argv);
	if (*name)
		fprintf(stderr, "stageline: there is no command '%s'\n", name);
	print_usage(stderr);
	return EXIT_USAGE;
}
