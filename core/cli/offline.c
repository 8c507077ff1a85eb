/* What the commands share that open the journal's file themselves. */
#include "cli/offline.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/terminal.h"

static const struct offline_flag_entry {
	const char *name, *argument, *summary;
	bool is_list; /* may be given several times */
} flags[OFFLINE_FLAGS] = {
	[OFFLINE_VERIFY] = {"verify", NULL,
		"folds all events once more and compares every row that follows from them"},
	[OFFLINE_REBUILD] = {"rebuild", NULL,
		"replaces these rows by what the events give; not while a daemon runs"},
	[OFFLINE_UNTIL] = {"until", "SEQ|TIME",
		"writes the journal as it was then into the new file NEW"},
	[OFFLINE_UNTIL_SEQ] = {"until", "SEQ", "goes on at least to this event"},
	[OFFLINE_AGAINST] = {"against", "FILE",
		"decides finished orders again with another pipeline: which would end "
		"differently, and why"},
	[OFFLINE_SINCE] = {"since", "SEQ|TIME",
		"with --against: orders placed from then on; --until: what happened up to then"},
	[OFFLINE_RUN] = {"run", "STAGE",
		"with --against: runs it again though it has effects; may be given several times",
		true},
	[OFFLINE_FROM] = {"from", "SEQ",
		"the first event to look at; the hash before it is taken as it stands"},
	[OFFLINE_HEAD] = {"head", "SEQ:HASH", "a head that was noted; may be given several times",
		true},
	[OFFLINE_HEADS] = {"heads", "FILE", "a file of heads, as `serve` writes them"},
	[OFFLINE_GAP] = {"gap", "FROM-TO", "events that are known to be missing since a recovery",
		true},
	[OFFLINE_OUTPUT] = {"output", "FILE", "writes there instead of to stdout"},
	[OFFLINE_LIMIT] = {"limit", "N", "the newest N orders"},
	[OFFLINE_PLUGINS] = {"plugins", "DIR",
		"folder of stage plugins; may be given several times", true},
	[OFFLINE_BEFORE] = {"before", "DAY",
		"those that ended before that day, in UTC, or that time"},
	[OFFLINE_REASON] = {"reason", "TEXT", "why; it is kept in the journal"},
	[OFFLINE_DRY_RUN] = {"dry-run", NULL, "says what would be meant, and changes nothing"},
	[OFFLINE_ARCHIVE] = {"archive", "FILE",
		"an archive, as `stageline archive` wrote it, in place of the journal"},
	[OFFLINE_JOURNAL] = {"journal", "FILE",
		"the journal's file (default: journal.sqlite in the data folder)"},
	[OFFLINE_DATA] = {"data", "DIR", "the data folder (default: that of the settings)"},
	[OFFLINE_CONFIG] = {"config", "FILE", "settings of the host"},
	[OFFLINE_JSON] = {"json", NULL,
		"prints JSON, for programs; progress as lines of JSON on stderr"},
	[OFFLINE_HELP] = {"help", NULL, "prints this"},
};

static const uint32_t common = OFFLINE(JSON) | OFFLINE(HELP);

void offline_usage(const struct offline_action *a, FILE *out)
{
	char name[40];

	fprintf(out, "usage: stageline %s%s%s [OPTIONS]\n\n%s.\n", a->name,
		*a->arguments ? " " : "", a->arguments, a->summary);
	if (a->details)
		fprintf(out, "\n%s", a->details);
	fputs("\nOptions:\n", out);
	for (size_t i = 0; i < OFFLINE_FLAGS; i++) {
		if (!((a->takes | common) & (UINT32_C(1) << i)))
			continue;
		snprintf(name, sizeof name, "--%s%s%s", flags[i].name, flags[i].argument ? " " : "",
			flags[i].argument ? flags[i].argument : "");
		fprintf(out, "  %-18s %s\n", name, flags[i].summary);
	}
	fputs("\nExit status: 0 all is well, 1 it is not, or it failed; 2 wrong usage; 78 bad "
	      "settings.\n",
		out);
}

int offline_refuse(const struct offline *o, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fputs("stageline: error: ", stderr);
	terminal_put(stderr, text, sizeof text);
	fprintf(stderr, " (`stageline %s --help` tells more)\n", o->action->name);
	return EXIT_USAGE;
}

int offline_fail(struct offline *o, const struct err *e)
{
	progress_end(&o->progress);
	fputs("stageline: error: ", stderr);
	terminal_put(stderr, err_text(e), SIZE_MAX);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

bool offline_number(const struct offline *o, enum offline_flag flag, int64_t fallback, int64_t *ret)
{
	const char *text = offline_text(o, flag);
	char *end;

	*ret = fallback;
	if (!text)
		return true;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (errno == 0 && end != text && !*end && *ret >= 1)
		return true;
	offline_refuse(o, "--%s '%.80s' is not a whole number from 1 on", flags[flag].name, text);
	return false;
}

void offline_begin(struct offline *o, const char *label)
{
	progress_end(&o->progress);
	o->progress = (struct progress){
		.label = label, .unit = "events", .is_json = o->is_json, .last_tenth = -1};
	o->watch = (struct journal_watch){progress_on_journal, &o->progress};
}

/* --- what was given --- */

static bool take_flags(struct offline *o, int argc, char **argv)
{
	struct option options[OFFLINE_FLAGS + 1] = {0};
	size_t n = 0;
	int i;

	for (i = 0; i < OFFLINE_FLAGS; i++)
		if ((o->action->takes | common) & (UINT32_C(1) << i))
			options[n++] = (struct option){flags[i].name,
				flags[i].argument ? required_argument : no_argument, NULL, 256 + i};
	while ((i = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		i = i == 'h' ? OFFLINE_HELP : i - 256;
		if (i < 0)
			return false; /* getopt said why */
		if (o->flags[i].n == (flags[i].is_list ? OFFLINE_VALUES_MAX : 1)) {
			offline_refuse(o, "--%s is given too often", flags[i].name);
			return false;
		}
		o->flags[i].values[o->flags[i].n++] = optarg ? optarg : "";
	}
	o->arguments = argv + optind;
	o->n_arguments = (size_t)(argc - optind);
	return true;
}

static int check_given(const struct offline *o)
{
	const struct offline_action *a = o->action;

	if (o->n_arguments < a->n_min)
		return offline_refuse(o, "%s needs %s", a->name, a->arguments);
	if (o->n_arguments > a->n_max)
		return offline_refuse(o, "%s does not know what to do with '%.80s'", a->name,
			o->arguments[a->n_max]);
	for (size_t i = 0; i < OFFLINE_FLAGS; i++)
		if (o->flags[i].n && flags[i].argument && !*o->flags[i].values[0])
			return offline_refuse(o, "--%s is empty", flags[i].name);
	if (offline_has(o, OFFLINE_JOURNAL) && offline_has(o, OFFLINE_DATA))
		return offline_refuse(o, "either --journal or --data");
	return EXIT_SUCCESS;
}

static int load_settings(struct offline *o)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct host_flags host = {
		.config = offline_text(o, OFFLINE_CONFIG), .data = offline_text(o, OFFLINE_DATA)};
	const char *file = NULL;
	struct err e = {0};
	int r;

	for (size_t i = 0; i < o->flags[OFFLINE_PLUGINS].n; i++)
		host.plugins[host.n_plugins++] = o->flags[OFFLINE_PLUGINS].values[i];
	r = host_config_load(&host, &o->config, &file, &faults, &e);
	if (r == 0)
		return EXIT_SUCCESS;
	if (faults.n)
		yaml_faults_print(&faults, file, stderr);
	else
		fprintf(stderr, "stageline: error: %s\n", e.code ? err_text(&e) : strerror(-r));
	return EXIT_BAD_CONFIG;
}

static int find_journal(struct offline *o)
{
	const char *file = offline_text(o, OFFLINE_JOURNAL);

	if (!(o->action->takes & OFFLINE(JOURNAL)))
		return EXIT_SUCCESS;
	if (file)
		o->journal = strdup(file);
	else if (asprintf(&o->journal, "%s/journal.sqlite", o->config->data) < 0)
		o->journal = NULL;
	if (o->journal)
		return EXIT_SUCCESS;
	fputs("stageline: error: no memory\n", stderr);
	return EXIT_FAILURE;
}

int offline_main(const struct offline_action *action, int argc, char **argv)
{
	struct offline o = {.action = action};
	int status;

	terminal_init();
	log_set_level(LOG_WARN);
	if (!take_flags(&o, argc, argv))
		return EXIT_USAGE;
	if (offline_has(&o, OFFLINE_HELP)) {
		offline_usage(action, stdout);
		return EXIT_SUCCESS;
	}
	o.is_json = offline_has(&o, OFFLINE_JSON);
	status = check_given(&o);
	if (status == EXIT_SUCCESS && (action->takes & OFFLINE(CONFIG)))
		status = load_settings(&o);
	if (status == EXIT_SUCCESS)
		status = find_journal(&o);
	if (status == EXIT_SUCCESS)
		status = action->run(&o);
	progress_end(&o.progress);
	host_config_destroy(o.config);
	free(o.journal);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "stageline: error: stdout: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return status;
}
