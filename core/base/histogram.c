/* Histograms: from a value to its bucket, and from buckets to quantiles. */
#include "base/histogram.h"

#define DECADE(n) 1 * n, 3 * n / 2, 2 * n, 3 * n, 5 * n, 7 * n

/* 1.5 in whole numbers is 1: the second bucket of the first decade stays empty. */
static const int32_t bounds[HISTOGRAM_BOUNDS] = {DECADE(1), DECADE(10), DECADE(100), DECADE(1000),
	DECADE(10000), DECADE(100000), DECADE(1000000), DECADE(10000000)};

int64_t histogram_bound(unsigned i)
{
	return i < HISTOGRAM_BOUNDS ? bounds[i] : INT64_MAX;
}

/* The first bucket whose bound is not below the value. */
static unsigned bucket_of(int64_t value)
{
	unsigned low = 0, high = HISTOGRAM_BOUNDS;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (bounds[middle] < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* With one writer an addition needs no lock of the bus. */
static void add(atomic_llong *to, long long n)
{
	atomic_store_explicit(
		to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

void histogram_add(struct histogram *h, int64_t value)
{
	if (value < 0)
		value = 0;
	add(&h->counts[bucket_of(value)], 1);
	add(&h->sum, value);
}

void histogram_read(const struct histogram *h, struct histogram_counts *ret)
{
	ret->n = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		ret->counts[i] = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
		ret->n += ret->counts[i];
	}
	ret->sum = atomic_load_explicit(&h->sum, memory_order_relaxed);
}

void histogram_between(const struct histogram_counts *from, const struct histogram_counts *to,
	struct histogram_counts *ret)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		ret->counts[i] = to->counts[i] - from->counts[i];
	ret->sum = to->sum - from->sum;
	ret->n = to->n - from->n;
}

double histogram_quantile(const struct histogram_counts *c, double share)
{
	double rank = share * (double)c->n, below = 0;

	if (!c->n)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
		double in = (double)c->counts[i], from = i ? bounds[i - 1] : 0;

		if (in > 0 && below + in >= rank)
			return from + (bounds[i] - from) * (rank - below) / in;
		below += in;
	}
	return bounds[HISTOGRAM_BOUNDS - 1];
}
