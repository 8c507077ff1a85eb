/* Saying why a stage cannot start: its create() fails with the number and the line. */
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include "stageline/stage.h"

__attribute__((format(printf, 3, 4))) static inline int refuse(
	const struct sl_host *host, int r, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	host->log(host, 0, text);
	return r;
}
