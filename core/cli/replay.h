/* What the files of `stageline replay` share. */
#pragma once

#include "cli/offline.h"

/* replay_against.c: the mode --against. Returns the exit status. */
int replay_against(struct offline *o);
/* The flag's event: "1042", or the last one that is not later than a time; of --since the first that is not earlier.
 * Returns the exit status: anything but success was said. */
int replay_find_moment(struct offline *o, enum offline_flag flag, int64_t *ret);
