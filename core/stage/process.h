/* One child process and the socket to it: starting, sending, receiving, ending. What is said there is children.c's. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "stage/claim.h"

struct process {
	pid_t pid;  /* 0: none */
	int pid_fd; /* readable when it has ended */
	int fd;	    /* -1: its end is closed */
	struct claim *claim;
	struct buf in, out;
	size_t out_at; /* sent of `out` */
};

/* Starts the program of this process as `stage-child NAME`, with the other end of a socket, the
 * plugin's file and nothing else. */
int process_start(struct process *p, const char *name, int plugin_fd, struct err *e);
/* Sends as much of `out` as the socket takes. -EAGAIN: there is more. */
int process_send(struct process *p);
/* Forgets what has not been sent; the process sees the end. */
void process_stop_sending(struct process *p);
/* Adds what has come to `in`: its length, 0 at the end, -EAGAIN. */
ssize_t process_receive(struct process *p);
/* Closes its end of the socket: the process is to end by itself. */
void process_hang_up(struct process *p);
/* To it and whatever it has started. */
void process_signal(const struct process *p, int number);
/* It has ended: true, its status as of waitpid(), and how many tasks it had begun. Frees everything. */
bool process_reap(struct process *p, int *ret_status, uint64_t *ret_begun);
