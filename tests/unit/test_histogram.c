/* Histograms: where a value is counted, and what quantiles say. */
#include "base/histogram.h"
#include "unit.h"

static struct histogram_counts counts_of(struct histogram *h)
{
	struct histogram_counts c;

	histogram_read(h, &c);
	return c;
}

static void a_value_is_counted_below_the_first_bound_that_is_not_below_it(void)
{
	for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
		struct histogram h = {0};
		unsigned first = i;

		while (first && histogram_bound(first - 1) == histogram_bound(i))
			first--;
		histogram_add(&h, histogram_bound(i));
		CHECK_INT(counts_of(&h).counts[first], 1);
		histogram_add(&h, histogram_bound(i) + 1);
		CHECK_INT(counts_of(&h).counts[first], 1);
		CHECK_INT(counts_of(&h).n, 2);
	}
}

static void bounds_never_fall(void)
{
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++)
		CHECK(histogram_bound(i) >= histogram_bound(i - 1));
	CHECK_INT(histogram_bound(0), 1);
	CHECK_INT(histogram_bound(HISTOGRAM_BOUNDS - 1), 70000000);
	CHECK_INT(histogram_bound(HISTOGRAM_BOUNDS), INT64_MAX);
}

static void what_is_too_long_or_negative_is_counted_too(void)
{
	struct histogram h = {0};

	histogram_add(&h, -5);
	histogram_add(&h, INT64_C(1) << 40);
	CHECK_INT(counts_of(&h).counts[0], 1);
	CHECK_INT(counts_of(&h).counts[HISTOGRAM_BOUNDS], 1);
	CHECK_INT(counts_of(&h).sum, INT64_C(1) << 40);
	CHECK_INT((int64_t)histogram_quantile(&(struct histogram_counts){0}, 0.5), 0);
}

static void a_quantile_is_off_by_half_of_itself_at_most(void)
{
	static const double shares[] = {0.01, 0.1, 0.5, 0.9, 0.99};
	struct histogram h = {0};
	struct histogram_counts c;

	for (int i = 1; i <= 100000; i++)
		histogram_add(&h, i);
	c = counts_of(&h);
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
		double exact = shares[i] * 100000, got = histogram_quantile(&c, shares[i]);

		CHECK(got > exact * 0.5 && got < exact * 1.5);
	}
}

static void between_two_readings_is_what_came(void)
{
	struct histogram h = {0};
	struct histogram_counts before, after, came;

	histogram_add(&h, 10);
	before = counts_of(&h);
	histogram_add(&h, 1000);
	histogram_add(&h, 1000);
	after = counts_of(&h);
	histogram_between(&before, &after, &came);
	CHECK_INT(came.n, 2);
	CHECK_INT(came.sum, 2000);
	CHECK(histogram_quantile(&came, 0.5) > 700);
}

UNIT_MAIN("histogram", TEST(a_value_is_counted_below_the_first_bound_that_is_not_below_it),
	TEST(bounds_never_fall), TEST(what_is_too_long_or_negative_is_counted_too),
	TEST(a_quantile_is_off_by_half_of_itself_at_most), TEST(between_two_readings_is_what_came))
