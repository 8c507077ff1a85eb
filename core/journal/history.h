/* A journal gone through from its first event on, each with the state as it stood before it: for who decides once more
 * what was decided then. Memory is that of one event and of the state's cache. */
#pragma once

#include "journal/verify.h"
#include "model/event.h"

struct history;

struct history_request {
	int64_t until; /* the last event; 0: all */
	/* `ev` is borrowed during the call, and has its order's id on order_created alone; `is_after_gap`: events before
	 * it are missing in a known gap. Negative errno ends it. */
	int (*on_event)(void *arg, struct history *h, const struct event *ev, bool is_after_gap,
		struct err *e);
	void *arg;
	const struct journal_watch *watch; /* may be NULL */
};

/* Checks the chain on the way: -EBADMSG as journal_verify_chain(). */
int journal_history(const char *path, const struct history_request *request,
	struct verify_report *ret, struct err *e);
/* The number at a key before the event; 0 when absent; -EINVAL: it is none. */
int history_number(struct history *h, struct str key, int64_t *ret);
/* A generation that was loaded before the event; NULL: there is none, or it cannot be read. */
const struct pipeline *history_generation(struct history *h, struct str digest);
/* seq of the first of the newest `n` orders that have ended and are whole, and of which event `until` is not earlier
 * than the first (0: all); 0: there are not so many. */
int journal_newest_ended(
	const char *path, int64_t n, int64_t until, int64_t *ret_seq, struct err *e);
