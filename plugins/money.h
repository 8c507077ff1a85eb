/* Money from JSON, in minor units. Shared by the shipped stages; needs cJSON. */
#pragma once

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* True and the amount when the number has at most two decimals. What binary fractions add to one, like
 * 0.1 + 0.2, does not count as a third. */
static inline bool money_read(const cJSON *number, int64_t *ret_minor)
{
	double v, minor;

	if (!cJSON_IsNumber(number) || !(fabs(number->valuedouble) <= 1e13))
		return false;
	v = number->valuedouble * 100;
	minor = nearbyint(v);
	if (fabs(v - minor) > 1e-6 + fabs(v) * 1e-14)
		return false;
	*ret_minor = (int64_t)minor;
	return true;
}
