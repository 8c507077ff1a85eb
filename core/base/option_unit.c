/* Values with units: durations, sizes and ranges of durations, from text and back. */
#include "base/option.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first. */
static const struct unit durations[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};
static const struct unit sizes[] = {
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {NULL, 0}};

static bool is_digit(struct str s, size_t i)
{
	return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

/* "1.5" before its unit: value = digits / scale. Returns where the unit starts, 0: not a number. */
static size_t parse_decimal(struct str text, int64_t *ret_digits, int64_t *ret_scale)
{
	int64_t digits = 0, scale = 1;
	bool in_fraction = false;
	size_t i = 0;

	if (!is_digit(text, 0))
		return 0;
	for (; is_digit(text, i) || (i < text.n && text.p[i] == '.'); i++) {
		if (text.p[i] == '.') {
			if (in_fraction || !is_digit(text, i + 1))
				return 0;
			in_fraction = true;
			continue;
		}
		if (__builtin_mul_overflow(digits, 10, &digits) ||
			__builtin_add_overflow(digits, text.p[i] - '0', &digits))
			return 0;
		if (in_fraction && __builtin_mul_overflow(scale, 10, &scale))
			return 0;
	}
	*ret_digits = digits;
	*ret_scale = scale;
	return i;
}

static int parse(struct str text, const struct unit *units, int64_t *ret)
{
	int64_t digits, scale, value;
	size_t end = parse_decimal(text, &digits, &scale);
	struct str name;

	if (!end)
		return -EINVAL;
	name = (struct str){text.p + end, text.n - end};
	while (units->name && !str_is(name, units->name))
		units++;
	if (!units->name || __builtin_mul_overflow(digits, units->factor, &value) || value % scale)
		return -EINVAL;
	*ret = value / scale;
	return 0;
}

int option_parse_duration(struct str text, int64_t *ret_ms)
{
	return parse(text, durations, ret_ms);
}

int option_parse_size(struct str text, int64_t *ret_bytes)
{
	return parse(text, sizes, ret_bytes);
}

int option_parse_range(struct str text, struct sl_range *ret_ms)
{
	const char *dots = text.n ? memmem(text.p, text.n, "..", 2) : NULL;
	struct sl_range range;
	size_t at;

	if (!dots) {
		if (parse(text, durations, &range.low) < 0)
			return -EINVAL;
		ret_ms->low = ret_ms->high = range.low;
		return 0;
	}
	at = (size_t)(dots - text.p);
	if (parse((struct str){text.p, at}, durations, &range.low) < 0 ||
		parse((struct str){dots + 2, text.n - at - 2}, durations, &range.high) < 0 ||
		range.low > range.high)
		return -EINVAL;
	*ret_ms = range;
	return 0;
}

static void unit_text(int64_t value, const struct unit *units, char out[OPTION_UNIT_TEXT_SIZE])
{
	while (units[1].name && (value == 0 || value % units->factor))
		units++;
	snprintf(out, OPTION_UNIT_TEXT_SIZE, "%lld%s", (long long)(value / units->factor),
		units->name);
}

void option_duration_text(int64_t ms, char out[OPTION_UNIT_TEXT_SIZE])
{
	unit_text(ms, durations, out);
}

void option_size_text(int64_t bytes, char out[OPTION_UNIT_TEXT_SIZE])
{
	unit_text(bytes, sizes, out);
}
