/* A task in the process of a confined stage: its clock is that of the day on which the task was decided. Only for
 * child.c: the clock is the whole process's. */
#pragma once

#include "stage/stage.h"

/* One attempt with all its turns: the time that SL_LATER asks for passes at once. The wall clock begins at
 * t->as_of_us. Never VERDICT_LATER: an attempt that has had its time ends in VERDICT_RETRY. */
void confined_run(struct instance *in, struct task *t);
