/* `stageline replay`: the journal folded once more. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/offline.h"
#include "cli/replay.h"
#include "cli/terminal.h"
#include "journal/rebuild.h"

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

/* --- --rebuild --- */

static int rebuild(struct offline *o)
{
	_cleanup_(replay_report_fini) struct replay_report report = {0};
	struct err e = {0};
	int r;

	offline_begin(o, "rebuild");
	r = journal_rebuild(o->journal, &o->watch, &report, &e);
	progress_end(&o->progress);
	if (r == -EBUSY)
		err_wrap(&e, r, "stop the daemon first");
	if (r < 0)
		return offline_fail(o, &e);
	if (o->is_json)
		printf("{\"ok\":true,\"events\":%" PRId64 "}\n", report.chain.n_events);
	else
		printf("every row now is what %" PRId64 " events give\n", report.chain.n_events);
	return EXIT_SUCCESS;
}

/* --- --until --- */

int replay_find_moment(struct offline *o, enum offline_flag flag, int64_t *ret)
{
	const char *text = offline_text(o, flag);
	bool is_since = flag == OFFLINE_SINCE;
	struct err e = {0};
	int64_t wall_us;

	if (clock_parse_offset(str_of(text), &wall_us) < 0)
		return offline_number(o, flag, 0, ret) ? EXIT_SUCCESS : EXIT_USAGE;
	if (journal_seq_at(o->journal, wall_us - is_since, ret, &e) < 0)
		return offline_fail(o, &e);
	*ret += is_since;
	if (*ret)
		return EXIT_SUCCESS;
	err_set(&e, -ENOENT, "there is no event so early");
	return offline_fail(o, &e);
}

static int until(struct offline *o)
{
	_cleanup_(verify_report_fini) struct verify_report report = {0};
	struct err e = {0};
	int64_t seq;
	int r, status;

	if (o->n_arguments != 1)
		return offline_refuse(o, "--until needs the name of the new file");
	status = replay_find_moment(o, OFFLINE_UNTIL, &seq);
	if (status != EXIT_SUCCESS)
		return status;
	offline_begin(o, "until");
	r = journal_until(o->journal, seq, o->arguments[0], &o->watch, &report, &e);
	progress_end(&o->progress);
	if (r < 0)
		return offline_fail(o, &e);
	if (o->is_json)
		printf("{\"ok\":true,\"events\":%" PRId64 ",\"until\":%" PRId64 "}\n",
			report.n_events, report.last.seq);
	else
		printf("%" PRId64 " events, the last is %" PRId64
		       "; `stageline serve --read-only --journal FILE` shows it\n",
			report.n_events, report.last.seq);
	return EXIT_SUCCESS;
}

/* --- the command --- */

static int run(struct offline *o)
{
	static const struct {
		enum offline_flag flag;
		int (*run)(struct offline *o);
	} modes[] = {{OFFLINE_VERIFY, verify}, {OFFLINE_REBUILD, rebuild}, {OFFLINE_UNTIL, until}};
	int (*chosen)(struct offline * o) = offline_has(o, OFFLINE_AGAINST) ? replay_against : NULL;

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		if (!offline_has(o, modes[i].flag) ||
			(chosen == replay_against && modes[i].flag == OFFLINE_UNTIL))
			continue;
		if (chosen)
			return offline_refuse(o, "one thing at a time");
		chosen = modes[i].run;
	}
	if (chosen != replay_against &&
		(offline_has(o, OFFLINE_SINCE) || offline_has(o, OFFLINE_RUN) ||
			offline_has(o, OFFLINE_LIMIT) || offline_has(o, OFFLINE_PLUGINS)))
		return offline_refuse(o, "--since, --limit, --run and --plugins go with --against");
	if (o->n_arguments && chosen != until)
		return offline_refuse(
			o, "replay does not know what to do with '%.80s'", o->arguments[0]);
	return chosen ? chosen(o)
		      : offline_refuse(o,
				"replay needs to know what for: --verify, --rebuild, --until "
				"or --against");
}

int replay_main(int argc, char **argv)
{
	static const struct offline_action action = {
		.name = "replay",
		.arguments = "[NEW]",
		.n_max = 1,
		.summary = "Folds the journal once more, from its file",
		.details = "--against FILE decides each order that has ended once more, with the "
			   "pipeline of "
			   "FILE and the plugins that\n"
			   "are there now, in the state as it was at each moment. Stages without "
			   "effects run "
			   "again, in processes\n"
			   "without network, programs and files to write, on the clock of that "
			   "day. Of stages "
			   "with effects the answers\n"
			   "are taken from the journal, by the stage's name; what one was never "
			   "asked is not "
			   "known. Nothing outside\n"
			   "happens, and the journal is only read. Exit status 1: some would end "
			   "differently, "
			   "or cannot be told.\n"
			   "With --json: a line for each order that is not the same, and one for "
			   "all.\n",
		.takes = OFFLINE(VERIFY) | OFFLINE(REBUILD) | OFFLINE(UNTIL) | OFFLINE(AGAINST) |
			 OFFLINE(SINCE) | OFFLINE(LIMIT) | OFFLINE(RUN) | OFFLINE(PLUGINS) |
			 OFFLINE(JOURNAL) | OFFLINE(DATA) | OFFLINE(CONFIG),
		.run = run,
	};

	return offline_main(&action, argc, argv);
}
