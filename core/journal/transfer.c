/* Journals and proofs as files of lines. */
#include "journal/transfer.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/copy.h"
#include "journal/line.h"
#include "journal/salt.h"
#include "journal/walk.h"

static int flush(FILE *out, struct buf *text, struct err *e)
{
	bool is_written = !text->failed && fwrite(text->data, 1, text->len, out) == text->len;

	if (text->failed)
		return err_set(e, -ENOMEM, "out of memory");
	buf_clear(text);
	return is_written ? 0 : err_set(e, -EIO, "cannot be written: %s", strerror(errno));
}

/* --- out --- */

struct writing {
	FILE *out;
	struct buf text;
	int64_t order_seq; /* payloads of this order alone; 0: of all */
};

static int write_row(void *writing, const struct chain_row *row, bool is_after_gap, struct err *e)
{
	struct writing *w = writing;

	(void)is_after_gap;
	chain_line_event(&w->text, row, !w->order_seq || row->ev.order_seq == w->order_seq);
	return flush(w->out, &w->text, e);
}

/* The events and the last line, behind what stands in `w->text`. */
static int write_all(struct writing *w, sqlite3 *db, const struct verify_request *request,
	struct verify_report *ret, struct err *e)
{
	int r = flush(w->out, &w->text, e);

	if (r == 0)
		r = chain_walk(db, request, &(struct chain_visitor){write_row, w}, ret, e);
	if (r < 0)
		return r;
	chain_line_last(&w->text, &ret->last, ret->n_events);
	r = flush(w->out, &w->text, e);
	return r == 0 && fflush(w->out) != 0
		       ? err_set(e, -errno, "cannot be written: %s", strerror(errno))
		       : r;
}

int journal_export(const char *path, FILE *out, const struct journal_watch *watch,
	struct verify_report *ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	const struct verify_request request = {.watch = watch};
	struct writing w = {.out = out};
	int r = chain_open(path, ret, &db, e);

	if (r < 0)
		return r;
	chain_line_first(&w.text, "journal", NULL, NULL, 0);
	r = write_all(&w, db, &request, ret, e);
	buf_fini(&w.text);
	return r;
}

/* --- proofs --- */

struct span {
	int64_t first, last; /* seqs of the order's events */
	struct chain_head previous;
};

static int find_span(sqlite3 *db, const struct id *order, struct span *ret, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct str hash;
	int r = sql_prepare(db,
		"SELECT o.seq, (SELECT max(seq) FROM events e WHERE e.order_seq = o.seq),"
		" (SELECT hash FROM events p WHERE p.seq = o.seq - 1) FROM orders o WHERE o.id = "
		"?1",
		&s, e);

	if (r == 0)
		r = sql_row(s, sql_bind_blob(s, 1, order->bytes, sizeof order->bytes), e);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, -ENOENT, "there is no such order");
	*ret = (struct span){
		.first = sqlite3_column_int64(s, 0), .last = sqlite3_column_int64(s, 1)};
	hash = sql_str(s, 2);
	ret->previous.seq = ret->first - 1;
	if (hash.n == CHAIN_HASH_SIZE)
		memcpy(ret->previous.hash, hash.p, CHAIN_HASH_SIZE);
	return 0;
}

/* Where the proof ends: with the order, or at a head that was noted. */
static int64_t end_of(const struct proof_request *request, const struct span *span)
{
	int64_t end = request->until > span->last ? request->until : INT64_MAX;

	for (size_t i = 0; i < request->n_heads; i++)
		if (request->heads[i].seq >= span->last && request->heads[i].seq < end)
			end = request->heads[i].seq;
	return end == INT64_MAX ? span->last : end;
}

int journal_prove(const char *path, const struct proof_request *request, FILE *out,
	const struct journal_watch *watch, struct verify_report *ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	struct verify_request events = {.watch = watch};
	struct writing w = {.out = out};
	struct span span;
	int r = chain_open(path, ret, &db, e);

	if (r == 0)
		r = find_span(db, &request->order, &span, e);
	if (r < 0)
		return r;
	events.from = span.first;
	events.until = end_of(request, &span);
	w.order_seq = span.first;
	chain_line_first(&w.text, "proof", &span.previous, &request->order, span.first);
	r = write_all(&w, db, &events, ret, e);
	for (size_t i = 0; r == 0 && i < request->n_heads; i++)
		if (request->heads[i].seq == ret->last.seq &&
			memcmp(request->heads[i].hash, ret->last.hash, CHAIN_HASH_SIZE) != 0)
			r = err_set(e, -EBADMSG,
				"event %" PRId64 " is not the one whose hash was noted",
				ret->last.seq);
	buf_fini(&w.text);
	return r;
}

/* --- in --- */

struct reading {
	FILE *in;
	const char *name; /* of the file, for messages */
	char *line;
	size_t cap, number;
	struct journal_copy *copy;
	struct chain chain;
	struct salt_cache salts;
	struct chain_line parsed;
	struct chain_head last;
	int64_t n_events;
	int64_t gap_seq; /* the first event that is missing; 0: none is */
	size_t gap_line;
};

static int wrong_line(const struct reading *d, int r, struct err *e)
{
	return err_wrap(e, r, "%s:%zu", d->name, d->number);
}

/* 1: a line without its end; 0: none is left. */
static int next_line(struct reading *d, struct str *ret, struct err *e)
{
	ssize_t n = getline(&d->line, &d->cap, d->in);

	d->number++;
	if (n < 0)
		return ferror(d->in) ? err_set(e, -EIO, "%s: cannot be read: %s", d->name,
					       strerror(errno))
				     : 0;
	while (n && (d->line[n - 1] == '\n' || d->line[n - 1] == '\r'))
		n--;
	*ret = (struct str){d->line, (size_t)n};
	return 1;
}

/* Whether the row follows the one before; gaps and what was removed show when the whole file is checked. */
static int check_row(struct reading *d, const struct chain_row *row, struct err *e)
{
	uint8_t salt[CHAIN_SALT_SIZE], digest[CHAIN_HASH_SIZE];
	const char *flaw = chain_row_flaw(row);
	int r;

	if (flaw)
		return err_set(e, -EINVAL, "event %" PRId64 ": %s", row->ev.seq, flaw);
	if (row->ev.seq <= d->last.seq)
		return err_set(e, -EINVAL, "event %" PRId64 " comes after event %" PRId64,
			row->ev.seq, d->last.seq);
	if (row->ev.seq == d->last.seq + 1 &&
		!chain_row_fits(&d->chain, d->last.hash, row, row->ev.seq))
		return err_set(e, -EBADMSG,
			"event %" PRId64 " is not what followed the event before", row->ev.seq);
	if (chain_row_has_salt(row) && !row->salt.p)
		return 0;
	if (chain_row_has_salt(row))
		memcpy(salt, row->salt.p, sizeof salt);
	else if (salt_cache_get(&d->salts, row->ev.order_seq, salt, NULL) < 0)
		return 0;
	r = chain_digest(&d->chain, salt, row->payload, digest);
	if (r < 0 || memcmp(digest, row->digest.p, CHAIN_HASH_SIZE) == 0)
		return r;
	return err_set(e, -EBADMSG, "event %" PRId64 ": its payload is not what was appended",
		row->ev.seq);
}

static int take_event(struct reading *d, const struct chain_row *row, struct err *e)
{
	int r = check_row(d, row, e);

	if (r < 0)
		return r;
	if (row->ev.seq != d->last.seq + 1 && !d->gap_seq) {
		d->gap_seq = d->last.seq + 1;
		d->gap_line = d->number;
	}
	r = journal_copy_row(d->copy, row, d->gap_seq > 0, e);
	if (r < 0)
		return r;
	d->last.seq = row->ev.seq;
	memcpy(d->last.hash, row->hash.p, CHAIN_HASH_SIZE);
	d->n_events++;
	return 0;
}

static int check_last(struct reading *d, struct err *e)
{
	bool is_whole = d->parsed.n_events == d->n_events && d->parsed.head.seq == d->last.seq &&
			memcmp(d->parsed.head.hash, d->last.hash, CHAIN_HASH_SIZE) == 0;
	struct str line;

	if (!is_whole && d->gap_seq) {
		d->number = d->gap_line;
		return err_set(
			e, -EBADMSG, "event %" PRId64 " is missing before this line", d->gap_seq);
	}
	if (!is_whole)
		return err_set(e, -EBADMSG,
			"the last line tells of %" PRId64 " events up to %" PRId64 ", but %" PRId64
			" up to %" PRId64 " stand before it",
			d->parsed.n_events, d->parsed.head.seq, d->n_events, d->last.seq);
	return next_line(d, &line, e) > 0
		       ? err_set(e, -EINVAL, "something stands behind the last line")
		       : 0;
}

static int take_lines(
	struct reading *d, const struct journal_watch *watch, int64_t size, struct err *e)
{
	struct str line;
	int r = next_line(d, &line, e);

	if (r > 0)
		r = chain_line_check_first(line, "journal", e);
	else if (r == 0)
		r = err_set(e, -EINVAL, "there is nothing in it");
	while (r == 0) {
		r = next_line(d, &line, e);
		if (r <= 0)
			return r < 0 ? r
				     : err_set(e, -EINVAL,
					       "it ends here, without its last line: it is not "
					       "whole");
		r = chain_line_read(line, &d->parsed, e);
		if (r == 0 && d->parsed.is_last)
			return check_last(d, e);
		if (r == 0)
			r = take_event(d, &d->parsed.row, e);
		if (size && d->n_events % WATCH_EVERY == 0)
			journal_watch_tell(watch, ftello(d->in), size);
	}
	return r;
}

static int64_t size_of(FILE *in)
{
	int64_t size = 0;

	if (fseeko(in, 0, SEEK_END) == 0) {
		size = ftello(in);
		rewind(in);
	}
	clearerr(in);
	return size;
}

/* What lines do not show one by one: gaps, and what is left of what was removed. */
static int check_whole(struct reading *d, struct err *e)
{
	_cleanup_(verify_report_fini) struct verify_report report = {0};
	const struct verify_request all = {0};

	return chain_walk(journal_copy_db(d->copy), &all, NULL, &report, e);
}

static int import(struct reading *d, const struct journal_watch *watch, struct err *e)
{
	int64_t size = size_of(d->in);
	int r = salt_cache_init(&d->salts, journal_copy_db(d->copy), e);

	if (r == 0)
		r = chain_init(&d->chain);
	if (r == 0) {
		r = take_lines(d, watch, size, e);
		if (r < 0)
			return wrong_line(d, r, e);
		r = check_whole(d, e);
	}
	if (r == 0 && size)
		journal_watch_tell(watch, size, size);
	return r;
}

int journal_import(FILE *in, const char *name, const char *path, const struct journal_watch *watch,
	int64_t *ret_events, struct err *e)
{
	_cleanup_(freep) struct reading *d = calloc(1, sizeof *d);
	struct pipeline_set set = {0};
	int r;

	if (!d)
		return err_set(e, -ENOMEM, "out of memory");
	d->in = in;
	d->name = name;
	r = journal_copy_begin(path, &set, &d->copy, e);
	if (r == 0)
		r = import(d, watch, e);
	salt_cache_fini(&d->salts);
	chain_fini(&d->chain);
	chain_line_fini(&d->parsed);
	free(d->line);
	if (r == 0)
		r = journal_copy_finish(d->copy, e);
	else
		journal_copy_abort(d->copy);
	pipeline_set_fini(&set);
	if (r == 0)
		*ret_events = d->n_events;
	return r;
}
