/* The head of the chain: the last event and its hash, which stands for the whole journal. */
#pragma once

#include "journal/sql.h"
#include "journal/verify.h"

/* Seq 0: there is no event. -EBADMSG: the last one has no hash. */
int head_read(sqlite3 *db, struct chain_head *ret, struct err *e);
