/* `stageline orders watch`: orders as they move. */
#pragma once

#include "cli/remote.h"

enum { WATCH_MAX = 200 }; /* orders that can be named */

/* Exit status: 0 all that were named are completed, or nobody named any; 1 one has ended otherwise; 130 ended by a signal
 * before they have. */
int watch_run(struct remote *r);
