/* The last words of a stage's process: what ended it and where, said to the daemon from within the signal's handler
 * or exit(). Only for child.c: it is about the whole process. */
#pragma once

#include <stdbool.h>

/* From now on the process tells `fd` why it ends, and with `counts_memory` how much it had. Once; before any code of a
 * plugin. */
void crash_catch(int fd, bool counts_memory);
/* Whether what happens next is the doing of a call of run or undo. */
void crash_set_in_call(bool is_in_call);
/* Bytes of memory that count towards the sandbox's limit; 0: not known. */
unsigned long long crash_memory(void);
