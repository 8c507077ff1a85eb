/* The reader, looking back from the newest event: what went wrong at a stage, and what changed a value of the state. No
 * index has either, so it looks at a bounded number of events and says where it stopped. */
#include "base/mem.h"
#include "journal/reader_room.h"
#include "journal/row.h"

enum { TROUBLE_EVENTS = 20000, CHANGE_EVENTS = 100000 };

int reader_stage_trouble(struct reader *r, struct str stage, int64_t last_seq, size_t limit,
	struct event_list *list, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int bad, n_events = 0;
	int n = sql_prepare(r->db,
		"SELECT " ROW_COLUMNS " FROM events e WHERE e.seq > ?1 AND e.stage = ?2"
		" AND e.kind IN (?3, ?4, ?5, ?6) ORDER BY e.seq DESC LIMIT ?7",
		&s, e);

	if (n < 0)
		return n;
	bad = sql_bind_int(s, 1, last_seq - TROUBLE_EVENTS) | sql_bind_str(s, 2, stage) |
	      sql_bind_int(s, 3, EVENT_STAGE_RETRYING) | sql_bind_int(s, 4, EVENT_ATTEMPT_LOST) |
	      sql_bind_int(s, 5, EVENT_STAGE_FAILED) | sql_bind_int(s, 6, EVENT_STAGE_HELD) |
	      sql_bind_int(s, 7, (int64_t)limit);
	while ((n = sql_row(s, bad, e)) > 0) {
		n = row_event(s, list, NULL, e);
		if (n < 0 && n != -EPROTO)
			break;
		n_events += n == 0;
	}
	return n < 0 ? n : n_events;
}

static bool changes(const struct event *ev, struct str key)
{
	for (size_t i = 0; i < ev->n_effects; i++)
		if (str_eq(ev->effects[i].key, key))
			return true;
	return false;
}

int reader_key_changes(struct reader *r, struct str key, int64_t before, size_t limit,
	struct event_list *list, int64_t *ret_next, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	_cleanup_(buf_fini) struct buf text = {0};
	int64_t from = before > CHANGE_EVENTS ? before - CHANGE_EVENTS : 0;
	struct event *ev;
	int bad, n_events = 0;
	int n = sql_prepare(r->db,
		"SELECT " ROW_COLUMNS " FROM events e WHERE e.seq < ?1 AND e.seq >= ?2"
		" AND instr(e.payload, '\"effects\":[') AND instr(e.payload, ?3)"
		" ORDER BY e.seq DESC",
		&s, e);

	if (n < 0)
		return n;
	json_str(&(struct json_writer){&text, false}, key);
	if (text.failed)
		return err_set(e, -ENOMEM, "no memory");
	bad = sql_bind_int(s, 1, before) | sql_bind_int(s, 2, from) |
	      sql_bind_str(s, 3, buf_view(&text));
	*ret_next = from > 1 ? from : 0;
	while ((n = sql_row(s, bad, e)) > 0) {
		n = row_event(s, list, &ev, e);
		if (n == -EPROTO) /* damaged */
			continue;
		if (n < 0)
			return n;
		if (!changes(ev, key) || (size_t)++n_events < limit)
			continue;
		*ret_next = ev->seq > 1 ? ev->seq : 0;
		break;
	}
	return n < 0 ? n : n_events;
}
