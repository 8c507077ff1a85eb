/* How a chain came to be wrong at an event.
 *
 * Rows carry their hash, which covers their seq and all before them: the row that was appended as event n is
 * recognised wherever it stands, because its hash follows from the hash of event n - 1. */
#include "journal/diagnose.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/chain_row.h"

enum {
	LOOK_AHEAD = 100000, /* rows in which the right one is looked for */
	DELETED_MAX = 1000,  /* events gone, when those behind them were numbered anew */
};

static const char rows_from[] =
	"SELECT " CHAIN_ROW_COLUMNS " FROM events WHERE seq >= ?1 ORDER BY seq LIMIT ?2";

struct place {
	sqlite3 *db;
	struct chain *chain;
	const uint8_t *previous;
	int64_t seq;
};

/* Whether the row at `at` fits as event `as` after `previous`. */
static bool fits_at(const struct place *p, const uint8_t *previous, int64_t at, int64_t as)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct chain_row row;

	if (sql_prepare(p->db, rows_from, &s, NULL) < 0 ||
		sql_row(s, sql_bind_int(s, 1, at) | sql_bind_int(s, 2, 1), NULL) <= 0)
		return false;
	chain_row_read(s, &row);
	return row.ev.seq == at && chain_row_fits(p->chain, previous, &row, as);
}

/* Where the row stands that was appended as this event; 0: nowhere. */
static int64_t find_right_row(const struct place *p, uint8_t ret_hash[CHAIN_HASH_SIZE])
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct chain_row row;
	int bad;

	if (sql_prepare(p->db, rows_from, &s, NULL) < 0)
		return 0;
	bad = sql_bind_int(s, 1, p->seq + 1) | sql_bind_int(s, 2, LOOK_AHEAD);
	while (sql_row(s, bad, NULL) > 0) {
		chain_row_read(s, &row);
		if (!chain_row_fits(p->chain, p->previous, &row, p->seq))
			continue;
		memcpy(ret_hash, row.hash.p, CHAIN_HASH_SIZE);
		return row.ev.seq;
	}
	return 0;
}

/* How many events are gone before the row at `seq`, if later ones were numbered anew; 0: none. */
static int64_t count_deleted(const struct place *p, const struct chain_row *row)
{
	if (row->hash.n != CHAIN_HASH_SIZE)
		return 0;
	for (int64_t n = 1; n <= DELETED_MAX; n++)
		if (fits_at(p, (const uint8_t *)row->hash.p, p->seq + 1, p->seq + 1 + n))
			return n;
	return 0;
}

static enum verify_fault say_changed(
	const struct place *p, const struct chain_row *row, const char *flaw, struct err *e)
{
	uint8_t computed[CHAIN_HASH_SIZE];
	bool follows = row->hash.n == CHAIN_HASH_SIZE &&
		       fits_at(p, (const uint8_t *)row->hash.p, p->seq + 1, p->seq + 1);

	if (flaw)
		err_set(e, -EBADMSG, "event %" PRId64 " was changed: %s", p->seq, flaw);
	else if (follows)
		err_set(e, -EBADMSG,
			"event %" PRId64 " was changed: its header is not what was appended",
			p->seq);
	else if (row->digest.n == CHAIN_HASH_SIZE &&
		 chain_row_hash(p->chain, p->previous, row, p->seq, computed) == 0 &&
		 fits_at(p, computed, p->seq + 1, p->seq + 1))
		err_set(e, -EBADMSG,
			"event %" PRId64 " was changed: its stored hash is not its own", p->seq);
	else
		err_set(e, -EBADMSG,
			"event %" PRId64
			" was changed or put in: it does not follow the event before",
			p->seq);
	return VERIFY_CHANGED;
}

static enum verify_fault say_moved(
	const struct place *p, int64_t at, const uint8_t hash[CHAIN_HASH_SIZE], struct err *e)
{
	bool is_shifted = fits_at(p, hash, at + 1, p->seq + 1);

	if (!is_shifted) {
		err_set(e, -EBADMSG,
			"event %" PRId64
			" was reordered: what was appended there stands as event %" PRId64,
			p->seq, at);
		return VERIFY_REORDERED;
	}
	err_set(e, -EBADMSG,
		"event %" PRId64 " was inserted: what was appended there stands as event %" PRId64,
		p->seq, at);
	return VERIFY_INSERTED;
}

enum verify_fault chain_diagnose(sqlite3 *db, struct chain *c,
	const uint8_t previous[CHAIN_HASH_SIZE], int64_t seq, const char *flaw, struct err *e)
{
	struct place p = {db, c, previous, seq};
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	uint8_t hash[CHAIN_HASH_SIZE];
	struct chain_row row;
	int64_t n;

	if (sql_prepare(db, rows_from, &s, NULL) < 0 ||
		sql_row(s, sql_bind_int(s, 1, seq) | sql_bind_int(s, 2, 1), NULL) <= 0) {
		err_set(e, -EBADMSG, "event %" PRId64 " cannot be read", seq);
		return VERIFY_UNREADABLE;
	}
	chain_row_read(s, &row);
	if (chain_row_fits(
		    c, previous, &row, seq)) /* the chain holds: it is the payload or the salt */
		return say_changed(&p, &row, flaw, e);
	n = find_right_row(&p, hash);
	if (n)
		return say_moved(&p, n, hash, e);
	n = count_deleted(&p, &row);
	if (!n)
		return say_changed(&p, &row, flaw, e);
	err_set(e, -EBADMSG,
		"event %" PRId64 " was deleted: %" PRId64
		" event%s gone, later ones were numbered anew",
		seq, n, n == 1 ? " is" : "s are");
	return VERIFY_DELETED;
}
