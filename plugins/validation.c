/* Validation: is this an order that can be worked on? Says everything that is wrong with it at once.
 * It takes nothing, so it has nothing to undo. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "money.h"
#include "simulated.h"

enum {
	MESSAGE_SIZE = 1024,
	FAULTS_SHOWN = 5,
	EMAIL_MAX = 254,
	LOCAL_MAX = 64,
	LABEL_MAX = 63,
	PRODUCT_MAX = 128,
	SHOWN_MAX = 60, /* of text from the order, in bytes */
};

#define QUANTITY_MAX 1000000

struct validation_config {
	struct simulated sim;
};

struct validation {
	const struct sl_host *host;
	const struct validation_config *config;
	cJSON *catalog; /* array; read only after create */
};

/* --- the list of faults, as one sentence --- */

struct faults {
	char text[MESSAGE_SIZE];
	size_t len, n;
};

static void __attribute__((format(printf, 2, 3))) add_fault(struct faults *f, const char *fmt, ...)
{
	char one[200];
	va_list ap;

	if (f->n++ >= FAULTS_SHOWN)
		return;
	va_start(ap, fmt);
	vsnprintf(one, sizeof one, fmt, ap);
	va_end(ap);
	f->len += (size_t)snprintf(
		f->text + f->len, sizeof f->text - f->len, "%s%s", f->len ? "; " : "", one);
}

/* The text, shortened between two characters of UTF-8. */
static const char *shown(const char *text, char out[SHOWN_MAX + 4])
{
	size_t n = strlen(text);

	if (n <= SHOWN_MAX)
		return text;
	for (n = SHOWN_MAX; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
		;
	memcpy(out, text, n);
	memcpy(out + n, "…", sizeof "…");
	return out;
}

/* --- e-mail --- */

static bool is_local_char(unsigned char c)
{
	return c >= 0x80 || isalnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static const char *check_local(const char *s, size_t n)
{
	if (!n)
		return "has nothing before the @";
	if (n > LOCAL_MAX)
		return "is too long before the @";
	if (s[0] == '.' || s[n - 1] == '.')
		return "has a dot at the start or just before the @";
	for (size_t i = 0; i < n; i++) {
		if (!is_local_char((unsigned char)s[i]))
			return "has a space or another character that cannot stand before the @";
		if (s[i] == '.' && s[i + 1] == '.')
			return "has two dots in a row";
	}
	return NULL;
}

static const char *check_label(const char *s, size_t n)
{
	if (!n)
		return "has an empty part in its domain";
	if (n > LABEL_MAX)
		return "has a part of its domain that is too long";
	if (s[0] == '-' || s[n - 1] == '-')
		return "has a part of its domain that starts or ends with a hyphen";
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x80 && !isalnum((unsigned char)s[i]) && s[i] != '-')
			return "has a character in its domain that cannot stand there";
	return NULL;
}

static const char *check_domain(const char *s)
{
	size_t n_labels = 0, n;
	const char *why, *last = s;

	if (!*s)
		return "has nothing after the @";
	for (;; s += n + 1) {
		n = strcspn(s, ".");
		why = check_label(s, n);
		if (why)
			return why;
		n_labels++;
		last = s;
		if (!s[n])
			break;
	}
	if (n_labels < 2)
		return "has no dot in its domain";
	return strspn(last, "0123456789") == strlen(last) ? "has a number as top-level domain"
							  : NULL;
}

/* Why it is no address, or NULL. The shape alone: whether it exists, only a letter to it can tell. */
static const char *check_email(const char *s)
{
	const char *at = strchr(s, '@'), *why;

	if (!at)
		return "has no @";
	if (strchr(at + 1, '@'))
		return "has more than one @";
	if (strlen(s) > EMAIL_MAX)
		return "is too long";
	why = check_local(s, (size_t)(at - s));
	return why ? why : check_domain(at + 1);
}

static void check_customer(const cJSON *order, struct faults *f)
{
	const cJSON *email = cJSON_GetObjectItemCaseSensitive(order, "customer_email");
	char room[SHOWN_MAX + 4];
	const char *why;

	if (!cJSON_IsString(email) || !email->valuestring[0]) {
		add_fault(f, "customer_email is missing");
		return;
	}
	why = check_email(email->valuestring);
	if (why)
		add_fault(f, "customer_email '%s' %s", shown(email->valuestring, room), why);
}

/* --- items --- */

static bool is_known(const struct validation *v, const char *product)
{
	const cJSON *entry;

	if (!cJSON_GetArraySize(v->catalog))
		return true;
	cJSON_ArrayForEach (entry, v->catalog) {
		const cJSON *id = cJSON_GetObjectItemCaseSensitive(entry, "id");

		if (cJSON_IsString(id) && strcmp(id->valuestring, product) == 0)
			return true;
	}
	return false;
}

static void check_product(
	const struct validation *v, const cJSON *product, int place, struct faults *f)
{
	char room[SHOWN_MAX + 4];

	if (!cJSON_IsString(product) || !product->valuestring[0])
		add_fault(f, "item %d: product_id is missing", place);
	else if (strlen(product->valuestring) > PRODUCT_MAX)
		add_fault(f, "item %d: product_id is too long", place);
	else if (!is_known(v, product->valuestring))
		add_fault(f, "unknown product %s", shown(product->valuestring, room));
}

static bool read_quantity(const cJSON *quantity, int place, int64_t *ret, struct faults *f)
{
	double v = cJSON_IsNumber(quantity) ? quantity->valuedouble : 0;

	if (!(v > 0) || floor(v) != v)
		add_fault(f, "item %d: quantity must be a whole number above 0", place);
	else if (v > QUANTITY_MAX)
		add_fault(f, "item %d: quantity must be at most %d", place, QUANTITY_MAX);
	else
		*ret = (int64_t)v;
	return *ret > 0;
}

static bool read_price(const cJSON *price, int place, int64_t *ret_minor, struct faults *f)
{
	if (!cJSON_IsNumber(price) || !(price->valuedouble > 0))
		add_fault(f, "item %d: price must be above 0", place);
	else if (!money_read(price, ret_minor) || *ret_minor <= 0)
		add_fault(f, "item %d: price must be an amount with at most two decimals", place);
	return *ret_minor > 0;
}

/* Checks one item and adds its price to the sum; false when it has none that counts. */
static bool check_item(
	const struct validation *v, const cJSON *item, int place, int64_t *sum, struct faults *f)
{
	int64_t quantity = 0, price = 0, line;
	bool ok;

	if (!cJSON_IsObject(item)) {
		add_fault(f, "item %d is no object", place);
		return false;
	}
	check_product(v, cJSON_GetObjectItemCaseSensitive(item, "product_id"), place, f);
	ok = read_quantity(cJSON_GetObjectItemCaseSensitive(item, "quantity"), place, &quantity, f);
	ok = read_price(cJSON_GetObjectItemCaseSensitive(item, "price"), place, &price, f) && ok;
	if (!ok)
		return false;
	if (!__builtin_mul_overflow(quantity, price, &line) &&
		!__builtin_add_overflow(*sum, line, sum))
		return true;
	add_fault(f, "item %d makes the total too large", place);
	return false;
}

/* True when every item has a price, so that the sum stands. */
static bool check_items(
	const struct validation *v, const cJSON *items, int64_t *ret_sum, struct faults *f)
{
	const cJSON *item;
	bool ok = true;
	int place = 0;

	if (!cJSON_IsArray(items) || !cJSON_GetArraySize(items)) {
		add_fault(f, "the order has no items");
		return false;
	}
	cJSON_ArrayForEach (item, items)
		ok = check_item(v, item, ++place, ret_sum, f) && ok;
	return ok;
}

static void check_total(const cJSON *total, bool has_sum, int64_t sum, struct faults *f)
{
	int64_t minor = 0, size;
	bool is_money = money_read(total, &minor);

	size = minor < 0 ? -minor : minor;
	if (!cJSON_IsNumber(total))
		add_fault(f, "total_amount is missing");
	else if (!is_money)
		add_fault(f, "total_amount must be an amount with at most two decimals");
	else if (has_sum && minor != sum)
		add_fault(f,
			"total_amount is %s%" PRId64 ".%02" PRId64
			", but the items add up to %" PRId64 ".%02" PRId64,
			minor < 0 ? "-" : "", size / 100, size % 100, sum / 100, sum % 100);
}

/* --- the stage --- */

static int32_t validate(const struct validation *v, struct sl_task *task, const cJSON *order)
{
	const cJSON *items = cJSON_GetObjectItemCaseSensitive(order, "items");
	struct faults f = {0};
	char json[96];
	int64_t sum = 0;
	bool has_sum;
	int n;

	check_customer(order, &f);
	has_sum = check_items(v, items, &sum, &f);
	check_total(cJSON_GetObjectItemCaseSensitive(order, "total_amount"), has_sum, sum, &f);
	if (f.n > FAULTS_SHOWN)
		snprintf(f.text + f.len, sizeof f.text - f.len, "; and %zu more",
			f.n - FAULTS_SHOWN);
	if (f.n) {
		v->host->set_message(task, f.text);
		return SL_FAIL;
	}
	n = snprintf(json, sizeof json, "{\"items\":%d,\"total_amount\":%" PRId64 ".%02" PRId64 "}",
		cJSON_GetArraySize(items), sum / 100, sum % 100);
	v->host->set_result(task, json, (size_t)n);
	v->host->set_message(task, "Order validated");
	return SL_DONE;
}

static int32_t validation_run(void *self, struct sl_task *task)
{
	struct validation *v = self;
	size_t len;
	const char *text = v->host->order(task, &len);
	cJSON *order;
	int32_t verdict = simulated_step(&v->config->sim, v->host, task,
		(struct simulated_words){
			"Order refused by the fraud check", "the fraud check did not answer"});

	if (verdict != SIMULATED_GO_ON)
		return verdict;
	order = cJSON_ParseWithLength(text, len);
	if (!order) { /* what the host gives is always JSON */
		v->host->set_message(task, "no memory");
		return SL_RETRY;
	}
	verdict = validate(v, task, order);
	cJSON_Delete(order);
	return verdict;
}

static void validation_destroy(void *self)
{
	struct validation *v = self;

	cJSON_Delete(v->catalog);
	free(v);
}

static int32_t validation_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct validation *v = malloc(sizeof *v);
	size_t len;
	const char *catalog = host->catalog(host, &len);

	if (!v) {
		host->log(host, 0, "no memory");
		return -ENOMEM;
	}
	*v = (struct validation){host, config, cJSON_ParseWithLength(catalog, len)};
	if (!cJSON_IsArray(v->catalog)) {
		host->log(host, 0, "the catalog is no list");
		validation_destroy(v);
		return -EINVAL;
	}
	*ret_self = v;
	return 0;
}

static const struct sl_option options[] = {SIMULATED_OPTIONS(struct validation_config)};

SL_EXPORT const struct sl_stage stageline_stage = {
	.size = sizeof(struct sl_stage),
	.abi = SL_ABI,
	.name = "validation",
	.version = "1.0",
	.summary = "Checks e-mail, items and total; says everything that is wrong at once",
	.flags = SL_STAGE_CONCURRENT,
	.n_options = sizeof options / sizeof options[0],
	.option_size = sizeof(struct sl_option),
	.config_size = sizeof(struct validation_config),
	.options = options,
	.create = validation_create,
	.destroy = validation_destroy,
	.run = validation_run,
};
