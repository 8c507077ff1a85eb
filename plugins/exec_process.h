/* One program that runs beside the daemon: started, spoken to in lines, ended. One thread. */
#pragma once

#include <sys/types.h>

#include "text.h"

/* What is run, and how. All borrowed. */
struct exec_program {
	const char *path; /* of argv[0], found */
	char *const *argv;
	char *const *environment;
	const char *folder; /* NULL: that of the daemon */
	const char *shown;  /* the command, for people */
	size_t line_max;
};

enum { EXEC_LAST_LINES = 3, EXEC_ERROR_LINE_MAX = 1000, EXEC_LAST_LINE_MAX = 200 };

struct exec_process {
	pid_t pid; /* 0: it is not running */
	int pidfd, in, out, err;
	struct text request; /* the last one */
	size_t n_written;
	struct text out_line, err_line;			    /* what has come of the next line */
	char last[EXEC_LAST_LINES][EXEC_LAST_LINE_MAX + 1]; /* of its stderr */
	size_t n_last;
};

/* Starts it. A negative errno, of the exec as well. */
int exec_process_start(struct exec_process *p, const struct exec_program *program);
/* Signals it and what it has started. */
void exec_process_signal(const struct exec_process *p, int signal);
/* End of file on its stdin. */
void exec_process_close_in(struct exec_process *p);
/* Writes as much of the request as it takes. */
void exec_process_write(struct exec_process *p);
/* Whether it has read anything of the request; in doubt it has. */
bool exec_process_has_read(const struct exec_process *p);
/* Reads what there is from `fd`, its out or its err, into `line` and calls back for each whole line, without its end.
 * 0; -ENODATA at its end; -EMSGSIZE: more than `max` bytes have
 * come of a line that goes on. */
int exec_process_read(int fd, struct text *line, size_t max,
	void (*on_line)(void *arg, char *line, size_t n), void *arg);
void exec_process_keep_last(struct exec_process *p, const char *line);
/* After its pidfd told that it has ended: ends what it left running and writes how it ended, "exited with status 1: …",
 * with the last lines of its stderr. */
void exec_process_reap(struct exec_process *p, struct text *ret_how);
