/* How a chain came to be wrong at an event: what was done to the rows, told by what still fits together. */
#pragma once

#include "journal/verify.h"

/* `seq`: the first event that does not fit; `previous`: the hash before it. `e` gets the words. */
enum verify_fault chain_diagnose(sqlite3 *db, struct chain *c,
	const uint8_t previous[CHAIN_HASH_SIZE], int64_t seq, const char *flaw, struct err *e);
