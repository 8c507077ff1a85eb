/* Heads of the chain that were noted outside, from the command line and from a file that `serve` writes. */
#pragma once

#include "cli/offline.h"
#include "journal/verify.h"

struct heads {
	struct chain_head *list;
	size_t n, cap;
};

/* Of --head and --heads. The exit status. */
int heads_read(const struct offline *o, struct heads *ret);
void heads_fini(struct heads *h);
