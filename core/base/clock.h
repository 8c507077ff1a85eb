/* Time. Wall time is microseconds since 1970 UTC and is only shown and stored; monotonic time is
 * milliseconds and is what durations and timers use. */
#pragma once

#include <stdint.h>

#include "base/str.h"

enum { CLOCK_TEXT_SIZE = 28 }; /* "2026-01-31T10:00:00.123456Z" and a NUL */

int64_t clock_wall_us(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);

/* Where time comes from instead of the system. */
struct clock_source {
	int64_t (*wall_us)(void), (*mono_us)(void);
};
/* For tests. NULL: the system's clocks again. Borrows. Any thread. */
void clock_set_source(const struct clock_source *source);

/* RFC 3339, UTC, six digits of fraction. `wall_us` from year 0000 to 9999. */
void clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE]);
/* The reverse, accepting 0 to 6 digits of fraction and "Z" only; -EINVAL for all else. */
int clock_parse(struct str text, int64_t *ret_wall_us);
/* As clock_parse(), and with an offset such as +02:00 in place of "Z". */
int clock_parse_offset(struct str text, int64_t *ret_wall_us);
