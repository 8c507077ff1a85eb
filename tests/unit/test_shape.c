/* The shape of an order: what is refused where, and the canonical form of what is taken. */
#include "net/shape.h"
#include "unit.h"

static const char good[] =
	"{\"total_amount\": 20.5, \"items\": [{\"price\": 10.25, \"quantity\": 2, \"name\": "
	"\"Cup\","
	" \"product_id\": \"P-1\", \"colour\": \"red\"}], \"customer_email\": \"a@example.com\","
	" \"note\": {\"gift\": true}}";

static int shape(const char *text, struct buf *canonical, struct buf *errors)
{
	return shape_order(str_of(text), 16, canonical, NULL, errors, NULL);
}

static void the_canonical_form_has_fixed_order_and_two_decimals(void)
{
	_cleanup_(buf_fini) struct buf canonical = {0}, errors = {0};

	CHECK_INT(shape(good, &canonical, &errors), 0);
	CHECK_TEXT(canonical.data,
		"{\"customer_email\":\"a@example.com\",\"items\":[{\"product_id\":\"P-1\",\"name\":"
		"\"Cup\","
		"\"quantity\":2,\"price\":10.25,\"colour\":\"red\"}],\"total_amount\":20.50,"
		"\"note\":{\"gift\":true}}");
}

static void the_canonical_form_is_a_fixed_point(void)
{
	_cleanup_(buf_fini) struct buf first = {0}, second = {0}, errors = {0};

	REQUIRE(shape(good, &first, &errors) == 0);
	REQUIRE(shape(first.data, &second, &errors) == 0);
	CHECK_TEXT(second.data, first.data);
}

static void every_fault_is_named_by_its_pointer(void)
{
	static const struct {
		const char *text, *pointers[4];
	} cases[] = {
		{"{}", {"\"/customer_email\"", "\"/items\"", "\"/total_amount\""}},
		{"{\"customer_email\":\"\",\"items\":[{},7],\"total_amount\":0.001}",
			{"\"/customer_email\"", "\"/items/0/quantity\"", "\"/items/1\"",
				"\"/total_amount\""}},
		{"{\"customer_email\":\"a@b\",\"items\":[],\"total_amount\":1,\"id\":\"x\"}",
			{"\"/id\""}},
		{"{\"customer_email\":\"a@b\",\"items\":[],\"total_amount\":1,\"total_amount\":2}",
			{"\"/total_amount\""}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_(buf_fini) struct buf canonical = {0}, errors = {0};

		CHECK_INT(shape(cases[i].text, &canonical, &errors), -EDOM);
		for (size_t k = 0; k < 4 && cases[i].pointers[k]; k++)
			CHECK(errors.data && strstr(errors.data, cases[i].pointers[k]) != NULL);
	}
}

static void pointers_escape_names_and_stay_utf_8(void)
{
	_cleanup_(buf_fini) struct buf text = {0}, canonical = {0}, errors = {0};

	buf_text(&text, "{\"customer_email\":\"a@b\",\"items\":[],\"total_amount\":1,\"a/"
			"b~c\":1,\"a/b~c\":2");
	for (int i = 0; i < 2; i++) {
		buf_text(&text, ",\"x");
		for (int k = 0; k < 60; k++)
			buf_text(&text, "\u00e9");
		buf_text(&text, "\":1");
	}
	buf_text(&text, "}");
	CHECK_INT(shape(text.data, &canonical, &errors), -EDOM);
	CHECK(strstr(errors.data, "\"/a~1b~0c\"") != NULL);
	CHECK(utf8_valid(buf_view(&errors)));
}

static void what_is_no_order_at_all_is_not_json(void)
{
	static const char *const bad[] = {
		"", "[]", "7", "{", "{\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		_cleanup_(buf_fini) struct buf canonical = {0}, errors = {0};

		CHECK_INT(shape(bad[i], &canonical, &errors), -EINVAL);
	}
}

UNIT_MAIN("shape", TEST(the_canonical_form_has_fixed_order_and_two_decimals),
	TEST(the_canonical_form_is_a_fixed_point), TEST(every_fault_is_named_by_its_pointer),
	TEST(pointers_escape_names_and_stay_utf_8), TEST(what_is_no_order_at_all_is_not_json))
