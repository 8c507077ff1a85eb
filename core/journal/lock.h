/* The lock that keeps a second writer out of a journal, in a file beside it. */
#pragma once

#include "base/err.h"

/* Held until the descriptor is closed. -EBUSY: another process has it. */
int journal_lock(const char *path, int *ret_fd, struct err *e);
