/* What the commands share that open the journal's file themselves: flags from one table, which file it is, progress.
 * They only read it, and work while a daemon writes it. */
#pragma once

#include "cli/host_config.h"
#include "cli/progress.h"
#include "journal/watch.h"

/* Every flag of every such command; an action names those it takes. */
enum offline_flag {
	OFFLINE_VERIFY,
	OFFLINE_REBUILD,
	OFFLINE_UNTIL,
	OFFLINE_UNTIL_SEQ,
	OFFLINE_AGAINST,
	OFFLINE_SINCE,
	OFFLINE_RUN,
	OFFLINE_FROM,
	OFFLINE_HEAD,
	OFFLINE_HEADS,
	OFFLINE_GAP,
	OFFLINE_OUTPUT,
	OFFLINE_LIMIT,
	OFFLINE_PLUGINS,
	OFFLINE_BEFORE,
	OFFLINE_REASON,
	OFFLINE_DRY_RUN,
	OFFLINE_ARCHIVE,
	OFFLINE_JOURNAL,
	OFFLINE_DATA,
	OFFLINE_CONFIG,
	OFFLINE_JSON,
	OFFLINE_HELP,
	OFFLINE_FLAGS
};
#define OFFLINE(flag) (UINT32_C(1) << OFFLINE_##flag)

enum { OFFLINE_VALUES_MAX = 16 };

struct offline;

struct offline_action {
	const char *name;	       /* "audit verify" */
	const char *arguments;	       /* "NEW" */
	const char *summary, *details; /* details may be NULL: lines for --help */
	size_t n_min, n_max;	       /* arguments */
	uint32_t takes;		       /* --json and --help: all do */
	int (*run)(struct offline *o); /* returns the exit status */
};

struct offline {
	const struct offline_action *action;
	struct {
		const char *values[OFFLINE_VALUES_MAX]; /* "" for flags without argument */
		size_t n;
	} flags[OFFLINE_FLAGS];
	char **arguments;
	size_t n_arguments;
	bool is_json;
	struct host_config *config; /* NULL: nobody needed it */
	char *journal;		    /* path of the file */
	struct progress progress;
	struct journal_watch watch; /* shows the progress */
};

int offline_main(const struct offline_action *action, int argc, char **argv);
void offline_usage(const struct offline_action *action, FILE *out);

static inline bool offline_has(const struct offline *o, enum offline_flag flag)
{
	return o->flags[flag].n > 0;
}

/* The flag's only or first value; NULL: not given. */
static inline const char *offline_text(const struct offline *o, enum offline_flag flag)
{
	return o->flags[flag].n ? o->flags[flag].values[0] : NULL;
}

/* Says what is wrong with the command line. Returns EXIT_USAGE. */
int offline_refuse(const struct offline *o, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Ends the progress and says what failed. Returns EXIT_FAILURE. */
int offline_fail(struct offline *o, const struct err *e);
/* The flag's whole number from 1 on; `fallback` when it is not given. False: refused. */
bool offline_number(
	const struct offline *o, enum offline_flag flag, int64_t fallback, int64_t *ret);
/* Begins to show progress: "verify", "events". */
void offline_begin(struct offline *o, const char *label);
