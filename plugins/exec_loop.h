/* The programs of one exec stage: one thread that hands each its next question, reads the answers and sees to it
 * that they live. A program has one question at a time. */
#pragma once

#include <cjson/cJSON.h>

#include "exec_process.h"
#include "pending.h"
#include "stageline/stage.h"

/* A question and what came of it: an answer, or the reason why there is none. */
struct exec_call {
	struct pending_call pending;
	struct exec_call *next; /* loop: in the line */
	char id[24];
	struct text line; /* with its newline */
	int64_t deadline_ms;
	bool is_finished;
	cJSON *answer;	     /* an object with that id */
	struct text trouble; /* for people */
};

struct exec_loop_options {
	const struct sl_host *host;
	struct exec_program program;
	size_t n_processes;
	int64_t timeout_ms, grace_ms;
};

struct exec_loop;

int exec_loop_create(const struct exec_loop_options *options, struct exec_loop **ret);
/* Ends the programs: SIGTERM and end of file, and SIGKILL to those that are still there when the grace is over. NULL
 * does nothing. */
void exec_loop_destroy(struct exec_loop *loop);
/* Takes the call; its ticket is woken when it is finished. Any thread. */
void exec_loop_start(struct exec_loop *loop, struct exec_call *call);
/* The call of the ticket when it is finished, which is the caller's from then on; else NULL, and
 * *ret_is_under_way says whether there is one. Any thread. */
struct exec_call *exec_loop_take(struct exec_loop *loop, uint64_t ticket, bool *ret_is_under_way);
void exec_call_free(struct exec_call *call);
/* Monotonic. */
int64_t exec_now_ms(void);
