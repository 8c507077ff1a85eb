/* The log in systemd's journal: each line with its priority, and the keys in it as fields. */
#include "base/log.h"
#include "base/mem.h"
#include "cli/systemd.h"
#include "version.h"

#if HAVE_LIBSYSTEMD

#include <ctype.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum { FIELD_SIZE = 128, MESSAGE_SIZE = 1100 };

/* Words `key=value` of a line that become fields. Text from outside stands behind them or in quotes, so the first one
 * counts. */
static const struct {
	const char *key, *field;
} fields[] = {
	{"order", "STAGELINE_ORDER"},
	{"order_seq", "STAGELINE_ORDER_SEQ"},
	{"stage", "STAGELINE_STAGE"},
	{"attempt", "STAGELINE_ATTEMPT"},
	{"generation", "STAGELINE_GENERATION"},
	{"pipeline", "STAGELINE_PIPELINE"},
	{"head", "STAGELINE_HEAD"},
};

/* The value of the word `key=` in `text`, up to a blank; empty: there is none. */
static struct str value_of(const char *text, const char *key)
{
	size_t n = strlen(key);
	bool is_quoted = false;

	for (const char *p = text; *p; p++) {
		if (*p == '"')
			is_quoted = !is_quoted;
		if (is_quoted || (p > text && p[-1] != ' ') || strncmp(p, key, n) != 0 ||
			p[n] != '=')
			continue;
		return (struct str){p + n + 1, strcspn(p + n + 1, " ")};
	}
	return (struct str){0};
}

static void on_line(enum log_level level, const char *text)
{
	static const int priorities[] = {3, 4, 6, 7}; /* of syslog */
	char message[MESSAGE_SIZE], priority[16], found[ARRAY_LEN(fields)][FIELD_SIZE];
	struct iovec parts[ARRAY_LEN(fields) + 3];
	int n = 0;

	parts[n++] = (struct iovec){
		message, (size_t)snprintf(message, sizeof message, "MESSAGE=%s", text)};
	parts[n++] = (struct iovec){priority,
		(size_t)snprintf(priority, sizeof priority, "PRIORITY=%d", priorities[level])};
	parts[n++] = (struct iovec){(char *)"SYSLOG_IDENTIFIER=stageline", 27};
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		struct str value = value_of(text, fields[i].key);
		int m = snprintf(found[i], FIELD_SIZE, "%s=%.*s", fields[i].field, (int)value.n,
			value.n ? value.p : "");

		if (value.n && m < FIELD_SIZE)
			parts[n++] = (struct iovec){found[i], (size_t)m};
	}
	sd_journal_sendv(parts, n);
}

/* As systemd says in $JOURNAL_STREAM: the device and inode of the pipe that is its journal. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	char *end;

	if (!stream || fstat(fd, &st) < 0)
		return false;
	device = strtoull(stream, &end, 10);
	if (*end != ':')
		return false;
	inode = strtoull(end + 1, &end, 10);
	return !*end && st.st_dev == device && st.st_ino == inode;
}

void systemd_log(void)
{
	if (is_journal(STDERR_FILENO))
		log_set_sink(on_line);
}

#else

void systemd_log(void)
{
}

#endif
