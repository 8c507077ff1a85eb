/* Inventory: takes the ordered quantities from stock/PRODUCT, and puts them back. The state keeps the
 * numbers; that none falls below zero is the floor of the effect, so stock cannot be oversold. */
#include <errno.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulated.h"

enum { KEY_SIZE = 256 };

#define QUANTITY_MAX 1e9

struct inventory_config {
	struct simulated sim;
};

struct inventory {
	const struct sl_host *host;
	const struct inventory_config *config;
};

static int32_t inventory_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct inventory *i = malloc(sizeof *i);

	if (!i) {
		host->log(host, 0, "no memory");
		return -ENOMEM;
	}
	*i = (struct inventory){host, config};
	*ret_self = i;
	return 0;
}

static bool is_quantity(const cJSON *j)
{
	return cJSON_IsNumber(j) && j->valuedouble > 0 && j->valuedouble <= QUANTITY_MAX &&
	       floor(j->valuedouble) == j->valuedouble;
}

static const char no_memory[] = "no memory";

/* Adds one item to the object product → quantity. */
static const char *add_item(cJSON *wanted, const cJSON *item)
{
	const cJSON *product = cJSON_GetObjectItemCaseSensitive(item, "product_id");
	const cJSON *quantity = cJSON_GetObjectItemCaseSensitive(item, "quantity");
	cJSON *sum;

	if (!cJSON_IsString(product) || !is_quantity(quantity) ||
		strlen(product->valuestring) + sizeof "stock/" > KEY_SIZE)
		return "an item has no product_id or no quantity";
	sum = cJSON_GetObjectItemCaseSensitive(wanted, product->valuestring);
	if (!sum)
		sum = cJSON_AddNumberToObject(wanted, product->valuestring, 0);
	if (!sum)
		return no_memory;
	cJSON_SetNumberHelper(sum, sum->valuedouble + quantity->valuedouble);
	return NULL;
}

/* What the host gives is always JSON: without a tree of it there was no memory. */
static int32_t have_no_memory(const struct inventory *i, struct sl_task *task)
{
	i->host->set_message(task, no_memory);
	return SL_RETRY;
}

static cJSON *sum_items(const struct inventory *i, struct sl_task *task, const char **ret_why)
{
	size_t len;
	const char *text = i->host->order(task, &len);
	cJSON *order = cJSON_ParseWithLength(text, len);
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(order, "items");
	cJSON *wanted = cJSON_CreateObject();
	const cJSON *item;

	*ret_why = !order || !wanted	  ? no_memory
		   : cJSON_IsArray(items) ? NULL
					  : "the order has no items";
	cJSON_ArrayForEach (item, items) {
		if (!*ret_why)
			*ret_why = add_item(wanted, item);
	}
	cJSON_Delete(order);
	return wanted;
}

/* Adds sign × quantity for every product. */
static void move_stock(const struct inventory *i, struct sl_task *task, const cJSON *products,
	int sign, int64_t least)
{
	const cJSON *p;

	cJSON_ArrayForEach (p, products) {
		char key[KEY_SIZE];

		snprintf(key, sizeof key, "stock/%s", p->string);
		i->host->effect_add(task, key, sign * (int64_t)p->valuedouble, least);
	}
}

static int set_reserved(const struct inventory *i, struct sl_task *task, cJSON *products)
{
	cJSON *result = cJSON_CreateObject();
	char *text;
	int r = -ENOMEM;

	if (!cJSON_AddItemReferenceToObject(result, "reserved", products)) {
		cJSON_Delete(result);
		return r;
	}
	text = cJSON_PrintUnformatted(result);
	if (text)
		r = i->host->set_result(task, text, strlen(text));
	cJSON_free(text);
	cJSON_Delete(result);
	return r;
}

static int32_t reserve(const struct inventory *i, struct sl_task *task)
{
	const char *why;
	cJSON *wanted = sum_items(i, task, &why);
	int32_t verdict = SL_DONE;
	int r = why ? 0 : set_reserved(i, task, wanted);

	if (why == no_memory || r == -ENOMEM) {
		verdict = have_no_memory(i, task);
	} else if (why) {
		i->host->set_message(task, why);
		verdict = SL_FAIL;
	} else if (r == -EINVAL) {
		i->host->set_message(task, "the list of products is too long");
		verdict = SL_FAIL;
	} else {
		move_stock(i, task, wanted, -1, 0);
		i->host->set_shortage(task, "Insufficient inventory");
		i->host->set_message(task, "Inventory reserved");
	}
	cJSON_Delete(wanted);
	return verdict;
}

static int32_t inventory_run(void *self, struct sl_task *task)
{
	struct inventory *i = self;
	int32_t verdict = simulated_step(&i->config->sim, i->host, task,
		(struct simulated_words){"Insufficient inventory", "the warehouse did not answer"});

	return verdict != SIMULATED_GO_ON ? verdict : reserve(i, task);
}

/* Puts back what run's result says it took: that holds even when the order was edited since. */
static int32_t release(const struct inventory *i, struct sl_task *task)
{
	size_t len;
	const char *text = i->host->results(task, &len);
	cJSON *results = cJSON_ParseWithLength(text, len);
	const cJSON *own = cJSON_GetObjectItemCaseSensitive(results, i->host->stage_name(i->host));
	const cJSON *reserved = cJSON_GetObjectItemCaseSensitive(own, "reserved");

	if (!results)
		return have_no_memory(i, task);
	move_stock(i, task, reserved, 1, INT64_MIN);
	i->host->set_message(task, reserved ? "Inventory released" : "Nothing was reserved");
	cJSON_Delete(results);
	return SL_DONE;
}

static int32_t inventory_undo(void *self, struct sl_task *task)
{
	struct inventory *i = self;
	int32_t verdict = simulated_step(&i->config->sim, i->host, task,
		(struct simulated_words){NULL, "the warehouse did not answer"});

	return verdict != SIMULATED_GO_ON ? verdict : release(i, task);
}

static const struct sl_option options[] = {SIMULATED_OPTIONS(struct inventory_config)};

SL_EXPORT const struct sl_stage stageline_stage = {
	.size = sizeof(struct sl_stage),
	.abi = SL_ABI,
	.name = "inventory",
	.version = "1.0",
	.summary = "Takes the items from stock; puts them back on undo",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS,
	.n_options = sizeof options / sizeof options[0],
	.option_size = sizeof(struct sl_option),
	.config_size = sizeof(struct inventory_config),
	.options = options,
	.create = inventory_create,
	.destroy = free,
	.run = inventory_run,
	.undo = inventory_undo,
};
