/* Crash points: dies at the one that the environment names. */
#include "base/crash_point.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *wanted; /* NULL: none */
static size_t wanted_length;
static atomic_long countdown;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
	const char *at = getenv("STAGELINE_CRASH_AT");
	const char *colon = at ? strchr(at, ':') : NULL;

	if (!colon)
		return;
	countdown = strtol(colon + 1, NULL, 10);
	wanted_length = (size_t)(colon - at);
	wanted = at;
}

void crash_point(const char *name)
{
	pthread_once(&once, read_environment);
	if (!wanted || strlen(name) != wanted_length || strncmp(name, wanted, wanted_length) != 0)
		return;
	if (atomic_fetch_sub(&countdown, 1) == 1)
		kill(getpid(), SIGKILL);
}
