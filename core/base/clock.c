/* Time: reading the clocks, and RFC 3339 text from microseconds and back. */
#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static _Atomic(const struct clock_source *) other_source;

static int64_t read_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static const struct clock_source *source(void)
{
	return atomic_load_explicit(&other_source, memory_order_relaxed);
}

int64_t clock_wall_us(void)
{
	return source() ? source()->wall_us() : read_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
	return source() ? source()->mono_us() : read_us(CLOCK_MONOTONIC);
}

int64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

void clock_set_source(const struct clock_source *new_source)
{
	atomic_store_explicit(&other_source, new_source, memory_order_relaxed);
}

static void put_digits(char *p, int n, int64_t v)
{
	while (n-- > 0) {
		p[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

static void second_text(int64_t s, char out[CLOCK_TEXT_SIZE])
{
	time_t t = (time_t)s;
	struct tm tm;

	gmtime_r(&t, &tm);
	memcpy(out, "0000-00-00T00:00:00.000000Z", CLOCK_TEXT_SIZE);
	put_digits(out, 4, tm.tm_year + 1900);
	put_digits(out + 5, 2, tm.tm_mon + 1);
	put_digits(out + 8, 2, tm.tm_mday);
	put_digits(out + 11, 2, tm.tm_hour);
	put_digits(out + 14, 2, tm.tm_min);
	put_digits(out + 17, 2, tm.tm_sec);
}

/* Most times are of the second that the last one was of. */
void clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
	static _Thread_local char text[CLOCK_TEXT_SIZE];
	static _Thread_local int64_t of = INT64_MIN;
	int64_t s = wall_us / 1000000, us = wall_us % 1000000;

	if (us < 0) {
		us += 1000000;
		s--;
	}
	if (s != of) {
		second_text(s, text);
		of = s;
	}
	memcpy(out, text, CLOCK_TEXT_SIZE);
	put_digits(out + 20, 6, us);
}

static int take_digits(struct str *s, int n, int *ret)
{
	int v = 0;

	if (s->n < (size_t)n)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return -EINVAL;
		v = v * 10 + (s->p[i] - '0');
	}
	s->p += n;
	s->n -= (size_t)n;
	*ret = v;
	return 0;
}

static int take_char(struct str *s, char c)
{
	if (!s->n || s->p[0] != c)
		return -EINVAL;
	s->p++;
	s->n--;
	return 0;
}

static int take_fraction(struct str *s, int64_t *ret_us)
{
	int64_t us = 0, unit = 100000;

	*ret_us = 0;
	if (take_char(s, '.') < 0)
		return 0;
	if (!s->n || s->p[0] < '0' || s->p[0] > '9')
		return -EINVAL;
	while (s->n && s->p[0] >= '0' && s->p[0] <= '9') {
		if (!unit)
			return -EINVAL;
		us += (s->p[0] - '0') * unit;
		unit /= 10;
		s->p++;
		s->n--;
	}
	*ret_us = us;
	return 0;
}

/* "Z", or ±hh:mm as seconds east of Greenwich. */
static int take_offset(struct str *s, int *ret_s)
{
	bool is_west = s->n && s->p[0] == '-';
	int hours, minutes;

	*ret_s = 0;
	if (take_char(s, 'Z') == 0)
		return 0;
	if (take_char(s, is_west ? '-' : '+') || take_digits(s, 2, &hours) || take_char(s, ':') ||
		take_digits(s, 2, &minutes) || hours > 23 || minutes > 59)
		return -EINVAL;
	*ret_s = (is_west ? -1 : 1) * (hours * 3600 + minutes * 60);
	return 0;
}

int clock_parse(struct str text, int64_t *ret_wall_us)
{
	bool is_utc = text.n && text.p[text.n - 1] == 'Z';

	return is_utc ? clock_parse_offset(text, ret_wall_us) : -EINVAL;
}

int clock_parse_offset(struct str text, int64_t *ret_wall_us)
{
	struct str s = text;
	struct tm tm = {0}, back;
	int year, month, east_s;
	int64_t us;
	time_t t;

	if (take_digits(&s, 4, &year) || take_char(&s, '-') || take_digits(&s, 2, &month) ||
		take_char(&s, '-') || take_digits(&s, 2, &tm.tm_mday) || take_char(&s, 'T') ||
		take_digits(&s, 2, &tm.tm_hour) || take_char(&s, ':') ||
		take_digits(&s, 2, &tm.tm_min) || take_char(&s, ':') ||
		take_digits(&s, 2, &tm.tm_sec) || take_fraction(&s, &us) ||
		take_offset(&s, &east_s) || s.n)
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	back = tm;
	t = timegm(&back);
	if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon || back.tm_hour != tm.tm_hour ||
		back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
		return -EINVAL;
	*ret_wall_us = ((int64_t)t - east_s) * 1000000 + us;
	return 0;
}
