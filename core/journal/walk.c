/* The walk along the hash chain. */
#include "journal/walk.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/diagnose.h"
#include "journal/kept.h"
#include "journal/salt.h"
#include "journal/schema.h"

struct walk {
	const struct verify_request *request;
	const struct chain_visitor *visitor; /* may be NULL */
	struct verify_report *report;
	sqlite3 *db;
	struct chain chain;
	struct salt_cache salts;
	struct kept_cache kept;
	sqlite3_stmt *own;	/* of an archive: whether the order is one of its own */
	struct chain_gaps gaps; /* that the journal knows of; read at the first one met */
	bool has_gaps;
	int64_t total;
	struct chain_head at; /* the last event that is right */
};

static void walk_fini(struct walk *w)
{
	sqlite3_finalize(w->own);
	kept_cache_fini(&w->kept);
	salt_cache_fini(&w->salts);
	chain_fini(&w->chain);
	chain_gaps_fini(&w->gaps);
}

static int fault_at(struct walk *w, int64_t seq, enum verify_fault fault)
{
	w->report->fault = fault;
	w->report->fault_seq = seq;
	return -EBADMSG;
}

/* --- one event --- */

/* A row that does not follow: the gap before it is a known one, or events are missing. */
static int cross_gap(struct walk *w, const struct chain_row *row, struct err *e)
{
	int64_t first = w->at.seq + 1;
	const struct chain_gap *gap;
	int r = w->has_gaps ? 0 : chain_gaps_read(w->db, &w->gaps, e);

	if (r == -EBADMSG)
		return fault_at(w, first, VERIFY_DELETED);
	if (r < 0)
		return r;
	w->has_gaps = true;
	gap = chain_gaps_find(&w->gaps, first);
	if (!gap || gap->from != first || gap->to != row->ev.seq - 1) {
		err_set(e, -EBADMSG, "event %" PRId64 " was deleted: missing; the next is %" PRId64,
			first, row->ev.seq);
		return fault_at(w, first, VERIFY_DELETED);
	}
	if (row->hash.n != CHAIN_HASH_SIZE ||
		memcmp(row->hash.p, gap->next, CHAIN_HASH_SIZE) != 0) {
		err_set(e, -EBADMSG,
			"event %" PRId64 " was changed: it is not the one after the known gap",
			row->ev.seq);
		return fault_at(w, row->ev.seq, VERIFY_CHANGED);
	}
	return chain_gaps_add(&w->report->gaps, gap) < 0 ? err_set(e, -ENOMEM, "out of memory") : 1;
}

/* The salt of the row's payload. -ENODATA: it was removed, with what the order said. -ENOENT: it is missing, with the
 * order's first event, in a known gap. */
static int find_salt(
	struct walk *w, const struct chain_row *row, uint8_t salt[CHAIN_SALT_SIZE], struct err *e)
{
	int r;

	if (chain_row_is_removed(row))
		return -ENODATA;
	if (!chain_row_has_salt(row)) {
		r = salt_cache_get(&w->salts, row->ev.order_seq, salt, e);
		return r == -EPROTO && chain_gaps_find(&w->gaps, row->ev.order_seq) ? -ENOENT : r;
	}
	memcpy(salt, row->salt.p, CHAIN_SALT_SIZE);
	if (row->kind == EVENT_ORDER_CREATED)
		salt_cache_put(&w->salts, row->ev.seq, salt);
	return 0;
}

/* Of an erased or archived event there are remains, and its digest as it was. */
static int check_remains(
	struct walk *w, const struct chain_row *row, const char **ret_flaw, struct err *e)
{
	int r = kept_check(&w->kept, row->ev.order_seq, row->ev.seq, row->payload, e);

	if (r == -ENOENT)
		*ret_flaw = "its salt is missing";
	else if (r == 0)
		*ret_flaw = "what remains of it is not what was left";
	return r < 0 && r != -ENOENT ? r : 0;
}

/* An archive has all of its own orders. */
static int check_absent(
	struct walk *w, const struct chain_row *row, const char **ret_flaw, struct err *e)
{
	int r;

	*ret_flaw = NULL;
	if (!row->ev.order_seq || !w->own)
		return 0;
	r = sql_row(w->own, sql_bind_int(w->own, 1, row->ev.order_seq), e);
	if (r > 0) {
		*ret_flaw = "its payload is missing";
		sqlite3_reset(w->own);
	}
	return r < 0 ? r : 0;
}

/* What is wrong with the row by itself: its form, its payload. */
static int find_flaw(
	struct walk *w, const struct chain_row *row, const char **ret_flaw, struct err *e)
{
	uint8_t salt[CHAIN_SALT_SIZE], digest[CHAIN_HASH_SIZE];
	int r;

	if (w->request->is_archive && !row->payload.p && row->digest.n == CHAIN_HASH_SIZE &&
		row->hash.n == CHAIN_HASH_SIZE) {
		w->report->n_absent++;
		return check_absent(w, row, ret_flaw, e);
	}
	*ret_flaw = chain_row_flaw(row);
	if (*ret_flaw)
		return 0;
	r = find_salt(w, row, salt, e);
	if (r == -EPROTO)
		*ret_flaw = "its order was never created";
	if (r == -ENOENT)
		w->report->n_unproven++;
	if (r == -ENODATA)
		return check_remains(w, row, ret_flaw, e);
	if (r < 0)
		return r == -EPROTO || r == -ENOENT ? 0 : r;
	r = chain_digest(&w->chain, salt, row->payload, digest);
	if (r == 0 && memcmp(digest, row->digest.p, CHAIN_HASH_SIZE) != 0)
		*ret_flaw = "its payload is not what was appended";
	return r < 0 ? err_set(e, r, "out of memory") : 0;
}

static int check_head(struct walk *w, const struct chain_head *head, struct err *e)
{
	if (head->seq != w->at.seq || memcmp(head->hash, w->at.hash, CHAIN_HASH_SIZE) == 0)
		return 0;
	err_set(e, -EBADMSG,
		"event %" PRId64
		" is not the one whose hash was noted: history up to it was rewritten",
		head->seq);
	return fault_at(w, head->seq, VERIFY_REWRITTEN);
}

/* Rows come in the order of their numbers, unless a page is damaged. */
static int out_of_order(struct walk *w, const struct chain_row *row, struct err *e)
{
	if (w->report->n_events) {
		err_set(e, -EBADMSG,
			"event %" PRId64 " cannot be read: a row of number %" PRId64
			" stands there",
			w->at.seq + 1, row->ev.seq);
		return fault_at(w, w->at.seq + 1, VERIFY_UNREADABLE);
	}
	err_set(e, -EBADMSG, "event %" PRId64 " was inserted: no event has such a number",
		row->ev.seq);
	return fault_at(w, row->ev.seq, VERIFY_INSERTED);
}

static int check_event(struct walk *w, const struct chain_row *row, struct err *e)
{
	bool is_after_gap = row->ev.seq > w->at.seq + 1;
	const char *flaw = NULL;
	int r;

	if (row->ev.seq <= w->at.seq)
		return out_of_order(w, row, e);
	r = is_after_gap ? cross_gap(w, row, e) : 0;
	if (r >= 0)
		r = find_flaw(w, row, &flaw, e);
	if (r < 0)
		return r;
	if (flaw || (!is_after_gap && !chain_row_fits(&w->chain, w->at.hash, row, row->ev.seq)))
		return fault_at(w, row->ev.seq,
			chain_diagnose(w->db, &w->chain, w->at.hash, row->ev.seq, flaw, e));
	w->at.seq = row->ev.seq;
	memcpy(w->at.hash, row->hash.p, CHAIN_HASH_SIZE);
	for (size_t i = 0; i < w->request->n_heads && r == 0; i++)
		r = check_head(w, &w->request->heads[i], e);
	if (r == 0 && w->visitor)
		r = w->visitor->on_row(w->visitor->arg, row, w->report->gaps.n > 0, e);
	w->report->n_events++;
	journal_watch_tick(w->request->watch, w->report->n_events, w->total);
	return r;
}

/* --- all events --- */

/* An archive begins with an event whose hash is taken as it stands. */
static int find_archive_start(struct walk *w, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct str hash;
	int64_t n = 0;
	int r = sql_number(w->db, "SELECT 1 FROM meta WHERE key = 'archive'", 0, &n, e);

	if (r == 0 && !n)
		return err_set(e, -EPROTO, "this is no archive");
	if (r == 0)
		r = sql_number(w->db, "SELECT count(*) - 1 FROM events", 0, &w->total, e);
	if (r == 0)
		r = sql_prepare(w->db, "SELECT 1 FROM orders WHERE seq = ?1", &w->own, e);
	if (r == 0)
		r = sql_prepare(w->db, "SELECT seq, hash FROM events ORDER BY seq LIMIT 1", &s, e);
	if (r == 0)
		r = sql_row(s, 0, e);
	if (r <= 0)
		return r;
	hash = sql_str(s, 1);
	if (hash.n != CHAIN_HASH_SIZE)
		return err_set(e, -EPROTO, "the archive does not begin with a hash");
	w->at.seq = sqlite3_column_int64(s, 0);
	memcpy(w->at.hash, hash.p, CHAIN_HASH_SIZE);
	return 0;
}

/* Where to begin: after the last event that is taken as it stands. */
static int find_start(struct walk *w, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct str hash;
	int64_t last;
	int r;

	if (w->request->is_archive)
		return find_archive_start(w, e);
	r = sql_number(w->db, "SELECT seq FROM events ORDER BY seq DESC LIMIT 1", 0, &last, e);

	if (w->request->until && w->request->until < last)
		last = w->request->until;
	w->total = w->request->from > 1 ? last - w->request->from + 1 : last;
	if (r < 0 || w->request->from <= 1)
		return r;
	if (w->request->from > last)
		return err_set(e, -ENOENT, "there is no event %" PRId64 ": the last is %" PRId64,
			w->request->from, last);
	r = sql_prepare(w->db, "SELECT hash FROM events WHERE seq = ?1", &s, e);
	if (r == 0)
		r = sql_row(s, sql_bind_int(s, 1, w->request->from - 1), e);
	if (r < 0)
		return r;
	hash = r ? sql_str(s, 0) : (struct str){0};
	if (hash.n != CHAIN_HASH_SIZE)
		return err_set(e, -ENOENT,
			"event %" PRId64 " cannot be checked alone: the one before it is missing",
			w->request->from);
	w->at.seq = w->request->from - 1;
	memcpy(w->at.hash, hash.p, CHAIN_HASH_SIZE);
	return 0;
}

/* A page that SQLite cannot read is damage, too; a disk that fails is not. */
static int on_unreadable(struct walk *w, int r, struct err *e)
{
	if (r != -EINVAL)
		return r;
	err_wrap(e, r, "event %" PRId64 " cannot be read", w->at.seq + 1);
	if (e)
		e->code = -EBADMSG;
	return fault_at(w, w->at.seq + 1, VERIFY_UNREADABLE);
}

static int walk_all(struct walk *w, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int64_t from = w->request->is_archive ? w->at.seq + 1 : w->request->from;
	bool is_whole = from <= 1 && !w->request->until;
	struct chain_row row;
	int bad, r = sql_prepare(w->db,
			 is_whole ? "SELECT " CHAIN_ROW_COLUMNS " FROM events ORDER BY seq"
				  : "SELECT " CHAIN_ROW_COLUMNS
				    " FROM events WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq",
			 &s, e);

	if (r < 0)
		return r;
	bad = is_whole ? 0
		       : sql_bind_int(s, 1, from) |
				 sql_bind_int(
					 s, 2, w->request->until ? w->request->until : INT64_MAX);
	while ((r = sql_row(s, bad, e)) > 0) {
		chain_row_read(s, &row);
		r = check_event(w, &row, e);
		if (r < 0)
			return r;
	}
	return on_unreadable(w, r, e);
}

static int check_end(struct walk *w, struct err *e)
{
	for (size_t i = 0; i < w->request->n_heads; i++) {
		const struct chain_head *head = &w->request->heads[i];

		if (head->seq <= w->at.seq || w->request->until)
			continue;
		err_set(e, -EBADMSG,
			"event %" PRId64 " was cut off: the journal ends with %" PRId64
			", and once had %" PRId64,
			w->at.seq + 1, w->at.seq, head->seq);
		return fault_at(w, w->at.seq + 1, VERIFY_CUT_OFF);
	}
	return 0;
}

static int check_requested(const struct verify_request *request, struct err *e)
{
	for (size_t i = 0; i < request->n_heads; i++)
		if (request->heads[i].seq < request->from - 1 || request->heads[i].seq < 1)
			return err_set(e, -ERANGE,
				"the head of event %" PRId64 " is before the events to check",
				request->heads[i].seq);
	return 0;
}

static int walk(struct walk *w, struct err *e)
{
	int r = check_requested(w->request, e);

	if (r == 0)
		r = salt_cache_init(&w->salts, w->db, e);
	if (r == 0)
		r = kept_cache_init(&w->kept, w->db, &w->chain, e);
	if (r == 0)
		r = on_unreadable(w, find_start(w, e), e);
	for (size_t i = 0; r == 0 && i < w->request->n_heads; i++)
		r = check_head(w, &w->request->heads[i], e); /* of the event before the first */
	if (r == 0)
		r = walk_all(w, e);
	if (r == 0)
		r = check_end(w, e);
	if (r == 0)
		journal_watch_tell(w->request->watch, w->report->n_events, w->report->n_events);
	return r;
}

int chain_walk(sqlite3 *db, const struct verify_request *request,
	const struct chain_visitor *visitor, struct verify_report *ret, struct err *e)
{
	_cleanup_(freep) struct walk *w = calloc(1, sizeof *w);
	int r;

	*ret = (struct verify_report){0};
	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	w->db = db;
	w->request = request;
	w->visitor = visitor;
	w->report = ret;
	r = chain_init(&w->chain);
	r = r < 0 ? err_set(e, r, "out of memory") : walk(w, e);
	ret->last = w->at;
	walk_fini(w);
	return r;
}

int chain_open(const char *path, struct verify_report *report, sqlite3 **ret, struct err *e)
{
	int r;

	*report = (struct verify_report){0};
	r = schema_open(path, ret, e);
	if (r != -EINVAL)
		return r;
	report->fault = VERIFY_UNREADABLE;
	report->fault_seq = 1;
	if (e)
		e->code = -EBADMSG;
	return -EBADMSG;
}
