/* `stageline check`: says everything that is wrong with the files before `serve` has to. */
#include <stdio.h>
#include <sysexits.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/host_config.h"
#include "cli/schema.h"
#include "engine/load.h"

static const char usage[] =
	"usage: stageline check [--config FILE] [--plugins DIR ...] [FILE]\n"
	"       stageline check --schema\n"
	"\n"
	"Checks the pipeline FILE (default: the one in the settings) as `serve` would. Stages are\n"
	"started once, each in a process of its own, and end at once.\n"
	"\n"
	"  --config FILE   settings to check and use\n"
	"  --plugins DIR   folder of stage plugins; may be given several times\n"
	"  --schema        prints the JSON Schema of pipeline files, for editors\n"
	"\n"
	"Exit status: 0 all is well, 2 wrong usage, 78 something is wrong with a file.\n";

/* All faults of the file, or the one reason why there is none to look into. */
static int report(const char *file, const struct yaml_faults *faults, const struct err *e)
{
	if (faults->n)
		yaml_faults_print(faults, file, stderr);
	else
		fprintf(stderr, "stageline: error: %s\n", err_text(e));
	return EX_CONFIG;
}

static int check_pipeline(const char *file, const struct host_config *config)
{
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct plugin_folders folders = host_config_folders(config);
	struct err e = {0};
	int r = pipeline_load(file, &folders, true, &p, &faults, &e);

	if (r < 0)
		return report(file, &faults, e.code ? &e : &(struct err){.code = r});
	printf("%s: ok: pipeline '%s', %zu stage%s\n", file, p->name, p->n_stages,
		p->n_stages == 1 ? "" : "s");
	return EXIT_SUCCESS;
}

static int check(const struct host_flags *flags, const char *file)
{
	_cleanup_(host_config_destroyp) struct host_config *config = NULL;
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	const char *settings = NULL;
	struct err e = {0};
	int r = host_config_load(flags, &config, &settings, &faults, &e);

	if (r < 0)
		return report(settings, &faults, e.code ? &e : &(struct err){.code = r});
	return check_pipeline(file ? file : config->pipeline, config);
}

int check_main(int argc, char **argv)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"plugins", required_argument, NULL, 'P'}, {"schema", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct host_flags flags = {0};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 's')
			return schema_print(pipeline_schema);
		if (option == 'h')
			return fputs(usage, stdout) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
		if (host_flags_take(&flags, option, optarg))
			continue;
		fputs(usage, stderr);
		return 2;
	}
	if (argc - optind > 1) {
		fputs(usage, stderr);
		return 2;
	}
	return check(&flags, argv[optind]);
}
