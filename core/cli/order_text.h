/* One order for people: what it is, its stages, its history. */
#pragma once

#include "cli/remote.h"

/* `answer` is that of GET /orders/{id}; fits remote_ask(). */
void order_print(const struct remote *r, const cJSON *answer);
