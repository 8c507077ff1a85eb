/* Short turns by sched_setattr(2). */
#include "base/slice.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHORTEST_NS = 100000 }; /* that Linux gives */

/* The first version of the kernel's struct sched_attr; its header and libc's <sched.h> do not go together. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns, deadline_ns, period_ns;
};

void slice_shorten(void)
{
	struct attributes a = {0};

	if (syscall(SYS_sched_getattr, 0, &a, sizeof a, 0) < 0)
		return;
	a.runtime_ns = SHORTEST_NS;
	syscall(SYS_sched_setattr, 0, &a, 0);
}
