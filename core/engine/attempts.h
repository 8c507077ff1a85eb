/* Which attempts are out, in a small mapped file that outlives the process: after a crash it tells which
 * attempts died with it, and which stage's code was running (P7). The journal is complete without it, and a mark that
 * does not fit the journal any more is ignored.
 *
 * What may go on after this process keeps its mark beyond the next start, until the attempt is over: what a stop in
 * good order cut off, and what was handed to other processes. It costs no attempt, but an order that turns round
 * meanwhile has to undo what it may have done (P6). What was cut off and goes out once more says AGAIN, on disk before:
 * when the machine dies then, it costs the attempt.
 *
 * The death of the process leaves the file as it was. The death of the machine (another boot id) leaves what was
 * synced, and then every attempt counts that may have been out: those whose mark is there, and those that the
 * journal queued after `synced_seq`. Behind Redis what has no mark may be with a worker still and gets one that says
 * BEGUN. So an attempt that goes out right after its event was committed needs no
 * sync of its own; one that waited since before the last sync does. How far the stage came is lost then.
 *
 * File: 16 bytes "stageline-out-1\n", 40 bytes boot id (RFC 9562 text, padded with zeros), 8 bytes synced_seq,
 * then slots of 16 bytes, all in the machine's byte order: order_seq 8 · attempt 4 · stage 1 · moves 1 · undo 1 · mark 1
 * (enum task_mark). `stage` is its number in the generation that the order was on after so many moves: of an order that
 * has been moved since nothing was out then, and the mark is over. */
#pragma once

#include <stdatomic.h>

#include "model/task.h"

enum { ATTEMPTS_FIRST = 4, ATTEMPTS_MAX = 16383 }; /* slots 0 to 3 are the file's head */

struct attempt_slot {
	int64_t order_seq;
	uint32_t attempt;
	uint8_t stage, moves, undo;
	_Atomic unsigned char mark;
};

struct attempts {
	struct attempt_slot *slots; /* mapped */
	int fd;
	bool is_same_boot; /* as when the file was written */
	bool is_new;	   /* there was no such file: what was out is not known */
	size_t added_at;   /* the slot that attempts_add_begun() took last */
	size_t found_at;   /* the slot of a BEGUN attempt that was looked for last */
	bool must_sync;	   /* before what was taken goes out */
	bool may_sync;	   /* some marks are not on disk yet */
	int64_t synced_ms; /* monotonic: the last sync */
	uint16_t *free;	   /* a stack of free slots */
	size_t n_free;
};

/* Maps the file; what a dead process left in it is still there. -EIO, -ENOSPC, -EINVAL: not such a file. */
int attempts_open(const char *path, struct attempts *ret, struct err *e);
/* The next slot after `from` (0: the first) that a dead process left; NULL at the end. */
const struct attempt_slot *attempts_left(const struct attempts *a, size_t *from);
/* Whether the attempt in a slot that was left died after it may have begun; `ret_suspect`: its code may have run. */
bool attempts_had_begun(const struct attempts *a, const struct attempt_slot *s, bool *ret_suspect);
/* Whether an attempt that has no mark may have been out: the machine died, and the order's last event is
 * younger than the marks. */
bool attempts_may_be_lost(const struct attempts *a, int64_t last_seq);
/* Before attempts_clear(): an attempt without a slot gets one that says BEGUN. False: half of all are taken. */
bool attempts_add_begun(struct attempts *a, const struct attempt_slot *about);
/* Nobody wants to know of that slot, which was left, any more. */
void attempts_over(struct attempts *a, size_t slot);
/* The slots that were left are free again, but for those that say BEGUN, and on disk. `last_seq`: of the journal. */
void attempts_clear(struct attempts *a, int64_t last_seq);
/* As attempts_clear(), at a stop in good order: whatever had begun says BEGUN. */
void attempts_stop(struct attempts *a, int64_t last_seq);
/* The task does not go out, and its slot says BEGUN as before. */
void attempts_keep(struct task *t);
/* The slot that says BEGUN of this attempt is free again, if there is one. */
void attempts_forget(struct attempts *a, int64_t order_seq, uint8_t moves, size_t stage,
	uint32_t attempt, bool undo);
void attempts_close(struct attempts *a);

/* A slot for the task, in its `mark`. `last_seq`: of its order, 0: no event tells that it may be out; `is_again`: the
 * slot that says BEGUN, if there is one. False: all are taken. */
bool attempts_take(struct attempts *a, struct task *t, int64_t last_seq, bool is_again);
/* What was taken since the last call may go out: its marks are on disk, where they have to be. `last_seq`: of the
 * journal, all of it committed. Negative errno: they are tried again at attempts_sync_at(). */
int attempts_sync(struct attempts *a, int64_t last_seq);
/* When to call it again even if nothing is taken (monotonic); INT64_MAX: no need. */
int64_t attempts_sync_at(const struct attempts *a);
/* The task's verdict is on disk. */
void attempts_give_back(struct attempts *a, struct task *t);
