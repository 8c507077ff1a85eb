/* The shape of an order in POST /orders: types and bounds, nothing about the business. */
#pragma once

#include "model/facts.h"

enum { SHAPE_MEMBERS_MAX = 64, SHAPE_ITEMS_MAX = 500, SHAPE_TEXT_MAX = 254 };

/* Writes the order as canonical JSON into `canonical`: the known members first, amounts with two decimals, then
 * whatever else was given. -EINVAL: not JSON, or no object, `e` says where. -EDOM: the shape is wrong; `errors`
 * is a JSON array of {"pointer","detail"} that names every fault. -ENOMEM. *ret_facts (ret_facts may be NULL):
 * returned owned. */
int shape_order(struct str text, unsigned max_depth, struct buf *canonical,
	struct order_facts **ret_facts, struct buf *errors, struct err *e);
