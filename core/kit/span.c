/* Lengths of time for people. */
#include "kit/span.h"

#include <stdio.h>

void span_text(int64_t ms, char out[SPAN_TEXT_SIZE])
{
	long long s = (long long)(ms / 1000);

	if (ms < 1000)
		snprintf(out, SPAN_TEXT_SIZE, "%lldms", (long long)ms);
	else if (s < 60)
		snprintf(out, SPAN_TEXT_SIZE, "%lld.%03llds", s, (long long)(ms % 1000));
	else if (s < 3600)
		snprintf(out, SPAN_TEXT_SIZE, "%lldm%02llds", s / 60, s % 60);
	else
		snprintf(out, SPAN_TEXT_SIZE, "%lldh%02lldm%02llds", s / 3600, s / 60 % 60, s % 60);
}
