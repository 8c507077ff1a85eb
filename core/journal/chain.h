/* The hash chain over all events, so that history cannot be changed unseen.
 *
 *   digest(n) = SHA-256( salt || payload(n) )
 *   hash(n)   = SHA-256( hash(n-1) || header(n) || digest(n) )      hash(0) = 32 zero bytes
 *
 * salt: 16 random bytes of the order (stored with its order_created), or of the event itself when
 * it is about no order, or tells that the order's salt is gone. Since the chain covers the digest, not the payload, payload and salt can be
 * erased.
 *
 * header(n), integers big-endian:
 *
 *   seq 8 · time_us 8 · order_seq 8 (0: none) · kind 4 · attempt 4 ·
 *   order id 16 (on order_created; else zero) ·
 *   length of type 4 · type · length of stage 4 (0: none) · stage
 *
 * All of it is in the columns of `events`. */
#pragma once

#include "base/digest.h"
#include "model/event.h"

enum { CHAIN_SALT_SIZE = 16, CHAIN_HASH_SIZE = DIGEST_SIZE };

/* Working memory; serves one thread. */
struct chain {
	struct digest digest;
	struct buf header;
};

int chain_init(struct chain *c);
void chain_fini(struct chain *c);

/* Whether the salt of its digest is the event's own; else it is that of its order. */
static inline bool chain_has_own_salt(enum event_kind kind, int64_t order_seq)
{
	return !order_seq || kind == EVENT_ORDER_CREATED || kind == EVENT_ORDER_ERASED ||
	       kind == EVENT_ORDER_ARCHIVED;
}

/* Appends header(n). */
void chain_header(const struct event *ev, struct buf *out);
/* -ENOMEM. */
int chain_digest(struct chain *c, const uint8_t salt[CHAIN_SALT_SIZE], struct str payload,
	uint8_t out[CHAIN_HASH_SIZE]);
/* `out` may be `previous`. -ENOMEM. */
int chain_hash(struct chain *c, const uint8_t previous[CHAIN_HASH_SIZE], const struct event *ev,
	const uint8_t digest[CHAIN_HASH_SIZE], uint8_t out[CHAIN_HASH_SIZE]);
