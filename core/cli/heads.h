/* The publisher: notes the head of the chain every hour and at the stop, in the log and, where the host's settings say
 * so, in a file or at a URL outside the machine. Who writes the journal anew cannot write these anew. On a thread of its
 * own: what does not answer keeps nobody waiting. */
#pragma once

#include "base/err.h"
#include "cli/host_config.h"

struct heads_publisher;

/* `journal_path` and `settings` outlive it. -EINVAL: the URL is none. */
int heads_start(const char *journal_path, const struct host_heads *settings,
	struct heads_publisher **ret, struct err *e);
/* After the last commit: notes the last head and ends; takes a few seconds when the URL does not answer. NULL is fine. */
void heads_stop(struct heads_publisher *p);
