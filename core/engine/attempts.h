/* Which attempts are out, in a small mapped file that outlives the process: after a crash it tells which
 * attempts died with it, and which stage's code was running (P7). Nothing else depends on it: the journal is
 * complete without it, and a mark that does not fit the journal any more is ignored.
 *
 * File: 16 bytes "stageline-out-1\n", then slots of 16 bytes in the machine's byte order:
 * order_seq 8 · attempt 4 · stage 2 · undo 1 · mark 1 (enum task_mark). It is not synced: it survives the death
 * of the process, and that of the machine as far as the kernel had written it. */
#pragma once

#include <stdatomic.h>

#include "model/task.h"

enum { ATTEMPTS_MAX = 16383 };

struct attempt_slot {
	int64_t order_seq;
	uint32_t attempt;
	uint16_t stage;
	uint8_t undo;
	_Atomic unsigned char mark;
};

struct attempts {
	struct attempt_slot *slots; /* mapped; slot 0 is the file's head */
	uint16_t *free;		    /* a stack of free slots */
	size_t n_free;
};

/* Maps the file; what a dead process left in it is still there. -EIO, -ENOSPC, -EINVAL: not such a file. */
int attempts_open(const char *path, struct attempts *ret, struct err *e);
/* The next slot after `from` (0: the first) that a dead process left; NULL at the end. */
const struct attempt_slot *attempts_left(const struct attempts *a, size_t *from);
/* All slots are free again. */
void attempts_clear(struct attempts *a);
void attempts_close(struct attempts *a);

/* A slot for the task, in its `mark`. False: all are taken. */
bool attempts_take(struct attempts *a, struct task *t);
/* The task's verdict is on disk. */
void attempts_give_back(struct attempts *a, struct task *t);
