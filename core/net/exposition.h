/* Writes metrics in Prometheus' text format 0.0.4: families with their help and type, then their samples.
 *
 * Sources of the rules: the exposition format of Prometheus, and its naming conventions (base units, `_total`). */
#pragma once

#include "base/buf.h"
#include "base/histogram.h"

struct exposition {
	struct buf *out;
	const char *family; /* that was begun last */
};

/* Begins a family. `type`: "counter", "gauge" or "histogram". Strings outlive the family. */
void exposition_begin(struct exposition *x, const char *name, const char *type, const char *help);

struct label {
	const char *name, *value;
};

/* One sample of it; `labels` ends in a NULL name, or is NULL. */
void exposition_int(struct exposition *x, const struct label *labels, int64_t value);
void exposition_double(struct exposition *x, const struct label *labels, double value);
/* Bounds below `from` are left out, values are divided by `unit` (1e6: microseconds become seconds). */
void exposition_histogram(struct exposition *x, const struct label *labels,
	const struct histogram *h, int64_t from, double unit);
