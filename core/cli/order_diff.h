/* `stageline orders diff`: an order at two moments, and what is different. */
#pragma once

#include "cli/remote.h"

int order_diff(struct remote *r);
