/* The programs of one exec stage: one thread that hands each its next question, reads the answers and sees to it
 * that they live. A program has one question at a time. */
#pragma once

#include "exec_slot.h"

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
