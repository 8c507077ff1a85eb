/* Journals and proofs as files of lines (line.h): out of a journal, and into a new one. Streams; memory stays flat. */
#pragma once

#include <stdio.h>

#include "journal/verify.h"

/* Writes all events, checking the chain: -EBADMSG names the first that is wrong, and the last line is not written. */
int journal_export(const char *path, FILE *out, const struct journal_watch *watch,
	struct verify_report *ret, struct err *e);

/* Makes the new file `path` of an export. -EINVAL, -EBADMSG: `e` begins with "NAME:LINE: ". */
int journal_import(FILE *in, const char *name, const char *path, const struct journal_watch *watch,
	int64_t *ret_events, struct err *e);

struct proof_request {
	struct id order;
	const struct chain_head
		*heads; /* noted ones: it goes on to the first that is not before its end */
	size_t n_heads;
	int64_t until; /* or to that event; 0: no further than needed */
};

/* Writes the proof of an order: its events as they stand, and of the others in between header and digest, so that the
 * chain from before its first event to the head can be computed by anybody. -ENOENT: no such order; -EBADMSG as above. */
int journal_prove(const char *path, const struct proof_request *request, FILE *out,
	const struct journal_watch *watch, struct verify_report *ret, struct err *e);
