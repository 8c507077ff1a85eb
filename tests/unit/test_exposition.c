/* Prometheus' text format: escaping, and histograms. */
#include "net/exposition.h"
#include "unit.h"

static void labels_are_escaped(void)
{
	struct buf out = {0};
	struct exposition x = {.out = &out};

	exposition_begin(&x, "a_total", "counter", "What it is.");
	exposition_int(&x, (struct label[]){{"one", "a\"b\\c\nd"}, {"two", ""}, {0}}, -7);
	CHECK_TEXT(out.data, "# HELP a_total What it is.\n# TYPE a_total counter\n"
			     "a_total{one=\"a\\\"b\\\\c\\nd\",two=\"\"} -7\n");
	buf_fini(&out);
}

static void a_histogram_is_cumulative_and_ends_with_everything(void)
{
	struct buf out = {0};
	struct exposition x = {.out = &out};
	struct histogram h = {0};

	histogram_add(&h, 5);
	histogram_add(&h, 60000000);
	histogram_add(&h, 90000000);
	exposition_begin(&x, "a", "histogram", "What it is.");
	exposition_histogram(&x, (struct label[]){{"of", "b"}, {0}}, &h, 30000000, 1e6);
	CHECK_TEXT(out.data, "# HELP a What it is.\n# TYPE a histogram\n"
			     "a_bucket{of=\"b\",le=\"30\"} 1\na_bucket{of=\"b\",le=\"50\"} 1\n"
			     "a_bucket{of=\"b\",le=\"70\"} 2\na_bucket{of=\"b\",le=\"+Inf\"} 3\n"
			     "a_sum{of=\"b\"} 150.000005\na_count{of=\"b\"} 3\n");
	buf_fini(&out);
}

UNIT_MAIN("exposition", TEST(labels_are_escaped),
	TEST(a_histogram_is_cumulative_and_ends_with_everything))
