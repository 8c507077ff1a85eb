/* A histogram of times or sizes over a fixed ladder of bounds: 1, 1.5, 2, 3, 5, 7 and their multiples by ten, up to
 * 7×10^7 (in microseconds: 70 s). A quantile read from it is off by at most half of itself.
 *
 * One thread adds, any thread reads. A reader may see a value in the counts and not yet in the sum. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

enum {
	HISTOGRAM_BOUNDS = 48,
	HISTOGRAM_BUCKETS = HISTOGRAM_BOUNDS + 1, /* the last: above every bound */
};

struct histogram {
	atomic_llong counts[HISTOGRAM_BUCKETS], sum;
};

/* Upper bound of bucket `i`, inclusive; INT64_MAX for the last one. */
int64_t histogram_bound(unsigned i);

/* [the one that adds] Negative values count as 0. */
void histogram_add(struct histogram *h, int64_t value);

/* What was in it at one time. */
struct histogram_counts {
	int64_t counts[HISTOGRAM_BUCKETS], sum, n;
};
void histogram_read(const struct histogram *h, struct histogram_counts *ret);
/* What came between two readings of the same histogram. */
void histogram_between(const struct histogram_counts *from, const struct histogram_counts *to,
	struct histogram_counts *ret);
/* The value that `share` (0 to 1) of the values do not exceed, interpolated inside its bucket; 0 when there are
 * none, the highest bound when it lies above that. */
double histogram_quantile(const struct histogram_counts *c, double share);
