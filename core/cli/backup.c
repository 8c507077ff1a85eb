/* `stageline backup`: a copy of the journal that was looked at. */
#include "journal/backup.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/offline.h"
#include "journal/line.h"
#include "journal/verify.h"

static void print(const struct offline *o, const struct verify_report *report)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};
	char head[CHAIN_HEAD_TEXT];

	chain_head_text(&report->last, head);
	if (!o->is_json) {
		printf("%" PRId64 " events are in %s; head=%s\n", report->n_events, o->arguments[0],
			head);
		return;
	}
	json_open(&w, '{');
	json_key(&w, "ok");
	json_bool(&w, true);
	json_key(&w, "file");
	json_text(&w, o->arguments[0]);
	json_key(&w, "events");
	json_int(&w, report->n_events);
	json_key(&w, "head");
	json_text(&w, head);
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

static int check(struct offline *o, struct verify_report *report, struct err *e)
{
	const struct verify_request all = {.watch = &o->watch};
	int r;

	offline_begin(o, "verify");
	r = journal_verify_chain(o->arguments[0], &all, report, e);
	return r < 0 ? err_wrap(e, r, "'%s' is the journal as it stands, and", o->arguments[0]) : 0;
}

static int run(struct offline *o)
{
	_cleanup_(verify_report_fini) struct verify_report report = {0};
	struct err e = {0};
	int r;

	offline_begin(o, "copy");
	o->progress.unit = "pages";
	r = journal_backup(o->journal, o->arguments[0], &o->watch, &e);
	if (r == 0)
		r = check(o, &report, &e);
	if (r < 0)
		return offline_fail(o, &e);
	progress_end(&o->progress);
	print(o, &report);
	return EXIT_SUCCESS;
}

int backup_main(int argc, char **argv)
{
	static const struct offline_action action = {
		.name = "backup",
		.arguments = "NEW",
		.summary = "Copies the journal into the new file NEW, and checks the copy",
		.details = "The copy is of one moment, and a daemon may go on meanwhile. To go "
			   "back to it, stop the daemon, put\n"
			   "the copy in the place of journal.sqlite and remove the files "
			   "journal.sqlite-wal, journal.sqlite-shm\n"
			   "and `attempts` beside it.\n",
		.n_min = 1,
		.n_max = 1,
		.takes = OFFLINE(JOURNAL) | OFFLINE(DATA) | OFFLINE(CONFIG),
		.run = run,
	};

	return offline_main(&action, argc, argv);
}
