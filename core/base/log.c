/* The log sink: time, level and text in one write(2), so that lines of threads never mix. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { LINE_MAX_BYTES = 1024 };

static const char *const names[] = {"error", "warn", "info", "debug"};
static atomic_int max_level = LOG_INFO;
static void (*_Atomic other_sink)(enum log_level level, const char *text);

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&max_level, level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&max_level, memory_order_relaxed);
}

void log_set_sink(void (*sink)(enum log_level level, const char *text))
{
	atomic_store(&other_sink, sink);
}

int log_parse_level(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

/* Text from outside may stand in a line; a control character in it must not make a second one. */
static void defuse(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			s[i] = '?';
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES], when[CLOCK_TEXT_SIZE];
	va_list ap;
	int n, m;

	if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed))
		return;
	clock_text(clock_wall_us(), when);
	n = snprintf(line, sizeof line, "%s %-5s ", when, names[level]);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m > (int)sizeof line - n - 2)
		m = (int)sizeof line - n - 2;
	defuse(line + n, m > 0 ? (size_t)m : 0);
	if (atomic_load_explicit(&other_sink, memory_order_relaxed)) {
		atomic_load (&other_sink)(level, line + n);
		return;
	}
	n += m > 0 ? m : 0;
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nowhere left to say so */
}
