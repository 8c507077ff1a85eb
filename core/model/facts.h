/* What lists and searches need to know of an order's body. Computed when it is placed or corrected, and again
 * from the journal when projections are rebuilt: the same body gives the same facts. */
#pragma once

#include "base/json.h"

struct order_facts {
	struct str email; /* lower case, as it is searched; absent: the body names none */
	bool has_total;
	int64_t total_minor;
	size_t n_products;
	struct str *products; /* of each item, repeated where items repeat it */
};

/* Of any JSON: what is no order has no facts, which is no error. Returns one owned block: free(). -ENOMEM. */
int order_facts_of(const cJSON *body, struct order_facts **ret);

/* ASCII letters of an e-mail address to lower case; `out` has room for all bytes. */
void facts_lower(struct str text, char *out);
