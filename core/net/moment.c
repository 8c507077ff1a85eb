/* Reading ?at=. */
#include "net/moment.h"

#include <stdlib.h>

#include "base/clock.h"

enum { DIGITS_MAX = 18 };

static bool is_number(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	return text.n > 0 && text.n <= DIGITS_MAX;
}

/* The "+" of an offset that was not escaped came as a blank. */
static int parse_time(struct str text, int64_t *ret_us)
{
	char copy[40];

	if (text.n < 6 || text.n >= sizeof copy)
		return -EINVAL;
	memcpy(copy, text.p, text.n);
	if (copy[text.n - 6] == ' ')
		copy[text.n - 6] = '+';
	return clock_parse_offset((struct str){copy, text.n}, ret_us);
}

bool moment_take(struct http_request *req, struct moment *ret)
{
	struct str text = http_query(req, "at");
	char digits[DIGITS_MAX + 1] = {0};

	*ret = (struct moment){.value = INT64_MAX};
	if (!text.p)
		return true;
	if (is_number(text)) {
		memcpy(digits, text.p, text.n);
		ret->value = strtoll(digits, NULL, 10);
		if (ret->value > 0)
			return true;
	} else if (parse_time(text, &ret->value) == 0) {
		ret->is_time = true;
		return true;
	}
	http_problem(req, 400,
		"'at' must be the seq of an event, from 1, or a time such as 2026-01-31T10:00:00Z");
	return false;
}
