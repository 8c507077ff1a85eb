/* `stageline archive`: moves orders that have ended into a file. Not while a daemon runs. */
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/offline.h"
#include "journal/archive.h"
#include "journal/journal.h"

enum { REASON_MAX = 500 };

struct job {
	struct offline *o;
	struct archive_range range;
	const char *path, *reason;
	char sha256[65];
};

static void print_json(const struct job *job, bool is_done)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};

	json_open(&w, '{');
	json_key(&w, "orders");
	json_int(&w, job->range.n);
	json_key(&w, "removed_before");
	json_int(&w, job->range.n_left);
	if (job->range.n) {
		json_key(&w, "from");
		json_int(&w, job->range.from);
		json_key(&w, "to");
		json_int(&w, job->range.to);
	}
	if (is_done) {
		json_key(&w, "file");
		json_text(&w, job->path);
		json_key(&w, "sha256");
		json_text(&w, job->sha256);
	}
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

/* Without a file, or with --dry-run. */
static int tell(const struct job *job)
{
	const struct archive_range *r = &job->range;

	if (job->o->is_json)
		print_json(job, false);
	else if (!r->n)
		fputs("No order that is whole has ended before that\n", stderr);
	else
		fprintf(stderr,
			"%" PRId64 " orders would be archived, of events %" PRId64 " to %" PRId64
			"; nothing was changed\n",
			r->n, r->from, r->to);
	return EXIT_SUCCESS;
}

static int do_archive(struct job *job, struct journal *j, struct err *e)
{
	_cleanup_(freep) char *copy = strdup(job->path);
	int r = copy ? 0 : err_set(e, -ENOMEM, "no memory");

	offline_begin(job->o, "copy");
	if (r == 0)
		r = archive_write(
			job->o->journal, job->path, &job->range, &job->o->watch, job->sha256, e);
	if (r < 0)
		return r;
	offline_begin(job->o, "archive");
	job->o->progress.unit = "orders";
	r = archive_remove(j, job->path, &job->range, basename(copy), job->sha256, job->reason,
		&job->o->watch, e);
	return r < 0 ? err_wrap(e, r, "the archive '%s' is written; the journal", job->path) : 0;
}

static int archive(struct job *job)
{
	_cleanup_(journal_closep) struct journal *j = NULL;
	struct err e = {0};
	int r = journal_open(job->o->journal, &j, &e); /* from here on nothing changes but by us */

	if (r == -EBUSY)
		return err_wrap(&e, r, "stop the daemon first"), offline_fail(job->o, &e);
	if (r == 0)
		r = archive_look(job->o->journal, &job->range, &e);
	if (r == 0 && !job->range.n)
		return tell(job);
	if (r == 0)
		r = do_archive(job, j, &e);
	if (r == 0)
		r = journal_scrub(j, &e) == -EIO ? -EIO : 0;
	progress_end(&job->o->progress);
	if (r < 0)
		return offline_fail(job->o, &e);
	if (job->o->is_json)
		print_json(job, true);
	else
		printf("%" PRId64 " orders are in %s\nsha256 %s\n", job->range.n, job->path,
			job->sha256);
	return EXIT_SUCCESS;
}

/* A day is its beginning in UTC. */
static bool take_before(const struct offline *o, int64_t *ret_us)
{
	const char *text = offline_text(o, OFFLINE_BEFORE);
	char whole[40];

	if (text && strlen(text) == 10) {
		snprintf(whole, sizeof whole, "%.10sT00:00:00Z", text);
		text = whole;
	}
	if (text && clock_parse_offset(str_of(text), ret_us) == 0)
		return true;
	offline_refuse(o, text ? "--before must be a day such as 2026-01-31, or a time such as "
				 "2026-01-31T10:00:00Z"
			       : "archive needs --before");
	return false;
}

static int run(struct offline *o)
{
	struct job job = {.o = o, .reason = offline_text(o, OFFLINE_REASON)};
	bool is_dry = offline_has(o, OFFLINE_DRY_RUN);
	struct err e = {0};

	if (!take_before(o, &job.range.before_us))
		return EXIT_USAGE;
	if (is_dry)
		return archive_look(o->journal, &job.range, &e) < 0 ? offline_fail(o, &e)
								    : tell(&job);
	if (!o->n_arguments)
		return offline_refuse(o, "archive needs a FILE to write");
	if (!job.reason || strlen(job.reason) > REASON_MAX)
		return offline_refuse(
			o, "archive needs a --reason of at most %d bytes", REASON_MAX);
	job.path = o->arguments[0];
	return archive(&job);
}

static const struct offline_action action = {
	.name = "archive",
	.arguments = "FILE",
	.summary = "Moves orders that ended before a day into the new file FILE, with their proof",
	.details =
		"The journal keeps of them what it keeps of erased ones: id, status, times, "
		"amount, "
		"the types of their\n"
		"events and the effects on the stock; GET /orders/ID names the file. Its chain "
		"still verifies, and so does\n"
		"the archive: `stageline audit verify --archive FILE`. The daemon must be stopped. "
		"Whatever interrupts it,\n"
		"an order is in the journal until the file that has it is safe on the disk.\n",
	.n_max = 1,
	.takes = OFFLINE(BEFORE) | OFFLINE(REASON) | OFFLINE(DRY_RUN) | OFFLINE(JOURNAL) |
		 OFFLINE(DATA) | OFFLINE(CONFIG),
	.run = run,
};

int archive_main(int argc, char **argv)
{
	return offline_main(&action, argc, argv);
}
