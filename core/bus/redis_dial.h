/* Dialing Redis. */
#pragma once

#include <hiredis/hiredis.h>

#include "base/err.h"
#include "bus/redis.h"

/* A connection with the options' time limits, owned by the caller; nothing was said on it yet. NULL: `e` says why not.
 * Waits connect_timeout_ms at most for each address that the host has. */
redisContext *redis_dial(const struct redis_options *o, struct err *e);
