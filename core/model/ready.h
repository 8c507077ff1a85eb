/* Which stages may start: those before them are over, and their condition holds. */
#pragma once

#include "model/order.h"

/* What conditions look at. Zeroed: nothing to look at. */
struct sight {
	cJSON *order, *results;
};

void sight_fini(struct sight *s);

/* What the conditions that can be asked after `ev` will look at, before `o` is changed by it. Nothing is
 * read when none can be asked. -ENOMEM; `*ret` is then empty. */
int sight_after(const struct order *o, const struct event *ev, struct sight *ret);

/* Every stage before it is done or skipped. */
bool stage_is_next(const struct order *o, size_t i);
/* Its condition, if it has one, holds. */
bool stage_is_wanted(const struct order *o, size_t i, const struct sight *s);
