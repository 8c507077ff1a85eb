/* What is different between two states of an order: as it was at two moments, or as it is and as it should be. */
#pragma once

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Orders as the API shows them; `before` may be NULL: there was none yet. What says when, not what, is left out: ids,
 * times of every change, and of a stage what its pipeline says. Returns owned, NULL: no memory. A list of
 *
 *	{"stage": "payment", "pointer": "/attempt", "before": 1, "after": 2}
 *
 * with a JSON pointer (RFC 6901) into the order or, with `stage`, into that stage; without `before` or `after` where there
 * is no such member. */
cJSON *order_compare(const cJSON *before, const cJSON *after);

/* The list as a table, then the results in `event` (NULL: none) and the events behind it. False: nothing is different, and
 * nothing is printed. */
bool order_changes_print(const cJSON *changes, const cJSON *event);
