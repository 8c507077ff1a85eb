/* Facts of an order's body, in one block of memory. */
#include "model/facts.h"

void facts_lower(struct str text, char *out)
{
	for (size_t i = 0; i < text.n; i++)
		out[i] =
			text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] | 0x20) : text.p[i];
}

static char *keep(char *at, struct str text, struct str *ret)
{
	if (text.n)
		memcpy(at, text.p, text.n);
	*ret = (struct str){at, text.n};
	return at + text.n;
}

int order_facts_of(const cJSON *body, struct order_facts **ret)
{
	const cJSON *item, *items = cJSON_GetObjectItemCaseSensitive(body, "items");
	struct str email = json_member(body, "customer_email");
	size_t size = sizeof(struct order_facts) + email.n + 1, n = 0;
	struct order_facts *f;
	char *at;

	cJSON_ArrayForEach (item, items) {
		size += sizeof(struct str) + json_member(item, "product_id").n;
		n++;
	}
	f = malloc(size);
	if (!f)
		return -ENOMEM;
	*f = (struct order_facts){.products = (struct str *)(f + 1)};
	at = (char *)(f->products + n);
	if (email.p) {
		facts_lower(email, at);
		f->email = (struct str){at, email.n};
		at += email.n;
	}
	f->has_total = json_to_money(
		cJSON_GetObjectItemCaseSensitive(body, "total_amount"), &f->total_minor);
	cJSON_ArrayForEach (item, items) {
		struct str product = json_member(item, "product_id");

		if (product.p)
			at = keep(at, product, &f->products[f->n_products++]);
	}
	*ret = f;
	return 0;
}
