/* An order's way from one generation of the pipeline to another: its stages are found again by name.
 *
 * What has begun stays as it is, and has to be there again and, if it could be undone, still be. A stage that is
 * queued and was never tried goes back and is queued when its turn comes by the new pipeline. Pure, like decide
 * and apply. */
#pragma once

#include "model/decide.h"

/* Whether the order may go on with `to`. 0: yes; else the reason for a person in `e`. -EINVAL: it is terminal.
 * -EALREADY: that is its generation. -EAGAIN: an attempt is out. -ENOENT: stages do not fit. */
int migrate_check(const struct order *o, const struct pipeline *to, struct err *e);
/* Appends one event when it may. As migrate_check(), and -ENOMEM. */
int decide_migrate(const struct decide_env *env, const struct order *o, const struct pipeline *to,
	struct str reason, struct event_list *out, struct err *e);
/* What apply() is for the other kinds: puts the order as it goes on into *o and frees the one that was there.
 * `to`: the generation that the event names. -EPROTO: it does not fit, -ENOMEM; *o is then untouched. */
int migrate(struct order **o, const struct event *ev, const struct pipeline *to);
/* Folds any event after the first: by apply(), or by migrate() to the generation in `set`. */
int fold(struct order **o, const struct event *ev, struct pipeline_set *set);
