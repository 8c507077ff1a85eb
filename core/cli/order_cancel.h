/* `stageline orders cancel --dry-run`. */
#pragma once

#include "cli/remote.h"

/* Tells what cancelling would undo of the order that the daemon answered with, as it stands. Returns the exit status. */
int order_cancel_preview(const struct remote *r, const cJSON *answer);
