/* Prometheus' text format: labels are escaped, numbers written so that they read back the same. */
#include "net/exposition.h"

#include <stdio.h>

void exposition_begin(struct exposition *x, const char *name, const char *type, const char *help)
{
	x->family = name;
	buf_fmt(x->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_value(struct buf *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n') {
			buf_text(out, "\\n");
			continue;
		}
		if (*value == '\\' || *value == '"')
			buf_char(out, '\\');
		buf_char(out, *value);
	}
}

static void add_label(struct buf *out, const char *name, const char *value, bool *is_open)
{
	buf_char(out, *is_open ? ',' : '{');
	*is_open = true;
	buf_text(out, name);
	buf_text(out, "=\"");
	add_value(out, value);
	buf_char(out, '"');
}

/* "FAMILYSUFFIX{labels,le="bound"} ": all of a sample but its value. */
static void add_series(
	struct exposition *x, const char *suffix, const struct label *labels, const char *bound)
{
	bool is_open = false;

	buf_text(x->out, x->family);
	buf_text(x->out, suffix);
	for (; labels && labels->name; labels++)
		add_label(x->out, labels->name, labels->value, &is_open);
	if (bound)
		add_label(x->out, "le", bound, &is_open);
	buf_text(x->out, is_open ? "} " : " ");
}

static void add_int(struct buf *out, int64_t value)
{
	buf_int(out, value);
	buf_char(out, '\n');
}

void exposition_int(struct exposition *x, const struct label *labels, int64_t value)
{
	add_series(x, "", labels, NULL);
	add_int(x->out, value);
}

void exposition_double(struct exposition *x, const struct label *labels, double value)
{
	add_series(x, "", labels, NULL);
	buf_fmt(x->out, "%.9g\n", value);
}

void exposition_histogram(struct exposition *x, const struct label *labels,
	const struct histogram *h, int64_t from, double unit)
{
	struct histogram_counts c;
	int64_t sum = 0;
	char bound[32];

	histogram_read(h, &c);
	for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
		sum += c.counts[i];
		if (histogram_bound(i) < from)
			continue;
		snprintf(bound, sizeof bound, "%.9g", (double)histogram_bound(i) / unit);
		add_series(x, "_bucket", labels, bound);
		add_int(x->out, sum);
	}
	add_series(x, "_bucket", labels, "+Inf");
	add_int(x->out, c.n);
	add_series(x, "_sum", labels, NULL);
	buf_fmt(x->out, "%.9g\n", (double)c.sum / unit);
	add_series(x, "_count", labels, NULL);
	add_int(x->out, c.n);
}
