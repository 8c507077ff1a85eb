/* Saving a damaged journal.
 *
 * All rows that its pages hold go into a scratch table, several for one seq where old versions of pages are still
 * there. Then the chain is walked: an event is taken when its hash follows from the last one. Where none does, the
 * chain is picked up again at the next event that follows from the hash of any row before it. */
#include "journal/recover.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/copy.h"
#include "journal/generation.h"
#include "journal/pages.h"
#include "journal/salt.h"
#include "journal/schema.h"
#include "journal/walk.h"

struct recovery {
	sqlite3 *found; /* scratch */
	sqlite3_stmt *put, *at;
	struct journal_copy *copy;
	struct pipeline_set *set;
	struct chain chain;
	struct salt_cache salts;
	struct recover_report *report;
	struct chain_head last; /* that was taken */
	int64_t end;		/* highest seq that a row has */
	struct err *e;
};

/* --- what is found --- */

static int open_found(struct recovery *v, struct err *e)
{
	int r = sql_open(NULL, SQL_SCRATCH, &v->found, e);

	if (r == 0)
		r = sql_exec(v->found,
			"CREATE TABLE found(seq INTEGER NOT NULL, mark BLOB NOT NULL, rank INTEGER "
			"NOT NULL,"
			" time_us, order_seq, kind, type, stage, attempt, id, salt, payload, "
			"digest, hash,"
			" PRIMARY KEY(seq, mark)) WITHOUT ROWID; BEGIN",
			e);
	if (r == 0)
		r = sql_prepare(v->found,
			"INSERT INTO found(" CHAIN_ROW_COLUMNS ", mark, rank)"
			" VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
			" ON CONFLICT DO UPDATE SET rank = max(rank, excluded.rank)",
			&v->put, e);
	if (r == 0)
		r = sql_prepare(v->found,
			"SELECT " CHAIN_ROW_COLUMNS " FROM found WHERE seq = ?1 ORDER BY rank DESC",
			&v->at, e);
	return r;
}

static void add_part(struct digest *d, struct str part)
{
	digest_add(d, &part.n, sizeof part.n);
	if (part.n)
		digest_add(d, part.p, part.n);
}

/* The same row of several versions of a page counts once. */
static void mark_of(struct recovery *v, const struct chain_row *row, uint8_t ret[DIGEST_SIZE])
{
	const int64_t numbers[] = {row->ev.time_us, row->ev.order_seq, row->kind, row->ev.attempt};
	struct digest *d = &v->chain.digest;

	digest_start(d);
	digest_add(d, numbers, sizeof numbers);
	add_part(d, row->ev.type);
	add_part(d, row->ev.stage);
	add_part(d, row->id);
	add_part(d, row->salt);
	add_part(d, row->payload);
	add_part(d, row->digest);
	add_part(d, row->hash);
	digest_finish(d, ret);
}

static int keep_row(void *recovery, const struct chain_row *row, int64_t rank, struct err *e)
{
	struct recovery *v = recovery;
	uint8_t mark[DIGEST_SIZE];
	sqlite3_stmt *s = v->put;

	if (row->ev.seq < 1)
		return 0;
	mark_of(v, row, mark);
	if (row->ev.seq > v->end)
		v->end = row->ev.seq;
	return sql_run(s,
		sql_bind_int(s, 1, row->ev.seq) | sql_bind_int(s, 2, row->ev.time_us) |
			sql_bind_seq(s, 3, row->ev.order_seq) | sql_bind_int(s, 4, row->kind) |
			sql_bind_str(s, 5, row->ev.type) | sql_bind_str(s, 6, row->ev.stage) |
			sql_bind_int(s, 7, row->ev.attempt) |
			sql_bind_blob(s, 8, row->id.p, row->id.n) |
			sql_bind_blob(s, 9, row->salt.p, row->salt.n) |
			sql_bind_str(s, 10, row->payload) |
			sql_bind_blob(s, 11, row->digest.p, row->digest.n) |
			sql_bind_blob(s, 12, row->hash.p, row->hash.n) |
			sql_bind_blob(s, 13, mark, sizeof mark) | sql_bind_int(s, 14, rank),
		e);
}

/* --- what can be proven --- */

/* Whether the payload is what its digest says, as far as there is a salt; `ret_digest` is what follows from it. */
static bool has_right_payload(
	struct recovery *v, const struct chain_row *row, uint8_t ret_digest[CHAIN_HASH_SIZE])
{
	uint8_t salt[CHAIN_SALT_SIZE];

	if (row->digest.n == CHAIN_HASH_SIZE)
		memcpy(ret_digest, row->digest.p, CHAIN_HASH_SIZE);
	if (!row->payload.p)
		return false;
	if (chain_row_has_salt(row) && !row->salt.p)
		return chain_row_is_removed(row);
	if (chain_row_has_salt(row))
		memcpy(salt, row->salt.p, sizeof salt);
	else if (salt_cache_get(&v->salts, row->ev.order_seq, salt, NULL) < 0)
		return true; /* gone with what the order said, or missing in a gap */
	if (chain_digest(&v->chain, salt, row->payload, ret_digest) < 0)
		return false;
	return row->digest.n == CHAIN_HASH_SIZE &&
	       memcmp(ret_digest, row->digest.p, CHAIN_HASH_SIZE) == 0;
}

static bool is_right(
	struct recovery *v, const uint8_t previous[CHAIN_HASH_SIZE], const struct chain_row *row)
{
	uint8_t digest[CHAIN_HASH_SIZE];

	return !chain_row_flaw(row) && chain_row_fits(&v->chain, previous, row, row->ev.seq) &&
	       has_right_payload(v, row, digest);
}

/* Whether a row of event `seq` follows from `hash`. */
static bool goes_on(struct recovery *v, const uint8_t hash[CHAIN_HASH_SIZE], int64_t seq)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct chain_row row;
	int bad;

	if (sql_prepare(v->found, "SELECT " CHAIN_ROW_COLUMNS " FROM found WHERE seq = ?1", &s,
		    NULL) < 0)
		return false;
	bad = sql_bind_int(s, 1, seq);
	while (sql_row(s, bad, NULL) > 0) {
		chain_row_read(s, &row);
		if (chain_row_fits(&v->chain, hash, &row, seq))
			return true;
	}
	return false;
}

/* A row whose digest or hash alone is damaged: they follow from the rest, and the next event confirms it. */
static bool mend(struct recovery *v, struct chain_row *row, uint8_t digest[CHAIN_HASH_SIZE],
	uint8_t hash[CHAIN_HASH_SIZE])
{
	if (!row->payload.p || (chain_row_has_salt(row) && row->salt.n != CHAIN_SALT_SIZE))
		return false;
	has_right_payload(v, row, digest);
	if (chain_hash(&v->chain, v->last.hash, &row->ev, digest, hash) < 0 ||
		!goes_on(v, hash, row->ev.seq + 1))
		return false;
	row->digest = (struct str){(const char *)digest, CHAIN_HASH_SIZE};
	row->hash = (struct str){(const char *)hash, CHAIN_HASH_SIZE};
	return !chain_row_flaw(row);
}

static int take(struct recovery *v, const struct chain_row *row, struct err *e)
{
	int r = journal_copy_row(v->copy, row, v->report->gaps.n > 0, e);

	if (r < 0)
		return r;
	if (row->kind == EVENT_ORDER_CREATED && row->salt.n == CHAIN_SALT_SIZE)
		salt_cache_put(&v->salts, row->ev.seq, (const uint8_t *)row->salt.p);
	v->last.seq = row->ev.seq;
	memcpy(v->last.hash, row->hash.p, CHAIN_HASH_SIZE);
	v->report->n_kept++;
	return 1;
}

/* 1: the event behind the last one was taken. */
static int take_next(struct recovery *v, struct err *e)
{
	uint8_t digest[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE];
	sqlite3_stmt *s = v->at;
	struct chain_row row;
	int r, bad = sql_bind_int(s, 1, v->last.seq + 1);

	while ((r = sql_row(s, bad, e)) > 0) {
		chain_row_read(s, &row);
		if (is_right(v, v->last.hash, &row)) {
			r = take(v, &row, e);
			break;
		}
		if (mend(v, &row, digest, hash)) {
			v->report->n_mended++;
			r = take(v, &row, e);
			break;
		}
	}
	sqlite3_reset(s);
	return r;
}

/* 1: event `seq` was taken, since it follows from the hash of a row before it. */
static int pick_up_at(struct recovery *v, int64_t seq, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *pairs = NULL;
	struct chain_gap gap = {.from = v->last.seq + 1, .to = seq - 1};
	struct chain_row row;
	int bad, r = sql_prepare(v->found,
			 "SELECT n.seq, n.time_us, n.order_seq, n.kind, n.type, n.stage, "
			 "n.attempt, n.id, n.salt, n.payload,"
			 " n.digest, n.hash, p.hash FROM found n JOIN found p ON p.seq = n.seq - 1 "
			 "WHERE n.seq = ?1"
			 " ORDER BY n.rank DESC",
			 &pairs, e);

	if (r < 0)
		return r;
	bad = sql_bind_int(pairs, 1, seq);
	while ((r = sql_row(pairs, bad, e)) > 0) {
		struct str previous = sql_str(pairs, 12);

		chain_row_read(pairs, &row);
		if (previous.n != CHAIN_HASH_SIZE ||
			!is_right(v, (const uint8_t *)previous.p, &row))
			continue;
		memcpy(gap.next, row.hash.p, CHAIN_HASH_SIZE);
		if (chain_gaps_add(&v->report->gaps, &gap) < 0)
			return err_set(e, -ENOMEM, "out of memory");
		v->report->n_missing += gap.to - gap.from + 1;
		return take(v, &row, e);
	}
	return r;
}

/* 1: behind a gap. 0: nothing follows any more. */
static int pick_up(struct recovery *v, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int bad, r = sql_prepare(v->found,
			 "SELECT DISTINCT seq FROM found WHERE seq > ?1 ORDER BY seq", &s, e);

	if (r < 0)
		return r;
	bad = sql_bind_int(s, 1, v->last.seq + 1);
	while ((r = sql_row(s, bad, e)) > 0) {
		r = pick_up_at(v, sqlite3_column_int64(s, 0), e);
		if (r != 0)
			return r;
		v->report->n_unplaced++;
	}
	return r;
}

static int take_all(struct recovery *v, const struct journal_watch *watch, struct err *e)
{
	int r = 1;

	while (r > 0) {
		r = take_next(v, e);
		if (r == 0) {
			v->report->n_unplaced = 0;
			r = pick_up(v, e);
		}
		journal_watch_tick(watch, v->last.seq, v->end);
	}
	return r;
}

/* --- pipelines --- */

/* Texts of pipelines prove themselves by their digest: those of the damaged file's own table are good, wherever SQLite
 * still finds them. */
static void find_generations(struct recovery *v, const char *damaged)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;

	if (sql_open(damaged, SQL_READ, &db, NULL) == 0)
		generations_read(db, v->set);
}

/* Appends the generations whose events are missing, so that orders find them. */
static int append_generations(struct recovery *v, int64_t now_us, struct err *e)
{
	sqlite3 *db = journal_copy_db(v->copy);
	int r = 0;

	for (const struct pipeline *p = atomic_load(&v->set->first); p && r == 0; p = p->next) {
		_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
		struct event ev = {.kind = EVENT_PIPELINE_LOADED,
			.type = STR("pipeline_loaded"),
			.time_us = now_us,
			.duration_ms = -1,
			.generation = str_of(p->digest),
			.text = {p->document->source, p->document->source_len}};

		ev.message = STR("Found beside its event, which is missing");
		r = sql_prepare(db, "SELECT 1 FROM generations WHERE digest = ?1", &s, e);
		if (r == 0)
			r = sql_row(s, sql_bind_str(s, 1, ev.generation), e);
		if (r != 0) {
			r = r < 0 ? r : 0;
			continue;
		}
		r = journal_copy_append(v->copy, &ev, e);
		v->report->n_generations++;
	}
	return r;
}

/* --- the end --- */

static int append_report(struct recovery *v, int64_t now_us, struct err *e)
{
	_cleanup_(buf_fini) struct buf metadata = {0}, message = {0};
	struct json_writer w = {&metadata, false};
	struct event ev = {.kind = EVENT_JOURNAL_RECOVERED,
		.type = STR("journal_recovered"),
		.time_us = now_us,
		.duration_ms = -1};

	chain_gaps_json(&v->report->gaps, &w);
	buf_fmt(&message, "Saved from a damaged file: %" PRId64 " events kept, %" PRId64 " missing",
		v->report->n_kept, v->report->n_missing);
	if (metadata.failed || message.failed)
		return err_set(e, -ENOMEM, "out of memory");
	ev.metadata = buf_view(&metadata);
	ev.message = buf_view(&message);
	return journal_copy_append(v->copy, &ev, e);
}

/* The new journal must hold before anybody relies on it. */
static int check_new(struct recovery *v, struct err *e)
{
	_cleanup_(verify_report_fini) struct verify_report report = {0};
	const struct verify_request all = {0};
	int r = chain_walk(journal_copy_db(v->copy), &all, NULL, &report, e);

	v->report->head = report.last;
	if (r < 0)
		return err_wrap(e, r, "what was saved does not hold");
	return sql_number(journal_copy_db(v->copy),
		"SELECT count(DISTINCT order_seq) FROM events WHERE order_seq IS NOT NULL"
		" AND order_seq NOT IN (SELECT seq FROM orders)",
		0, &v->report->n_headless, e);
}

static void find_harmed(struct recovery *v)
{
	struct recover_report *report = v->report;
	const struct chain_gaps *gaps = &report->gaps;

	report->n_broken = journal_copy_broken(v->copy, report->orders, RECOVER_ORDERS_MAX);
	if (gaps->n)
		report->n_unsure = journal_copy_open_before(
			v->copy, gaps->list[gaps->n - 1].from, report->unsure, RECOVER_ORDERS_MAX);
}

static int recover(struct recovery *v, const char *damaged, int64_t now_us,
	const struct journal_watch *watch, struct err *e)
{
	int r = open_found(v, e);

	if (r == 0)
		r = pages_scan(damaged, &(struct page_visitor){keep_row, v}, watch, e);
	if (r == 0)
		r = salt_cache_init(&v->salts, journal_copy_db(v->copy), e);
	if (r < 0)
		return r;
	find_generations(v, damaged);
	r = take_all(v, watch, e);
	v->report->last_saved = v->last;
	if (r == 0 && !v->report->n_kept)
		r = err_set(e, -ENODATA, "no event can be saved from '%s'", damaged);
	if (r == 0)
		r = append_generations(v, now_us, e);
	if (r == 0)
		r = append_report(v, now_us, e);
	if (r == 0)
		r = check_new(v, e);
	find_harmed(v);
	return r;
}

int journal_recover(const char *damaged, const char *path, int64_t now_us,
	const struct journal_watch *watch, struct recover_report *ret, struct err *e)
{
	_cleanup_(freep) struct recovery *v = calloc(1, sizeof *v);
	struct pipeline_set set = {0};
	int r;

	*ret = (struct recover_report){0};
	if (!v || chain_init(&v->chain) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	v->report = ret;
	v->set = &set;
	r = journal_copy_begin(path, &set, &v->copy, e);
	if (r == 0)
		r = recover(v, damaged, now_us, watch, e);
	salt_cache_fini(&v->salts);
	sqlite3_finalize(v->put);
	sqlite3_finalize(v->at);
	sqlite3_close(v->found);
	chain_fini(&v->chain);
	if (r == 0)
		r = journal_copy_finish(v->copy, e);
	else
		journal_copy_abort(v->copy);
	pipeline_set_fini(&set);
	return r;
}

void recover_report_fini(struct recover_report *r)
{
	chain_gaps_fini(&r->gaps);
}
