/* `stageline orders timeline`: what took how long: attempts, time in line, backoff, waits for answers, holds, undoing. */
#pragma once

#include "cli/remote.h"

int order_timeline(struct remote *r);
