/* `stageline recover`: a new journal of what can be saved from a damaged one. */
#include "journal/recover.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/offline.h"
#include "journal/line.h"

/* Of a list whose first RECOVER_ORDERS_MAX are there. */
static size_t n_listed(int64_t n)
{
	return n < RECOVER_ORDERS_MAX ? (size_t)n : RECOVER_ORDERS_MAX;
}

static void json_ids(struct json_writer *w, const char *name, const struct id *ids, int64_t n)
{
	json_key(w, name);
	json_open(w, '[');
	for (size_t i = 0; i < n_listed(n); i++)
		json_id(w, &ids[i]);
	json_close(w, ']');
}

static void print_ids(const struct id *ids, int64_t n, const char *what)
{
	char text[ID_TEXT_SIZE];

	for (size_t i = 0; i < n_listed(n); i++) {
		id_text(&ids[i], text);
		printf("order %s %s\n", text, what);
	}
	if (n > RECOVER_ORDERS_MAX)
		printf("… and %" PRId64 " more such orders\n", n - RECOVER_ORDERS_MAX);
}

static void print_json(const struct recover_report *report)
{
	_cleanup_(buf_fini) struct buf out = {0};
	struct json_writer w = {&out, false};
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {{"kept", report->n_kept}, {"last_saved", report->last_saved.seq},
		{"missing", report->n_missing}, {"mended", report->n_mended},
		{"unplaced", report->n_unplaced}, {"pipelines", report->n_generations},
		{"broken_orders", report->n_broken}, {"lost_orders", report->n_headless},
		{"unsure_orders", report->n_unsure}};
	char head[CHAIN_HEAD_TEXT];

	chain_head_text(&report->head, head);
	json_open(&w, '{');
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		json_key(&w, numbers[i].name);
		json_int(&w, numbers[i].value);
	}
	json_key(&w, "gaps");
	json_open(&w, '[');
	for (size_t i = 0; i < report->gaps.n; i++) {
		json_open(&w, '[');
		json_int(&w, report->gaps.list[i].from);
		json_int(&w, report->gaps.list[i].to);
		json_close(&w, ']');
	}
	json_close(&w, ']');
	json_ids(&w, "orders", report->orders, report->n_broken);
	json_ids(&w, "unsure", report->unsure, report->n_unsure);
	json_key(&w, "head");
	json_text(&w, head);
	json_close(&w, '}');
	puts(buf_view(&out).p);
}

static void print_text(const struct recover_report *report)
{
	char text[CHAIN_HEAD_TEXT];

	printf("%" PRId64 " events saved, the last is %" PRId64 "\n", report->n_kept,
		report->last_saved.seq);
	for (size_t i = 0; i < report->gaps.n; i++)
		printf("missing: %" PRId64 " to %" PRId64 "\n", report->gaps.list[i].from,
			report->gaps.list[i].to);
	if (report->n_unplaced)
		printf("behind the last one, of %" PRId64
		       " more events there are rows that nothing proves; they are left out\n",
			report->n_unplaced);
	if (report->n_mended)
		printf("mended: the hashes of %" PRId64 " events, from their neighbours\n",
			report->n_mended);
	if (report->n_generations)
		printf("pipelines found beside their missing events: %" PRId64 "\n",
			report->n_generations);
	print_ids(report->orders, report->n_broken, "lost events and stands as it did before");
	print_ids(report->unsure, report->n_unsure,
		"has no event behind the gap: it may have lost its last ones, and goes on from "
		"where it stood");
	if (report->n_headless)
		printf("%" PRId64 " orders are lost: their placing is missing, though later events "
		       "of theirs are kept\n",
			report->n_headless);
	chain_head_text(&report->head, text);
	printf("head=%s\n", text);
	if (report->gaps.n)
		fputs("Stock and ledgers lack what the missing events did: compare them with the "
		      "shelves.\n",
			stderr);
}

static int run(struct offline *o)
{
	_cleanup_(recover_report_fini) struct recover_report report = {0};
	struct err e = {0};
	int r;

	offline_begin(o, "recover");
	o->progress.unit = NULL;
	r = journal_recover(
		o->arguments[0], o->arguments[1], clock_wall_us(), &o->watch, &report, &e);
	progress_end(&o->progress);
	if (r < 0)
		return offline_fail(o, &e);
	if (o->is_json)
		print_json(&report);
	else
		print_text(&report);
	return EXIT_SUCCESS;
}

int recover_main(int argc, char **argv)
{
	static const struct offline_action action = {
		.name = "recover",
		.arguments = "DAMAGED NEW",
		.summary = "Makes the new journal NEW of what can be saved from a damaged one",
		.details = "Keeps every event before the damage, and those behind it from where "
			   "the chain can be picked up\n"
			   "again; lists what is missing. DAMAGED is only read, page by page, its "
			   "write-ahead log too: stop\n"
			   "the daemon first. To go on with NEW, put it where the journal was, "
			   "without the old -wal and\n"
			   "-shm files and without the file `attempts`.\n",
		.n_min = 2,
		.n_max = 2,
		.run = run,
	};

	return offline_main(&action, argc, argv);
}
