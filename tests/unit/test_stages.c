/* The four shipped stages, loaded as they are installed, on orders as they are placed. */
#include "stages.h"

static const char catalog[] = "[{\"id\":\"PROD-001\",\"name\":\"Laptop\",\"price\":999.99},"
			      "{\"id\":\"PROD-002\",\"name\":\"Mouse\",\"price\":29.99},"
			      "{\"id\":\"PROD-004\",\"name\":\"Monitor\",\"price\":299.99}]";

#define ORDER(email, items, total)                                                                 \
	"{\"id\":\"1\",\"created_at\":\"2026-01-31T10:00:00.000000Z\",\"customer_email\":\"" email \
	"\",\"items\":[" items "],\"total_amount\":" total "}"
#define ITEM(product, quantity, price)                                                             \
	"{\"product_id\":\"" product "\",\"name\":\"x\",\"quantity\":" quantity                    \
	",\"price\":" price "}"
#define GOOD                                                                                       \
	ORDER("ann@example.com",                                                                   \
		ITEM("PROD-001", "1", "999.99") "," ITEM("PROD-002", "1", "29.99"), "1029.98")

static struct task *call(const char *plugin, const char *config, uint32_t number, uint32_t attempt,
	const char *order, const char *undo_results)
{
	struct stage_fixture fx;
	struct err e = {0};
	struct task *t;

	if (stage_fixture_init(&fx, "STAGELINE_TEST_STAGES", plugin, config, catalog, &e) < 0)
		CU_FAIL_FATAL("no stage");
	t = stage_task(&fx, number, order);
	t->attempt = attempt;
	if (undo_results) {
		t->undo = true;
		t->results = undo_results;
	}
	instance_run(fx.instance, t);
	stage_fixture_fini(&fx);
	t->pipeline = NULL;
	return t;
}

static void check_message(struct task *t, enum verdict verdict, const char *message)
{
	CHECK_INT(t->verdict, verdict);
	CHECK_TEXT(t->message, message);
	task_free(t);
}

static void check_order(const char *order, enum verdict verdict, const char *message)
{
	check_message(call("validation", NULL, 1, 1, order, NULL), verdict, message);
}

static void a_good_order_is_validated(void)
{
	struct task *t = call("validation", NULL, 1, 1, GOOD, NULL);

	CHECK_TEXT(t->result, "{\"items\":2,\"total_amount\":1029.98}");
	check_message(t, VERDICT_DONE, "Order validated");
}

static void money_adds_up_to_the_cent(void)
{
	check_order(ORDER("a@b.co", ITEM("PROD-001", "1", "0.1") "," ITEM("PROD-001", "1", "0.2"),
			    "0.30000000000000004"),
		VERDICT_DONE, "Order validated");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "3", "33.33"), "99.99"), VERDICT_DONE,
		"Order validated");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "3", "33.33"), "100"), VERDICT_FAIL,
		"total_amount is 100.00, but the items add up to 99.99");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "3", "33.33"), "99.98"), VERDICT_FAIL,
		"total_amount is 99.98, but the items add up to 99.99");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "3", "33.33"), "-0.05"), VERDICT_FAIL,
		"total_amount is -0.05, but the items add up to 99.99");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "1000000", "9999999.99"), "9999999990000"),
		VERDICT_DONE, "Order validated");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "1", "0.005"), "0.01"), VERDICT_FAIL,
		"item 1: price must be an amount with at most two decimals");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "1", "1"), "1.001"), VERDICT_FAIL,
		"total_amount must be an amount with at most two decimals");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "1000000", "9999999999999"), "1"),
		VERDICT_FAIL, "item 1 makes the total too large");
}

static void many_items_add_up(void)
{
	_cleanup_(buf_fini) struct buf order = {0};

	buf_text(&order, "{\"customer_email\":\"a@b.co\",\"items\":[");
	for (int i = 0; i < 500; i++)
		buf_fmt(&order, "%s" ITEM("PROD-002", "7", "29.99"), i ? "," : "");
	buf_text(&order, "],\"total_amount\":104965}");
	check_order(order.data, VERDICT_DONE, "Order validated");
}

static void everything_wrong_is_said_at_once(void)
{
	check_order(ORDER("ann", ITEM("PROD-009", "0", "1") "," ITEM("PROD-001", "1.5", "-1"), "1"),
		VERDICT_FAIL,
		"customer_email 'ann' has no @; unknown product PROD-009; "
		"item 1: quantity must be a whole number above 0; "
		"item 2: quantity must be a whole number above 0; item 2: price must be above 0");
	check_order("{}", VERDICT_FAIL,
		"customer_email is missing; the order has no items; total_amount is missing");
	check_order("{\"customer_email\":\"a@b.co\",\"items\":[1,2,3,4,5,6,7],\"total_amount\":1}",
		VERDICT_FAIL,
		"item 1 is no object; item 2 is no object; item 3 is no object; "
		"item 4 is no object; item 5 is no object; and 2 more");
	check_order(ORDER("a@b.co", ITEM("PROD-001", "\"2\"", "\"1\""), "2"), VERDICT_FAIL,
		"item 1: quantity must be a whole number above 0; item 1: price must be above 0");
}

static void any_product_goes_without_a_catalog(void)
{
	struct stage_fixture fx;
	struct task *t;

	REQUIRE(stage_fixture_init(&fx, "STAGELINE_TEST_STAGES", "validation", NULL, NULL, NULL) ==
		0);
	t = stage_task(&fx, 1, ORDER("a@b.co", ITEM("anything", "1", "1"), "1"));
	instance_run(fx.instance, t);
	check_message(t, VERDICT_DONE, "Order validated");
	stage_fixture_fini(&fx);
}

static void an_address_has_the_shape_of_one(void)
{
	static const char *const good[] = {"a@b.co", "first.last+tag@sub.example.com",
		"o'brien@example.org", "\xc3\xbc@b\xc3\xbc.de", "x_1%y@1a.museum"};
	static const char *const bad[] = {"a", "a@", "@b.co", "a@b", "a@@b.co", "a@b@c.de",
		".a@b.co", "a.@b.co", "a..b@c.de", "a b@c.de", "a@b..co", "a@-b.co", "a@b-.co",
		"a@b.co.", "a@b.123", "a@b c.de", "a@b_c.de", "<a@b.co>", "a@b.co,c@d.ef",
		"0123456789012345678901234567890123456789012345678901234567890123456789@b.co"};
	char order[512];

	for (size_t i = 0; i < ARRAY_LEN(good) + ARRAY_LEN(bad); i++) {
		bool is_good = i < ARRAY_LEN(good);
		const char *email = is_good ? good[i] : bad[i - ARRAY_LEN(good)];
		struct task *t;

		snprintf(order, sizeof order, ORDER("%s", ITEM("PROD-001", "1", "1"), "1"), email);
		t = call("validation", NULL, 1, 1, order, NULL);
		if ((t->verdict == VERDICT_DONE) != is_good)
			CHECK_TEXT(email, is_good ? "accepted" : "refused");
		task_free(t);
	}
}

static void payment_captures_and_refunds_once(void)
{
	struct task *t = call("payment", NULL, 1, 1, GOOD, NULL);
	struct task *again = call("payment", NULL, 1, 2, GOOD, NULL);
	_cleanup_(buf_fini) struct buf results = {0};

	REQUIRE(t->n_effects == 1 && t->result && again->result);
	CHECK_TEXT(again->result, t->result);
	CHECK(strncmp(t->result, "{\"transaction_id\":\"TXN-", 23) == 0);
	CHECK(strstr(t->result, ",\"amount\":1029.98}") != NULL);
	CHECK(str_is(t->effects[0].key, "payments/captured") && t->effects[0].delta == 102998);
	buf_fmt(&results, "{\"payment\":%s}", t->result);
	check_message(t, VERDICT_DONE, "Payment captured");
	task_free(again);

	t = call("payment", NULL, 1, 1, GOOD, results.data);
	REQUIRE(t->n_effects == 1 && t->result);
	CHECK(str_is(t->effects[0].key, "payments/refunded") && t->effects[0].delta == 102998);
	CHECK(strncmp(t->result, "{\"refund_id\":\"RFD-", 18) == 0);
	check_message(t, VERDICT_DONE, "Refunded 1029.98");

	t = call("payment", NULL, 1, 1, GOOD, "{}");
	CHECK_INT(t->n_effects, 0);
	check_message(t, VERDICT_DONE, "Nothing was captured");
}

static void payment_says_no_or_does_not_answer(void)
{
	check_message(call("payment", "{decline_rate: 1}", 1, 1, GOOD, NULL), VERDICT_FAIL,
		"Payment declined");
	check_message(call("payment", "{failure_rate: 1}", 1, 1, GOOD, NULL), VERDICT_RETRY,
		"the bank did not answer");
	check_message(call("payment", NULL, 1, 1, "{\"total_amount\":\"1\"}", NULL), VERDICT_FAIL,
		"total_amount is no amount of money");
	check_message(call("payment", "{decline_rate: 1}", 1, 1, GOOD, "{}"), VERDICT_DONE,
		"Nothing was captured");
}

static void inventory_takes_the_sum_per_product_and_puts_it_back(void)
{
	struct task *t = call("inventory", NULL, 1, 1,
		ORDER("a@b.co",
			ITEM("PROD-004", "1", "1") "," ITEM("PROD-001", "2", "1") "," ITEM(
				"PROD-004", "3", "1"),
			"6"),
		NULL);
	_cleanup_(buf_fini) struct buf results = {0};

	REQUIRE(t->n_effects == 2 && t->result);
	CHECK_TEXT(t->result, "{\"reserved\":{\"PROD-004\":4,\"PROD-001\":2}}");
	CHECK(str_is(t->effects[0].key, "stock/PROD-004"));
	CHECK(t->effects[0].delta == -4 && t->effects[0].floor == 0);
	CHECK_TEXT(t->shortage, "Insufficient inventory");
	buf_fmt(&results, "{\"inventory\":%s}", t->result);
	check_message(t, VERDICT_DONE, "Inventory reserved");

	t = call("inventory", NULL, 1, 1, GOOD, results.data);
	REQUIRE(t->n_effects == 2);
	CHECK(t->effects[0].delta == 4 && t->effects[1].delta == 2);
	CHECK(t->effects[0].floor == EFFECT_NO_FLOOR);
	check_message(t, VERDICT_DONE, "Inventory released");
	t = call("inventory", NULL, 1, 1, GOOD, "{}");
	CHECK_INT(t->n_effects, 0);
	check_message(t, VERDICT_DONE, "Nothing was reserved");
	check_message(call("inventory", NULL, 1, 1, "{\"items\":[{}]}", NULL), VERDICT_FAIL,
		"an item has no product_id or no quantity");
}

static void shipping_gives_the_same_tracking_number_again(void)
{
	struct task *a = call("shipping", NULL, 1, 1, GOOD, NULL);
	struct task *b = call("shipping", NULL, 1, 2, GOOD, NULL);
	struct task *c = call("shipping", NULL, 2, 1, GOOD, NULL);

	CHECK(strncmp(a->result, "{\"tracking_number\":\"TRK-", 24) == 0);
	CHECK(strstr(a->result, "\"carrier\":\"") != NULL);
	CHECK_TEXT(b->result, a->result);
	CHECK(strcmp(c->result, a->result) != 0);
	check_message(a, VERDICT_DONE, "Shipment created");
	check_message(call("shipping", NULL, 1, 1, GOOD, "{}"), VERDICT_DONE, "Shipment cancelled");
	task_free(b);
	task_free(c);
}

static void latency_is_a_later_within_its_range(void)
{
	for (uint32_t i = 0; i < 50; i++) {
		struct task *t = call("shipping", "{latency: 200ms..300ms}", i, 1, GOOD, NULL);

		CHECK_INT(t->verdict, VERDICT_LATER);
		CHECK(t->delay_ms >= 200 && t->delay_ms <= 300);
		task_free(t);
	}
}

/* The orders of 200 that are declined, as a row of digits. */
static void decline_pattern(const char *config, char out[201], int *n_declined)
{
	*n_declined = 0;
	for (uint32_t i = 0; i < 200; i++) {
		struct task *t = call("payment", config, i, 1, GOOD, NULL);

		out[i] = t->verdict == VERDICT_FAIL ? '1' : '0';
		*n_declined += t->verdict == VERDICT_FAIL;
		task_free(t);
	}
	out[200] = '\0';
}

static void the_seed_decides_and_nothing_else(void)
{
	char one[201], same[201], other[201];
	int n;

	decline_pattern("{decline_rate: 0.5, seed: 7}", one, &n);
	CHECK(n > 60 && n < 140);
	decline_pattern("{decline_rate: 0.5, seed: 7}", same, &n);
	CHECK_TEXT(same, one);
	decline_pattern("{decline_rate: 0.5, seed: 8}", other, &n);
	CHECK(strcmp(other, one) != 0);
}

UNIT_MAIN("stages", TEST(a_good_order_is_validated), TEST(money_adds_up_to_the_cent),
	TEST(many_items_add_up), TEST(everything_wrong_is_said_at_once),
	TEST(any_product_goes_without_a_catalog), TEST(an_address_has_the_shape_of_one),
	TEST(payment_captures_and_refunds_once), TEST(payment_says_no_or_does_not_answer),
	TEST(inventory_takes_the_sum_per_product_and_puts_it_back),
	TEST(shipping_gives_the_same_tracking_number_again),
	TEST(latency_is_a_later_within_its_range), TEST(the_seed_decides_and_nothing_else))
