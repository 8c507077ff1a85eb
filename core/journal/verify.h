/* Whether a journal is what it says: its chain, and its projections against its events. For tools
 * and tests; both open the file read-only and may run beside a writer, of one moment. */
#pragma once

#include "journal/gaps.h"
#include "journal/watch.h"
#include "model/pipeline.h"

/* What became of the first event that is wrong. */
enum verify_fault {
	VERIFY_WHOLE,
	VERIFY_CHANGED,
	VERIFY_DELETED,
	VERIFY_INSERTED,
	VERIFY_REORDERED,
	VERIFY_CUT_OFF,	   /* a head was noted that is later than the end */
	VERIFY_REWRITTEN,  /* whole in itself, but not what a noted head says */
	VERIFY_UNREADABLE, /* the file is damaged there */
	VERIFY_FAULTS
};
const char *verify_fault_word(enum verify_fault fault); /* "changed"; static */

/* A head as it was noted outside. */
struct chain_head {
	int64_t seq;
	uint8_t hash[CHAIN_HASH_SIZE];
};
/* "SEQ:HASH". -EINVAL. */
int chain_head_parse(struct str text, struct chain_head *ret);

struct verify_request {
	int64_t from; /* the first event to check: the hash before it is taken as it stands. 0: all */
	int64_t until; /* the last event to check; 0: all */
	bool is_archive; /* archive.h: it begins somewhere, and has no content of events that are not its own */
	const struct chain_head *heads; /* any order */
	size_t n_heads;
	const struct journal_watch *watch; /* may be NULL */
};

struct verify_report {
	int64_t n_events; /* that are right */
	struct chain_head last;
	enum verify_fault fault;
	int64_t fault_seq;
	int64_t n_absent; /* events of an archive without their content */
	int64_t n_unproven; /* payloads of orders whose first event, with the salt, is missing in a known gap */
	struct chain_gaps gaps; /* known ones, met on the way */
};

struct replay_report {
	struct verify_report chain;
	bool is_difference; /* the chain is whole, a row is not what the events give */
	int64_t n_rows;	    /* compared */
	int64_t n_broken; /* orders that lost events in a known gap and cannot be folded to their end */
};

void verify_report_fini(struct verify_report *r);

/* Walks the hash chain. -EBADMSG: `e` and the report name the first wrong event. What is cut off at the end
 * leaves a whole chain that is shorter: only a head shows it. `ret` is to be finished in any case. */
int journal_verify_chain(const char *path, const struct verify_request *request,
	struct verify_report *ret, struct err *e);
/* All of it, known gaps being faults. *ret_last: the last event. */
int journal_verify(const char *path, int64_t *ret_last, struct err *e);

/* Checks the chain, folds all events into projections in a scratch database and compares every row with the live one
 * (P3). Generations go to `set`. -EBADMSG: `e` names the first wrong event or the first difference; -EPROTO: an event
 * that cannot be folded. `ret` as above. */
int journal_replay(const char *path, struct pipeline_set *set, const struct journal_watch *watch,
	struct replay_report *ret, struct err *e);
void replay_report_fini(struct replay_report *r);
/* The same, silently. */
int journal_compare(const char *path, struct pipeline_set *set, struct err *e);
