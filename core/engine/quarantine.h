/* The orders that are set aside: what they are waiting for cannot be journaled, or they cannot be read, for a
 * reason of their own. Nobody works on them until the next start, which tries again. [sequencer] */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct set_aside {
	int64_t seq;
	char *why;
};

struct quarantine {
	struct set_aside *list; /* by seq */
	size_t n, cap;
};

/* Why the order is set aside; NULL: it is not. Borrowed. */
const char *quarantine_reason(const struct quarantine *q, int64_t seq);
void quarantine_fini(struct quarantine *q);
