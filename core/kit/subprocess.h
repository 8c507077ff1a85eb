/* Work in a process of its own, so that whatever somebody's code does there, the command lives and can say it. */
#pragma once

#include <signal.h>

#include "base/buf.h"
#include "base/err.h"

enum { SUBPROCESS_OUTPUT_MAX = 64 << 20, SUBPROCESS_NOTE_SIZE = 256 };

/* What became of it. */
struct subprocess_end {
	struct buf out;			 /* what it wrote to its `out` */
	bool is_fine;			 /* the work came to its end */
	bool is_late;			 /* it was killed: nothing came for too long */
	int signal;			 /* that it died of; 0: none */
	int status;			 /* that it exited with */
	char note[SUBPROCESS_NOTE_SIZE]; /* what it was doing last, by its own word */
};

/* In the child. Results go to `out`; `note` is told before every step that may end the process. Its stdout is
 * stderr. */
typedef void subprocess_work(void *arg, int out, char note[SUBPROCESS_NOTE_SIZE]);

/* SIGINT, SIGTERM and SIGHUP wait in between, so that nothing is left behind: a child that runs is ended by them, and
 * whoever held them dies of them at the release. */
void subprocess_hold_signals(sigset_t *ret_before);
void subprocess_release_signals(const sigset_t *before);

/* Returns when the child is gone. `silence_ms`: it is killed when nothing came from it for so long. 0, or why
 * there could be no child. `ret` is to be freed in any case. */
int subprocess_run(subprocess_work *work, void *arg, int64_t silence_ms, struct subprocess_end *ret,
	struct err *e);
void subprocess_end_fini(struct subprocess_end *c);

/* How it ended, when it was not fine: "died of SIGSEGV". Also a word for programs: the signal's name, or NULL. */
void subprocess_end_text(const struct subprocess_end *c, char *out, size_t size);
const char *subprocess_end_signal(const struct subprocess_end *c);

/* Writes all of it. -EIO and others. */
int subprocess_write(int out, const struct buf *text);
