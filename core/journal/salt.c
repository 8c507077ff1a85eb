/* The salts of orders, behind a direct-mapped cache. */
#include "journal/salt.h"

#include <inttypes.h>

int salt_cache_init(struct salt_cache *c, sqlite3 *db, struct err *e)
{
	salt_cache_clear(c);
	return sql_prepare(
		db, "SELECT salt FROM events WHERE seq = ?1 AND order_seq = ?1", &c->find, e);
}

void salt_cache_fini(struct salt_cache *c)
{
	sqlite3_finalize(c->find);
	c->find = NULL;
}

void salt_cache_clear(struct salt_cache *c)
{
	for (size_t i = 0; i < SALT_SLOTS; i++)
		c->slots[i].order_seq = 0;
}

bool salt_cache_has(const struct salt_cache *c, int64_t order_seq)
{
	return order_seq && c->slots[(size_t)order_seq % SALT_SLOTS].order_seq == order_seq;
}

void salt_cache_put(struct salt_cache *c, int64_t order_seq, const uint8_t salt[CHAIN_SALT_SIZE])
{
	size_t slot = (size_t)order_seq % SALT_SLOTS;

	c->slots[slot].order_seq = order_seq;
	memcpy(c->slots[slot].salt, salt, CHAIN_SALT_SIZE);
}

void salt_cache_forget(struct salt_cache *c, int64_t order_seq)
{
	if (!salt_cache_has(c, order_seq))
		return;
	c->slots[(size_t)order_seq % SALT_SLOTS].order_seq = 0;
	memset(c->slots[(size_t)order_seq % SALT_SLOTS].salt, 0, CHAIN_SALT_SIZE);
}

int salt_cache_get(
	struct salt_cache *c, int64_t order_seq, uint8_t ret[CHAIN_SALT_SIZE], struct err *e)
{
	struct str salt;
	int r;

	if (salt_cache_has(c, order_seq)) {
		memcpy(ret, c->slots[(size_t)order_seq % SALT_SLOTS].salt, CHAIN_SALT_SIZE);
		return 0;
	}
	r = sql_row(c->find, sql_bind_int(c->find, 1, order_seq), e);
	if (r < 0)
		return r;
	salt = r ? sql_str(c->find, 0) : (struct str){NULL, 0};
	if (salt.n == CHAIN_SALT_SIZE)
		memcpy(ret, salt.p, CHAIN_SALT_SIZE);
	r = salt.n == CHAIN_SALT_SIZE
		    ? 0
		    : err_set(e, r && !salt.p ? -ENODATA : -EPROTO,
			      "order %" PRId64 ": no salt in the journal", order_seq);
	sqlite3_reset(c->find);
	if (r == 0)
		salt_cache_put(c, order_seq, ret);
	return r;
}
