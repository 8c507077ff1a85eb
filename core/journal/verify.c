/* Verification of the hash chain. */
#include "journal/verify.h"

#include <inttypes.h>

#include "base/mem.h"
#include "journal/walk.h"

const char *verify_fault_word(enum verify_fault fault)
{
	static const char *const words[VERIFY_FAULTS] = {"whole", "changed", "deleted", "inserted",
		"reordered", "cut_off", "rewritten", "unreadable"};

	return words[fault];
}

int chain_head_parse(struct str text, struct chain_head *ret)
{
	const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
	struct chain_head head = {0};

	if (!colon || colon == text.p || colon - text.p > 18)
		return -EINVAL;
	for (const char *p = text.p; p < colon; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		head.seq = head.seq * 10 + (*p - '0');
	}
	if (digest_parse(
		    (struct str){colon + 1, text.n - (size_t)(colon + 1 - text.p)}, head.hash) < 0)
		return -EINVAL;
	*ret = head;
	return 0;
}

void verify_report_fini(struct verify_report *r)
{
	chain_gaps_fini(&r->gaps);
}

int journal_verify_chain(const char *path, const struct verify_request *request,
	struct verify_report *ret, struct err *e)
{
	_cleanup_(sql_closep) sqlite3 *db = NULL;
	int r = chain_open(path, ret, &db, e);

	return r < 0 ? r : chain_walk(db, request, NULL, ret, e);
}

int journal_verify(const char *path, int64_t *ret_last, struct err *e)
{
	_cleanup_(verify_report_fini) struct verify_report report;
	const struct verify_request all = {0};
	int r = journal_verify_chain(path, &all, &report, e);

	if (r == 0 && report.gaps.n)
		r = err_set(e, -EBADMSG, "event %" PRId64 ": missing since a recovery",
			report.gaps.list[0].from);
	if (r == 0)
		*ret_last = report.last.seq;
	return r;
}
