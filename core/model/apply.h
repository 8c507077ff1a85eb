/* The fold: one event changes one order. Pure. */
#pragma once

#include "model/ready.h"
#include "model/ready.h"

/* Changes `o` as `ev` says and queues the stages that are ready because of it. Copies what it keeps.
 * -EPROTO: the event does not fit the order as it stands. -ENOMEM. The order is unchanged on failure. */
int apply(struct order *o, const struct event *ev);
/* The last step of it, for migrate(): queues what is ready. */
void apply_schedule(struct order *o, const struct sight *sight);
