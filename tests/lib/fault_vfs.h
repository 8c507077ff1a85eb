/* A disk that fails on purpose, between SQLite and the real one.
 *
 * It makes the n-th operation of a kind fail, and it plays power loss: what was written but not
 * synced is kept, torn at sector borders or lost, as a seed says; what a failed sync should have made durable is lost
 * then, unless it is written once more. Reads and locks are the real
 * disk's. One thread at a time; connections opened before fault_vfs_install() are not touched. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum fault_op {
	FAULT_OPEN = 1,
	FAULT_READ = 2,
	FAULT_WRITE = 4,
	FAULT_SYNC = 8,
	FAULT_TRUNCATE = 16,
	FAULT_DELETE = 32,
};

struct fault_plan {
	unsigned ops;	    /* which operations count */
	int nth;	    /* that one of them fails, from 1; 0: none */
	bool is_sticky;	    /* and all of them after it */
	bool is_power_loss; /* it and everything after it never reaches the disk */
	int error;	    /* SQLite's code; 0: the operation's own SQLITE_IOERR_... */
};

/* Becomes SQLite's default; all that is opened from now on goes through it. */
void fault_vfs_install(void);
/* Back to the real disk. No file may be open. */
void fault_vfs_remove(void);

/* Counts from now on. A zeroed plan: nothing fails. */
void fault_vfs_plan(const struct fault_plan *plan);
/* How many operations have failed under this plan. */
int fault_vfs_hits(void);

/* From now on every operation fails. */
void fault_vfs_power_off(void);
/* After all files are closed: it was the process that died, all that was written is there. */
void fault_vfs_resume(void);
/* After all files are closed: writes what survived. Negative errno. */
int fault_vfs_power_on(uint64_t seed);
