/* `stageline orders timeline`: what took how long: attempts, time in line, backoff, waits for answers, holds, undoing. */
#pragma once

#include "cli/remote.h"

/* Of an answer of GET /orders/{id}, up to now or the moment that was asked for. Returns the exit status. */
int order_timeline(const struct remote *r, const cJSON *answer);
