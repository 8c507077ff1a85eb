/* `stageline audit export|import|prove`: history as files that others can read and check. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "cli/heads_file.h"
#include "cli/offline.h"
#include "journal/line.h"
#include "journal/transfer.h"

/* stdout, or the new file that --output names. NULL: said why. */
static FILE *open_output(struct offline *o)
{
	const char *path = offline_text(o, OFFLINE_OUTPUT);
	struct err e = {0};
	FILE *out = path ? fopen(path, "wxe") : stdout;

	if (out)
		return out;
	err_set(&e, -errno, "'%s': %s", path, strerror(errno));
	offline_fail(o, &e);
	return NULL;
}

/* A file that is not whole is taken away again. */
static int close_output(struct offline *o, FILE *out, int r, struct err *e)
{
	const char *path = offline_text(o, OFFLINE_OUTPUT);

	if (path && fclose(out) != 0 && r == 0)
		r = err_set(e, -errno, "'%s': %s", path, strerror(errno));
	if (path && r < 0)
		remove(path);
	return r;
}

static int sum_up(struct offline *o, const struct verify_report *report, int r, const struct err *e)
{
	char head[CHAIN_HEAD_TEXT];

	progress_end(&o->progress);
	if (r < 0)
		return offline_fail(o, e);
	chain_head_text(&report->last, head);
	fprintf(stderr, "%" PRId64 " events; head=%s\n", report->n_events, head);
	return EXIT_SUCCESS;
}

static int run_export(struct offline *o)
{
	_cleanup_(verify_report_fini) struct verify_report report = {0};
	struct err e = {0};
	FILE *out = open_output(o);
	int r;

	if (!out)
		return EXIT_FAILURE;
	offline_begin(o, "export");
	r = journal_export(o->journal, out, &o->watch, &report, &e);
	return sum_up(o, &report, close_output(o, out, r, &e), &e);
}

static int run_prove(struct offline *o)
{
	_cleanup_(verify_report_fini) struct verify_report report = {0};
	_cleanup_(heads_fini) struct heads heads = {0};
	struct proof_request request = {0};
	struct err e = {0};
	FILE *out;
	int r, status = heads_read(o, &heads);

	if (status != EXIT_SUCCESS)
		return status;
	if (id_parse(str_of(o->arguments[0]), &request.order) < 0)
		return offline_refuse(o,
			"'%.80s' is no order id; one looks like "
			"01890a5d-ac96-774b-bcce-b302099a8057",
			o->arguments[0]);
	if (!offline_number(o, OFFLINE_UNTIL_SEQ, 0, &request.until))
		return EXIT_USAGE;
	request.heads = heads.list;
	request.n_heads = heads.n;
	out = open_output(o);
	if (!out)
		return EXIT_FAILURE;
	offline_begin(o, "prove");
	r = journal_prove(o->journal, &request, out, &o->watch, &report, &e);
	return sum_up(o, &report, close_output(o, out, r, &e), &e);
}

static int run_import(struct offline *o)
{
	const char *name = o->arguments[0];
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *in = is_stdin ? stdin : fopen(name, "re");
	struct err e = {0};
	int64_t n_events = 0;
	int r;

	if (!in) {
		err_set(&e, -errno, "'%s': %s", name, strerror(errno));
		return offline_fail(o, &e);
	}
	offline_begin(o, "import");
	o->progress.unit = "bytes";
	r = journal_import(
		in, is_stdin ? "stdin" : name, o->arguments[1], &o->watch, &n_events, &e);
	if (!is_stdin)
		fclose(in);
	if (r < 0)
		return offline_fail(o, &e);
	progress_end(&o->progress);
	fprintf(stderr, "%" PRId64 " events\n", n_events);
	return EXIT_SUCCESS;
}

#define FILES (OFFLINE(JOURNAL) | OFFLINE(DATA) | OFFLINE(CONFIG))

const struct offline_action audit_export = {
	.name = "audit export",
	.arguments = "",
	.summary = "Writes all events as lines of JSON, checking the chain",
	.details = "The last line names the head; without it a file is not whole. `audit import` "
		   "makes the same journal\n"
		   "of it, byte by byte.\n",
	.takes = OFFLINE(OUTPUT) | FILES,
	.run = run_export,
};

const struct offline_action audit_import = {
	.name = "audit import",
	.arguments = "FILE NEW",
	.summary = "Makes the new journal NEW of an export; FILE - is stdin",
	.n_min = 2,
	.n_max = 2,
	.run = run_import,
};

const struct offline_action audit_prove = {
	.name = "audit prove",
	.arguments = "ORDER",
	.summary = "Writes a proof of an order's history that can be checked without Stageline",
	.details = "It holds the order's events, and header and digest of those in between, so "
		   "that anybody can compute\n"
		   "the chain up to its last line: `check-proof.py FILE` does, in a hundred lines "
		   "of Python. With a head\n"
		   "that was noted outside, or a file of them, it goes on to the first that covers "
		   "the order; who trusts\n"
		   "that head can trust the proof. Nothing of what other orders say is in it.\n",
	.n_min = 1,
	.n_max = 1,
	.takes = OFFLINE(UNTIL_SEQ) | OFFLINE(HEAD) | OFFLINE(HEADS) | OFFLINE(OUTPUT) | FILES,
	.run = run_prove,
};
