/* Reading the head of the chain. */
#include "journal/head.h"

#include "base/mem.h"

int head_read(sqlite3 *db, struct chain_head *ret, struct err *e)
{
	_cleanup_(sql_finalizep) sqlite3_stmt *s = NULL;
	struct str hash;
	int r = sql_prepare(db, "SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1", &s, e);

	if (r == 0)
		r = sql_row(s, 0, e);
	if (r < 0)
		return r;
	*ret = (struct chain_head){0};
	hash = r ? sql_str(s, 1) : (struct str){0};
	if (hash.n != CHAIN_HASH_SIZE)
		return r ? err_set(e, -EBADMSG, "the last event has no hash") : 0;
	ret->seq = sqlite3_column_int64(s, 0);
	memcpy(ret->hash, hash.p, CHAIN_HASH_SIZE);
	return 0;
}
