/* Times in µs, and what is said of many of them. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline int readings_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Prints `"NAME":{"n":…,"p50_ms":…,"p99_ms":…,"max_ms":…}`. Sorts them. */
static inline void readings_print(const char *name, int64_t *us, size_t n)
{
	qsort(us, n, sizeof *us, readings_compare);
	printf("\"%s\":{\"n\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}", name, n,
		n ? (double)us[n / 2] / 1e3 : 0, n ? (double)us[n * 99 / 100] / 1e3 : 0,
		n ? (double)us[n - 1] / 1e3 : 0);
}
