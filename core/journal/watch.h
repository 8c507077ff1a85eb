/* Who watches over long work on a journal: how far it is. Called every few thousand events, on the thread that
 * works. */
#pragma once

#include <stdint.h>

struct journal_watch {
	void (*on_progress)(void *arg, int64_t done, int64_t total);
	void *arg;
};

enum { WATCH_EVERY = 4096 };

/* `watch` may be NULL. */
static inline void journal_watch_tell(
	const struct journal_watch *watch, int64_t done, int64_t total)
{
	if (watch && watch->on_progress)
		watch->on_progress(watch->arg, done, total);
}

static inline void journal_watch_tick(
	const struct journal_watch *watch, int64_t done, int64_t total)
{
	if (done % WATCH_EVERY == 0)
		journal_watch_tell(watch, done, total);
}
