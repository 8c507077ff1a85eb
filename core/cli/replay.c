/* `stageline replay`: the journal folded once more. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/offline.h"
#include "cli/terminal.h"
#include "journal/verify.h"

/* --- --verify --- */

static void print_json(const struct replay_report *report, int r, const struct err *e)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};

	json_open(&w, '{');
	json_key(&w, "ok");
	json_bool(&w, r == 0);
	json_key(&w, "events");
	json_int(&w, report->chain.n_events);
	json_key(&w, "rows");
	json_int(&w, report->n_rows);
	json_key(&w, "broken_orders");
	json_int(&w, report->n_broken);
	if (r < 0) {
		json_key(&w, "fault");
		json_text(&w, report->is_difference ? "difference"
						    : verify_fault_word(report->chain.fault));
		if (report->chain.fault) {
			json_key(&w, "seq");
			json_int(&w, report->chain.fault_seq);
		}
		json_key(&w, "detail");
		json_text(&w, err_text(e));
	}
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

static int verify(struct offline *o)
{
	_cleanup_(replay_report_fini) struct replay_report report = {0};
	struct pipeline_set set = {0};
	struct err e = {0};
	int r;

	offline_begin(o, "replay");
	r = journal_replay(o->journal, &set, &o->watch, &report, &e);
	progress_end(&o->progress);
	pipeline_set_fini(&set);
	if (o->is_json && (r == 0 || r == -EBADMSG || r == -EPROTO)) {
		print_json(&report, r, &e);
		return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (r < 0)
		return offline_fail(o, &e);
	if (report.n_broken)
		fprintf(stderr,
			"%" PRId64
			" orders lost events in a known gap and stand as they did before it\n",
			report.n_broken);
	printf("%" PRId64 " events give the %" PRId64 " rows that are there\n",
		report.chain.n_events, report.n_rows);
	return EXIT_SUCCESS;
}

/* --- the command --- */

static int run(struct offline *o)
{
	static const struct {
		enum offline_flag flag;
		int (*run)(struct offline *o);
	} modes[] = {{OFFLINE_VERIFY, verify}};
	int (*chosen)(struct offline * o) = NULL;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (!offline_has(o, modes[i].flag))
			continue;
		if (chosen)
			return offline_refuse(o, "one thing at a time");
		chosen = modes[i].run;
	}
	return chosen ? chosen(o)
		      : offline_refuse(o, "replay needs to know what for, such as --verify");
}

int replay_main(int argc, char **argv)
{
	static const struct offline_action action = {
		.name = "replay",
		.arguments = "",
		.summary = "Folds the journal once more, from its file",
		.takes = OFFLINE(VERIFY) | OFFLINE(JOURNAL) | OFFLINE(DATA) | OFFLINE(CONFIG),
		.run = run,
	};

	return offline_main(&action, argc, argv);
}
