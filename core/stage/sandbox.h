/* The sandbox of a stage's process: limits, no new privileges, Landlock for files, seccomp for system calls. All of
 * it is what an ordinary user may put on himself; nobody can take it off again.
 *
 * A system call that the policy has no use for is SIGSYS, which ends the process and is reported. A file that it
 * does not name is EACCES, which the plugin sees. Public system data (libraries, time zones; with the network:
 * certificates, resolver) can always be read. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "model/pipeline.h"

/* Puts the calling process into it, for ever; before it has threads. What the kernel lacks goes to `ret_lacks` as a
 * sentence, and the rest is done. `is_sanitized`: no limit of memory, sanitizers reserve terabytes. */
int sandbox_enter(const struct sandbox_policy *policy, bool is_sanitized, struct buf *ret_lacks,
	struct err *e);
/* The name of a system call, owned by the caller; NULL: it has none. */
char *sandbox_call_name(int number);
