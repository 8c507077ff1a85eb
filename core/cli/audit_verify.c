/* `stageline audit verify`: whether history is what it was, and which event is the first that is not. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/heads_file.h"
#include "cli/offline.h"
#include "cli/terminal.h"
#include "journal/archive.h"
#include "journal/verify.h"

/* Heads before the first event that is looked at cannot be compared. */
static void drop_early(struct heads *h, int64_t from)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n; i++)
		if (h->list[i].seq >= from - 1)
			h->list[n++] = h->list[i];
	h->n = n;
}

/* --- gaps that are known --- */

static bool is_named(const struct offline *o, const struct chain_gap *gap)
{
	char text[48];

	snprintf(text, sizeof text, "%" PRId64 "-%" PRId64, gap->from, gap->to);
	for (size_t i = 0; i < o->flags[OFFLINE_GAP].n; i++)
		if (strcmp(text, o->flags[OFFLINE_GAP].values[i]) == 0)
			return true;
	return false;
}

static bool has_unnamed_gap(const struct offline *o, const struct verify_report *report)
{
	for (size_t i = 0; i < report->gaps.n; i++)
		if (!is_named(o, &report->gaps.list[i]))
			return true;
	return false;
}

static void print_gaps(const struct offline *o, const struct verify_report *report)
{
	for (size_t i = 0; i < report->gaps.n; i++) {
		const struct chain_gap *gap = &report->gaps.list[i];

		fprintf(stderr,
			"events %" PRId64 " to %" PRId64 " are missing since a recovery%s\n",
			gap->from, gap->to, is_named(o, gap) ? ", as --gap says" : "");
	}
	if (report->n_unproven)
		fprintf(stderr,
			"the content of %" PRId64
			" events cannot be checked: their orders' first events are "
			"among these\n",
			report->n_unproven);
	if (has_unnamed_gap(o, report))
		fputs("stageline: error: the journal has gaps; --gap FROM-TO takes one as known\n",
			stderr);
}

/* --- what came out --- */

static void write_archive(const struct archive_report *archive, struct json_writer *w)
{
	json_key(w, "archive");
	json_open(w, '{');
	json_key(w, "seq");
	json_int(w, archive->seq);
	json_key(w, "as_written");
	json_bool(w, archive->is_as_written);
	json_key(w, "erased");
	json_int(w, archive->n_erased);
	json_close(w, '}');
}

static void print_json(const struct verify_report *report, const struct archive_report *archive,
	bool is_ok, const struct err *e)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};
	char hash[DIGEST_TEXT_SIZE];

	json_open(&w, '{');
	json_key(&w, "ok");
	json_bool(&w, is_ok);
	json_key(&w, "events");
	json_int(&w, report->n_events);
	if (report->n_absent) {
		json_key(&w, "absent");
		json_int(&w, report->n_absent);
	}
	if (report->last.seq) {
		digest_text(report->last.hash, hash);
		json_key(&w, "head");
		json_open(&w, '{');
		json_key(&w, "seq");
		json_int(&w, report->last.seq);
		json_key(&w, "hash");
		json_text(&w, hash);
		json_close(&w, '}');
	}
	if (e->code) {
		json_key(&w, "fault");
		json_text(&w, report->fault ? verify_fault_word(report->fault) : "archive");
		if (report->fault) {
			json_key(&w, "seq");
			json_int(&w, report->fault_seq);
		}
		json_key(&w, "detail");
		json_text(&w, err_text(e));
	}
	if (archive->seq)
		write_archive(archive, &w);
	json_key(&w, "gaps");
	json_open(&w, '[');
	for (size_t i = 0; i < report->gaps.n; i++) {
		json_open(&w, '[');
		json_int(&w, report->gaps.list[i].from);
		json_int(&w, report->gaps.list[i].to);
		json_close(&w, ']');
	}
	json_close(&w, ']');
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

static void print_archive(const struct archive_report *archive)
{
	fprintf(stderr, "the archive is %s event %" PRId64 " of the journal names",
		archive->is_as_written ? "byte by byte the file that" : "the one that",
		archive->seq);
	if (archive->n_erased)
		fprintf(stderr, "; %" PRId64 " of its orders were erased in it since",
			archive->n_erased);
	fputc('\n', stderr);
}

static void print_text(const struct offline *o, const struct verify_report *report,
	const struct archive_report *archive)
{
	char hash[DIGEST_TEXT_SIZE];

	digest_text(report->last.hash, hash);
	print_gaps(o, report);
	if (report->n_absent)
		fprintf(stderr,
			"the content of %" PRId64
			" events is elsewhere: they stand between those of the archive\n",
			report->n_absent);
	if (archive->seq)
		print_archive(archive);
	printf("%" PRId64 " events are what was appended; head=%" PRId64 ":%s\n", report->n_events,
		report->last.seq, report->last.seq ? hash : "");
}

/* Also whether the archive is the one that its journal tells of, when that is named. */
static int verify(struct offline *o, const struct verify_request *request,
	struct verify_report *report, struct archive_report *archive, struct err *e)
{
	const char *path = request->is_archive ? offline_text(o, OFFLINE_ARCHIVE) : o->journal;
	int r = journal_verify_chain(path, request, report, e);

	if (r == 0 && request->is_archive &&
		(offline_has(o, OFFLINE_JOURNAL) || offline_has(o, OFFLINE_DATA)))
		r = archive_compare(path, o->journal, archive, e);
	return r;
}

static int run(struct offline *o)
{
	_cleanup_(verify_report_fini) struct verify_report report = {0};
	_cleanup_(heads_fini) struct heads heads = {0};
	struct verify_request request = {.watch = &o->watch};
	struct archive_report archive = {0};
	struct err e = {0};
	int r, status = heads_read(o, &heads);

	if (status != EXIT_SUCCESS)
		return status;
	if (!offline_number(o, OFFLINE_FROM, 0, &request.from))
		return EXIT_USAGE;
	drop_early(&heads, request.from);
	request.heads = heads.list;
	request.n_heads = heads.n;
	offline_begin(o, "verify");
	request.is_archive = offline_has(o, OFFLINE_ARCHIVE);
	r = verify(o, &request, &report, &archive, &e);
	progress_end(&o->progress);
	status = r < 0 || has_unnamed_gap(o, &report) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (r < 0 && r != -EBADMSG)
		return offline_fail(o, &e);
	if (o->is_json)
		print_json(&report, &archive, status == EXIT_SUCCESS, &e);
	if (r < 0)
		return o->is_json ? EXIT_FAILURE : offline_fail(o, &e);
	if (!o->is_json)
		print_text(o, &report, &archive);
	return status;
}

const struct offline_action audit_verify = {
	.name = "audit verify",
	.arguments = "",
	.summary = "Checks the hash chain and names the first event that is not what was appended",
	.details =
		"A chain that was cut off at its end, or computed anew as a whole, is sound in "
		"itself: it takes a\n"
		"head that was noted outside to see that. The daemon logs its head every hour "
		"and when it stops;\n"
		"`heads:` in its settings also sends it elsewhere. With --archive and --journal or "
		"--data the archive is\n"
		"also compared with what that journal tells of it.\n",
	.takes = OFFLINE(FROM) | OFFLINE(HEAD) | OFFLINE(HEADS) | OFFLINE(GAP) | OFFLINE(ARCHIVE) |
		 OFFLINE(JOURNAL) | OFFLINE(DATA) | OFFLINE(CONFIG),
	.run = run,
};
