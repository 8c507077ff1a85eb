/* Verification of the hash chain. */
#include "journal/verify.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/kept.h"
#include "journal/salt.h"
#include "journal/schema.h"

enum { SEQ, TIME_US, ORDER_SEQ, KIND, TYPE, STAGE, ATTEMPT, ID, SALT, PAYLOAD, DIGEST, HASH };

static const char all_events[] = "SELECT seq, time_us, order_seq, kind, type, stage, attempt, id, "
				 "salt, payload, digest, hash"
				 " FROM events ORDER BY seq";

struct walk {
	sqlite3 *db;
	struct chain chain;
	struct salt_cache salts;
	struct kept_cache kept;
	int64_t seq; /* of the last event that is right */
	uint8_t hash[CHAIN_HASH_SIZE];
};

static void walk_fini(struct walk *w)
{
	kept_cache_fini(&w->kept);
	salt_cache_fini(&w->salts);
	chain_fini(&w->chain);
	sqlite3_close(w->db);
}

static int wrong(int64_t seq, const char *what, struct err *e)
{
	return err_set(e, -EBADMSG, "event %" PRId64 ": %s", seq, what);
}

/* The header as it stands in the row. -EBADMSG when it is none. */
static int read_header(sqlite3_stmt *s, struct event *ev, struct err *e)
{
	struct str id = sql_str(s, ID);

	*ev = (struct event){
		.seq = sqlite3_column_int64(s, SEQ),
		.time_us = sqlite3_column_int64(s, TIME_US),
		.order_seq = sqlite3_column_int64(s, ORDER_SEQ),
		.kind = (enum event_kind)sqlite3_column_int64(s, KIND),
		.type = sql_str(s, TYPE),
		.stage = sql_str(s, STAGE),
		.attempt = (uint32_t)sqlite3_column_int64(s, ATTEMPT),
	};
	if (sqlite3_column_int64(s, KIND) <= 0 || sqlite3_column_int64(s, KIND) >= EVENT_KINDS)
		return wrong(ev->seq, "its kind is unknown", e);
	if (ev->kind != EVENT_ORDER_CREATED)
		return id.p ? wrong(ev->seq, "an order id where none belongs", e) : 0;
	if (id.n != sizeof ev->order_id.bytes)
		return wrong(ev->seq, "its order id is missing", e);
	memcpy(ev->order_id.bytes, id.p, id.n);
	return 0;
}

/* -ENODATA: it is gone, with what the event said. */
static int read_salt(struct walk *w, sqlite3_stmt *s, const struct event *ev,
	uint8_t salt[CHAIN_SALT_SIZE], struct err *e)
{
	struct str own = sql_str(s, SALT);
	int r;

	if (!chain_has_own_salt(ev->kind, ev->order_seq)) {
		if (own.p)
			return wrong(ev->seq, "a salt where none belongs", e);
		r = salt_cache_get(&w->salts, ev->order_seq, salt, e);
		return r == -EPROTO ? wrong(ev->seq, "its order was never created", e) : r;
	}
	if (!own.p && ev->kind == EVENT_ORDER_CREATED)
		return -ENODATA;
	if (own.n != CHAIN_SALT_SIZE)
		return wrong(ev->seq, "its salt is missing", e);
	memcpy(salt, own.p, CHAIN_SALT_SIZE);
	if (ev->kind == EVENT_ORDER_CREATED)
		salt_cache_put(&w->salts, ev->seq, salt);
	return 0;
}

/* Of an erased or archived event there are remains, and its digest as it was. */
static int check_remains(struct walk *w, sqlite3_stmt *s, const struct event *ev,
	uint8_t digest[CHAIN_HASH_SIZE], struct err *e)
{
	struct str stored = sql_str(s, DIGEST);
	int r = kept_check(&w->kept, ev->order_seq, ev->seq, sql_str(s, PAYLOAD), e);

	if (r == -ENOENT)
		return wrong(ev->seq, "its salt is missing", e);
	if (r < 0)
		return r;
	if (r == 0)
		return wrong(ev->seq, "what remains of it is not what was left", e);
	if (stored.n != CHAIN_HASH_SIZE)
		return wrong(ev->seq, "its digest is missing", e);
	memcpy(digest, stored.p, CHAIN_HASH_SIZE);
	return 0;
}

/* The digest that the hash of the event covers. */
static int find_digest(struct walk *w, sqlite3_stmt *s, const struct event *ev,
	uint8_t digest[CHAIN_HASH_SIZE], struct err *e)
{
	struct str stored = sql_str(s, DIGEST);
	uint8_t salt[CHAIN_SALT_SIZE];
	int r;

	if (!sql_str(s, PAYLOAD).p)
		return wrong(ev->seq, "its payload is missing", e);
	r = read_salt(w, s, ev, salt, e);
	if (r == -ENODATA)
		return check_remains(w, s, ev, digest, e);
	if (r < 0)
		return r;
	r = chain_digest(&w->chain, salt, sql_str(s, PAYLOAD), digest);
	if (r < 0)
		return err_set(e, r, "out of memory");
	if (stored.n != CHAIN_HASH_SIZE || memcmp(digest, stored.p, CHAIN_HASH_SIZE))
		return wrong(ev->seq, "its payload is not what was appended", e);
	return 0;
}

static int check_event(struct walk *w, sqlite3_stmt *s, struct err *e)
{
	uint8_t digest[CHAIN_HASH_SIZE];
	struct str stored_hash = sql_str(s, HASH);
	struct event ev;
	int r = read_header(s, &ev, e);

	if (ev.seq != w->seq + 1)
		return wrong(w->seq + 1, "missing", e);
	if (r == 0)
		r = find_digest(w, s, &ev, digest, e);
	if (r < 0)
		return r;
	r = chain_hash(&w->chain, w->hash, &ev, digest, w->hash);
	if (r < 0)
		return err_set(e, r, "out of memory");
	if (stored_hash.n != CHAIN_HASH_SIZE || memcmp(w->hash, stored_hash.p, CHAIN_HASH_SIZE))
		return wrong(ev.seq, "it is not what followed the event before", e);
	w->seq = ev.seq;
	return 0;
}

static int walk_all(struct walk *w, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	int r = sql_prepare(w->db, all_events, &s, e);

	if (r < 0)
		return r;
	while ((r = sql_row(s, 0, e)) > 0) {
		r = check_event(w, s, e);
		if (r < 0)
			return r;
	}
	return r;
}

int journal_verify(const char *path, int64_t *ret_last, struct err *e)
{
	_cleanup_(freep) struct walk *w = calloc(1, sizeof *w);
	int r;

	if (!w || chain_init(&w->chain) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	r = sql_open(path, SQL_READ, &w->db, e);
	if (r == 0)
		r = schema_check(w->db, e);
	if (r == 0)
		r = sql_exec(w->db, "BEGIN", e);
	if (r == 0)
		r = salt_cache_init(&w->salts, w->db, e);
	if (r == 0)
		r = kept_cache_init(&w->kept, w->db, &w->chain, e);
	if (r == 0)
		r = walk_all(w, e);
	if (r == 0)
		*ret_last = w->seq;
	walk_fini(w);
	return r;
}
