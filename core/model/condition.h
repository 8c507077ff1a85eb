/* Conditions: what `when:` says about an order. Immutable, in the arena of the document it was read from.
 *
 * A condition is a map of one comparison, {field: total_amount, above: 100}, or puts others together:
 * {all: [..]}, {any: [..]}, {not: {..}}. `field` is a dotted path into the order as placed, or
 * "results.STAGE.path" for what an earlier stage answered. A path that meets an array goes on into each
 * of its elements, and the comparison holds when it holds for any of them.
 *
 * Nothing is converted: a field that is missing, null or of another type makes a comparison false.
 * `not_equals` and `not_in` are the opposite of `equals` and `in`, so there it is true. Numbers compare
 * as the doubles nearest to what is written, which is exact for amounts. */
#pragma once

#include "base/json.h"
#include "base/yaml.h"

enum {
	CONDITION_DEPTH_MAX = 8,
	CONDITION_NODES_MAX = 64,   /* comparisons and combinations in one `when` */
	CONDITION_VALUES_MAX = 256, /* in one list of `in` */
	CONDITION_FIELD_MAX = 256,  /* bytes */
	CONDITION_TEXT_MAX = 300,   /* bytes of a sentence */
};

struct condition;

/* Faults are placed in `faults`; what could be read all the same is in `*ret`, or NULL. The condition
 * points into `node`'s tree. -ENOMEM. */
int condition_read(const struct yaml_node *node, struct arena *arena, const struct condition **ret,
	struct yaml_faults *faults);

/* `order`: the order's JSON object. `results`: an object, stage → what it answered. Either may be NULL. */
bool condition_holds(const struct condition *c, const cJSON *order, const cJSON *results);

/* Why it did not hold, in words: "total_amount is not above 100". Cut at CONDITION_TEXT_MAX. */
void condition_why_not(const struct condition *c, struct buf *out);

/* Calls `on_stage` for every field that reads the results of a stage; `at` is where it says so. */
void condition_each_stage(const struct condition *c,
	void (*on_stage)(void *arg, struct str stage, const struct yaml_node *at), void *arg);

/* The members of its JSON Schema, into the open object. It refers to itself as `ref`. */
void condition_schema(struct json_writer *w, const char *ref);
