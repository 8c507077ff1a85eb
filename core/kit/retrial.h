/* Retrials: orders that have ended are decided once more with another pipeline, or other builds of its plugins, and
 * what would become of them is compared with what became of them.
 *
 * The journal is gone through from its first event on. Each order is decided anew beside it, by the program's own
 * functions, in the world as it was at each moment: an answer is asked for when it was given then, and the state has
 * what the other orders really left in it. A stage without effects runs again, in processes that it cannot act out of
 * (stage_confine()). Of a stage with effects the answers are taken from the journal, by its name: what it was never
 * asked then is not known. People do what they did then, where it still applies. An undo that was not needed then is
 * taken to succeed. */
#pragma once

#include "journal/watch.h"
#include "model/pipeline.h"
#include "stage/stage.h"

enum retrial_end {
	RETRIAL_SAME,
	RETRIAL_CHANGED, /* the same status, for another reason, or with other results or effects */
	RETRIAL_DIFFERENT, /* another status */
	RETRIAL_UNKNOWN,   /* the journal does not tell */
	RETRIAL_ENDS
};

/* How an order ended: its status, and the stage that failed or holds it and why. NULL: not so. */
struct retrial_fate {
	const char *status, *stage, *error;
};

/* Borrowed during the callback. */
struct retrial_result {
	struct id order_id;
	enum retrial_end end;
	struct retrial_fate was, would;
	const char *detail; /* RETRIAL_CHANGED: what is other; RETRIAL_UNKNOWN: what is missing */
};

struct retrial_request {
	const char *journal;
	struct pipeline *pipeline; /* as pipeline_load() made it; its stages that run are changed */
	struct plugin_folders folders;
	uint64_t asked; /* stages that run again though they have effects */
	int64_t since,
		until; /* seq: orders placed from there on; the last event to look at. 0: all */
	void (*on_result)(void *arg, const struct retrial_result *result);
	void *arg;
	const struct journal_watch *watch; /* may be NULL */
};

struct retrial_report {
	uint64_t again; /* stages that ran; the others' answers are the journal's */
	int64_t n[RETRIAL_ENDS];
	int64_t n_removed; /* orders passed over: erased or archived */
	int64_t n_open;	   /* have not ended */
	int64_t n_broken;  /* lost events in a known gap */
};

/* -EINVAL: a stage of `asked` cannot run in a retrial. -EBADMSG: an event of the journal is wrong. */
int retrial_run(const struct retrial_request *request, struct retrial_report *ret, struct err *e);
