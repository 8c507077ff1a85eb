/* The reader's view of the past: which event a time means, and the state as it was after one, folded from the events.
 * The fold reads every event up to there: about a second for a million; memory stays flat. */
#include "base/mem.h"
#include "journal/reader_room.h"
#include "journal/state.h"

enum { FLUSH_EVENTS = 1000 };

static int time_of(sqlite3_stmt *s, int64_t seq, int64_t *ret_us, struct err *e)
{
	int n = sql_row(s, sql_bind_int(s, 1, seq), e);

	if (n <= 0)
		return n < 0 ? n : err_set(e, -EPROTO, "event %lld is missing", (long long)seq);
	*ret_us = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 0;
}

int reader_seq_at(
	struct reader *r, int64_t wall_us, int64_t last_seq, int64_t *ret_seq, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int64_t low = 0, high = last_seq, us = 0;
	int n = sql_prepare(r->db, "SELECT time_us FROM events WHERE seq = ?1", &s, e);

	/* Event `low` is not later, the one behind `high` is. */
	while (n == 0 && low < high) {
		int64_t middle = low + (high - low + 1) / 2;

		n = time_of(s, middle, &us, e);
		if (n == 0 && us <= wall_us)
			low = middle;
		else
			high = middle - 1;
	}
	*ret_seq = low;
	return n;
}

int reader_order_seq_at(
	struct reader *r, int64_t order_seq, int64_t wall_us, int64_t *ret_seq, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int n = sql_prepare(r->db,
		"SELECT seq FROM events WHERE order_seq = ?1 AND time_us > ?2 ORDER BY seq LIMIT 1",
		&s, e);

	if (n == 0)
		n = sql_row(s, sql_bind_int(s, 1, order_seq) | sql_bind_int(s, 2, wall_us), e);
	if (n >= 0)
		*ret_seq = n ? sqlite3_column_int64(s, 0) - 1 : INT64_MAX;
	return n < 0 ? n : 0;
}

void reader_interrupt(struct reader *r)
{
	sqlite3_interrupt(r->db);
}

/* --- the state --- */

struct past {
	sqlite3 *scratch;
	struct state state;
	struct arena arena; /* of the events since the last flush */
};

static void past_fini(struct past *p)
{
	state_fini(&p->state);
	arena_fini(&p->arena);
	sqlite3_close(p->scratch);
}

static int apply_row(struct past *p, sqlite3_stmt *s, struct err *e)
{
	struct event ev = {.seq = sqlite3_column_int64(s, 0)};
	int n = event_decode(sql_str(s, 1), &ev, &p->arena);

	if (n < 0)
		return err_set(e, n == -ENOMEM ? n : -EPROTO,
			"event %lld: its payload cannot be read", (long long)ev.seq);
	for (size_t i = 0; n == 0 && i < ev.n_effects; i++)
		n = state_apply(&p->state, &ev.effects[i], e);
	return n;
}

static int fold_state(struct reader *r, struct past *p, int64_t at_seq, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int n = sql_prepare(r->db,
		"SELECT seq, payload FROM events"
		" WHERE seq <= ?1 AND instr(payload, '\"effects\":[') ORDER BY seq",
		&s, e);
	int bad = n == 0 ? sql_bind_int(s, 1, at_seq) : 0;
	size_t n_rows = 0;

	while (n >= 0 && (n = sql_row(s, bad, e)) > 0) {
		n = apply_row(p, s, e);
		if (n == 0 && ++n_rows % FLUSH_EVENTS == 0) {
			n = state_flush(&p->state, e);
			arena_clear(&p->arena);
		}
	}
	return n < 0 ? n : state_flush(&p->state, e);
}

int reader_state_at(struct reader *r, int64_t at_seq, const struct state_page *page,
	int (*on_entry)(void *arg, struct str key, struct str json), void *arg, struct err *e)
{
	_cleanup_(past_fini) struct past p = {0};
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int n = state_open_scratch(&p.state, &p.scratch, e);

	if (n == 0)
		n = fold_state(r, &p, at_seq, e);
	if (n == 0)
		n = sql_prepare(p.scratch, READER_STATE_TEXT, &s, e);
	return n < 0 ? n : reader_list_state(s, page, on_entry, arg, e);
}
