/* A journal gone through, event by event, beside the state. */
#include "journal/history.h"

#include "base/mem.h"
#include "journal/generation.h"
#include "journal/schema.h"
#include "journal/state.h"
#include "journal/walk.h"

enum { FLUSH_EVENTS = 1000 };

struct history {
	const struct history_request *request;
	sqlite3 *scratch;
	struct state state;
	struct pipeline_set set;
	size_t n_events;
	bool is_broken; /* the numbers before a gap are not known: a floor is none */
};

int history_number(struct history *h, struct str key, int64_t *ret)
{
	return state_number(&h->state, key, ret, NULL);
}

const struct pipeline *history_generation(struct history *h, struct str digest)
{
	return pipeline_set_find(&h->set, digest);
}

static int apply_effects(struct history *h, const struct event *ev, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ev->n_effects && r == 0; i++) {
		struct effect f = ev->effects[i];

		if (h->is_broken)
			f.floor = EFFECT_NO_FLOOR;
		r = state_apply(&h->state, &f, e);
	}
	if (r == 0 && ++h->n_events % FLUSH_EVENTS == 0)
		r = state_flush(&h->state, e);
	return r;
}

static void add_generation(struct history *h, const struct event *ev)
{
	const struct pipeline *p;

	if (!pipeline_set_find(&h->set, ev->generation))
		generation_add(&h->set, ev->generation, ev->text, &p, NULL);
}

static int on_row(void *history, const struct chain_row *row, bool is_after_gap, struct err *e)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct history *h = history;
	struct event_list list;
	struct event *ev;
	int r;

	event_list_init(&list, &arena);
	h->is_broken |= is_after_gap;
	r = chain_row_event(row, &list, &ev, e);
	if (r == 0)
		r = h->request->on_event(h->request->arg, h, ev, is_after_gap, e);
	if (r == 0 && ev->kind == EVENT_PIPELINE_LOADED)
		add_generation(h, ev);
	return r == 0 ? apply_effects(h, ev, e) : r;
}

int journal_history(const char *path, const struct history_request *request,
	struct verify_report *ret, struct err *e)
{
	const struct verify_request walk = {.until = request->until, .watch = request->watch};
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	struct history h = {.request = request};
	int r = chain_open(path, ret, &db, e);

	if (r == 0)
		r = state_open_scratch(&h.state, &h.scratch, e);
	if (r == 0)
		r = chain_walk(db, &walk, &(struct chain_visitor){on_row, &h}, ret, e);
	state_fini(&h.state);
	sqlite3_close(h.scratch);
	pipeline_set_fini(&h.set);
	return r;
}

int journal_newest_ended(
	const char *path, int64_t n, int64_t until, int64_t *ret_seq, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = schema_open(path, &db, e);

	if (r == 0)
		r = sql_prepare(db,
			"SELECT seq FROM orders WHERE completed_us IS NOT NULL AND removed_seq IS "
			"NULL"
			" AND seq <= ?2 ORDER BY seq DESC LIMIT 1 OFFSET ?1",
			&s, e);
	if (r == 0)
		r = sql_row(s,
			sql_bind_int(s, 1, n - 1) | sql_bind_int(s, 2, until ? until : INT64_MAX),
			e);
	if (r >= 0)
		*ret_seq = r ? sqlite3_column_int64(s, 0) : 0;
	return r < 0 ? r : 0;
}
