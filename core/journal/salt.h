/* The salts of orders: one SELECT for an order that was not seen lately, none for one that was. */
#pragma once

#include "journal/chain.h"
#include "journal/sql.h"

enum { SALT_SLOTS = 4096 };

struct salt_cache {
	sqlite3_stmt *find;
	struct {
		int64_t order_seq; /* 0: empty */
		uint8_t salt[CHAIN_SALT_SIZE];
	} slots[SALT_SLOTS]; /* direct-mapped by order_seq */
};

int salt_cache_init(struct salt_cache *c, sqlite3 *db, struct err *e);
void salt_cache_fini(struct salt_cache *c);
/* Forgets everything: after a rollback the same seq gets another salt. */
void salt_cache_clear(struct salt_cache *c);
bool salt_cache_has(const struct salt_cache *c, int64_t order_seq);
void salt_cache_put(struct salt_cache *c, int64_t order_seq, const uint8_t salt[CHAIN_SALT_SIZE]);
/* It is gone from the table. */
void salt_cache_forget(struct salt_cache *c, int64_t order_seq);
/* Asks the table when the cache does not have it. -EPROTO: no such order_created. -ENODATA: its salt is gone. */
int salt_cache_get(
	struct salt_cache *c, int64_t order_seq, uint8_t ret[CHAIN_SALT_SIZE], struct err *e);
