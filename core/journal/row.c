/* Rows of `events` as events. */
#include "journal/row.h"

#include <inttypes.h>

enum { SEQ, TIME_US, ORDER_SEQ, KIND, TYPE, STAGE, ATTEMPT, PAYLOAD, ID };

static int read_payload(sqlite3_stmt *s, struct event_list *list, struct event *ev, struct err *e)
{
	struct str payload = sql_str(s, PAYLOAD);
	int r = payload.p ? event_decode(payload, ev, list->arena) : 0;

	if (r == -EINVAL)
		return err_set(
			e, -EPROTO, "event %" PRId64 ": its payload cannot be read", ev->seq);
	return r < 0 ? err_set(e, r, "out of memory") : 0;
}

static int read_row(sqlite3_stmt *s, struct event_list *list, struct event **ret, struct err *e)
{
	int64_t seq = sqlite3_column_int64(s, SEQ), kind = sqlite3_column_int64(s, KIND);
	struct str id = sql_str(s, ID);
	struct event *ev;

	if (kind <= 0 || kind >= EVENT_KINDS)
		return err_set(e, -EPROTO, "event %" PRId64 ": unknown kind %" PRId64, seq, kind);
	ev = event_list_add(list, (enum event_kind)kind);
	if (!ev || !arena_copy(list->arena, sql_str(s, TYPE), &ev->type) ||
		!arena_copy(list->arena, sql_str(s, STAGE), &ev->stage))
		return err_set(e, -ENOMEM, "out of memory");
	ev->seq = seq;
	ev->time_us = sqlite3_column_int64(s, TIME_US);
	ev->order_seq = sqlite3_column_int64(s, ORDER_SEQ);
	ev->attempt = (uint32_t)sqlite3_column_int64(s, ATTEMPT);
	if (ev->order_seq && id.n != sizeof ev->order_id.bytes)
		return err_set(e, -EPROTO, "event %" PRId64 ": no order has seq %" PRId64, seq,
			ev->order_seq);
	if (id.n == sizeof ev->order_id.bytes)
		memcpy(ev->order_id.bytes, id.p, id.n);
	*ret = ev;
	return read_payload(s, list, ev, e);
}

int row_event(sqlite3_stmt *s, struct event_list *list, struct event **ret, struct err *e)
{
	const struct event_list before = *list;
	struct event *ev = NULL;
	int r = read_row(s, list, &ev, e);

	if (r < 0) {
		*list = before;
		*list->last = NULL;
	} else if (ret) {
		*ret = ev;
	}
	return r;
}
