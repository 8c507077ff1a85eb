/* Rows of `events` as the chain sees them. */
#include "journal/chain_row.h"

#include <inttypes.h>

#include "base/mem.h"

enum { SEQ, TIME_US, ORDER_SEQ, KIND, TYPE, STAGE, ATTEMPT, ID, SALT, PAYLOAD, DIGEST, HASH };

/* SQLite keeps whatever type a value has. */
static bool is_odd(sqlite3_stmt *s)
{
	static const struct {
		uint8_t type;
		bool may_miss;
	} columns[] = {
		[SEQ] = {SQLITE_INTEGER},
		[TIME_US] = {SQLITE_INTEGER},
		[ORDER_SEQ] = {SQLITE_INTEGER, true},
		[KIND] = {SQLITE_INTEGER},
		[TYPE] = {SQLITE_TEXT},
		[STAGE] = {SQLITE_TEXT, true},
		[ATTEMPT] = {SQLITE_INTEGER},
		[ID] = {SQLITE_BLOB, true},
		[SALT] = {SQLITE_BLOB, true},
		[PAYLOAD] = {SQLITE_TEXT, true},
		[DIGEST] = {SQLITE_BLOB},
		[HASH] = {SQLITE_BLOB},
	};

	for (int i = 0; i < (int)ARRAY_LEN(columns); i++) {
		int type = sqlite3_column_type(s, i);

		if (type != columns[i].type && !(type == SQLITE_NULL && columns[i].may_miss))
			return true;
	}
	return false;
}

void chain_row_read(sqlite3_stmt *s, struct chain_row *ret)
{
	*ret = (struct chain_row){
		.ev = {.seq = sqlite3_column_int64(s, SEQ),
			.time_us = sqlite3_column_int64(s, TIME_US),
			.order_seq = sqlite3_column_int64(s, ORDER_SEQ),
			.kind = (enum event_kind)sqlite3_column_int64(s, KIND),
			.type = sql_str(s, TYPE),
			.stage = sql_str(s, STAGE),
			.attempt = (uint32_t)sqlite3_column_int64(s, ATTEMPT)},
		.kind = sqlite3_column_int64(s, KIND),
		.id = sql_str(s, ID),
		.salt = sql_str(s, SALT),
		.payload = sql_str(s, PAYLOAD),
		.digest = sql_str(s, DIGEST),
		.hash = sql_str(s, HASH),
		.is_odd = is_odd(s),
	};
	/* Absent is NULL, which the chain does not tell from nothing. */
	if ((sqlite3_column_type(s, ORDER_SEQ) != SQLITE_NULL && !ret->ev.order_seq) ||
		(ret->ev.stage.p && !ret->ev.stage.n))
		ret->is_odd = true;
	if (ret->kind == EVENT_ORDER_CREATED && ret->id.n == sizeof ret->ev.order_id.bytes)
		memcpy(ret->ev.order_id.bytes, ret->id.p, ret->id.n);
}

bool chain_row_has_salt(const struct chain_row *row)
{
	return chain_has_own_salt((enum event_kind)row->kind, row->ev.order_seq);
}

bool chain_row_is_removed(const struct chain_row *row)
{
	return row->kind == EVENT_ORDER_CREATED && !row->salt.p;
}

const char *chain_row_flaw(const struct chain_row *row)
{
	if (row->kind <= 0 || row->kind >= EVENT_KINDS)
		return "its kind is unknown";
	if (row->kind == EVENT_ORDER_CREATED && row->id.n != sizeof row->ev.order_id.bytes)
		return "its order id is missing";
	if (row->kind != EVENT_ORDER_CREATED && row->id.p)
		return "an order id where none belongs";
	if (!chain_row_has_salt(row) && row->salt.p)
		return "a salt where none belongs";
	if (chain_row_has_salt(row) && row->salt.n != CHAIN_SALT_SIZE && !chain_row_is_removed(row))
		return "its salt is missing";
	if (!row->payload.p)
		return "its payload is missing";
	if (row->is_odd)
		return "a column is of another type";
	if (row->digest.n != CHAIN_HASH_SIZE)
		return "its digest is missing";
	return row->hash.n == CHAIN_HASH_SIZE ? NULL : "its hash is missing";
}

int chain_row_hash(struct chain *c, const uint8_t previous[CHAIN_HASH_SIZE],
	const struct chain_row *row, int64_t seq, uint8_t out[CHAIN_HASH_SIZE])
{
	struct event ev = row->ev;

	if (ev.order_seq == ev.seq)
		ev.order_seq = seq;
	ev.seq = seq;
	return chain_hash(c, previous, &ev, (const uint8_t *)row->digest.p, out);
}

bool chain_row_fits(struct chain *c, const uint8_t previous[CHAIN_HASH_SIZE],
	const struct chain_row *row, int64_t seq)
{
	uint8_t hash[CHAIN_HASH_SIZE];

	return row->digest.n == CHAIN_HASH_SIZE && row->hash.n == CHAIN_HASH_SIZE &&
	       chain_row_hash(c, previous, row, seq, hash) == 0 &&
	       memcmp(hash, row->hash.p, CHAIN_HASH_SIZE) == 0;
}

int chain_row_event(
	const struct chain_row *row, struct event_list *list, struct event **ret, struct err *e)
{
	struct event *ev;
	int r;

	if (row->kind <= 0 || row->kind >= EVENT_KINDS)
		return err_set(e, -EPROTO, "event %" PRId64 ": unknown kind %" PRId64, row->ev.seq,
			row->kind);
	ev = event_list_add(list, row->ev.kind);
	if (!ev || !arena_copy(list->arena, row->ev.type, &ev->type) ||
		!arena_copy(list->arena, row->ev.stage, &ev->stage))
		return err_set(e, -ENOMEM, "out of memory");
	ev->seq = row->ev.seq;
	ev->time_us = row->ev.time_us;
	ev->order_seq = row->ev.order_seq;
	ev->order_id = row->ev.order_id;
	ev->attempt = row->ev.attempt;
	r = row->payload.p ? event_decode(row->payload, ev, list->arena) : 0;
	if (r == -EINVAL)
		return err_set(
			e, -EPROTO, "event %" PRId64 ": its payload cannot be read", ev->seq);
	if (r < 0)
		return err_set(e, r, "out of memory");
	*ret = ev;
	return 0;
}
