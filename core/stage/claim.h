/* Which tasks a process has begun, in a page that it shares with the daemon: so that the daemon can take back those
 * that it has not. The process counts every task before it begins; once the daemon has said RECALLED it begins no
 * other. One word decides, so that no task is with both. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { CLAIM_BYTES = 4096 };

#define CLAIM_RECALLED (UINT64_C(1) << 63)

struct claim {
	_Atomic uint64_t word;
};

/* In the process. False: it is to begin nothing more. */
static inline bool claim_begin(struct claim *c)
{
	uint64_t n = atomic_load(&c->word);

	do
		if (n & CLAIM_RECALLED)
			return false;
	while (!atomic_compare_exchange_weak(&c->word, &n, n + 1));
	return true;
}

/* In the daemon. How many tasks the process has begun. */
static inline uint64_t claim_count(struct claim *c)
{
	return atomic_load(&c->word) & ~CLAIM_RECALLED;
}

/* In the daemon. How many tasks the process says it has begun. */
static inline uint64_t claim_recall(struct claim *c)
{
	return atomic_fetch_or(&c->word, CLAIM_RECALLED) & ~CLAIM_RECALLED;
}
