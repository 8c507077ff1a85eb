/* The log: one line per event worth waking for, to stderr, keys not prose. Any thread. */
#pragma once

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* -EINVAL for a name that is not error, warn, info or debug. */
int log_parse_level(const char *name, enum log_level *ret);
/* Where lines go instead of stderr, without time and level; NULL: stderr again. Any thread may call it. */
void log_set_sink(void (*sink)(enum log_level level, const char *text));
enum log_level log_get_level(void);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
