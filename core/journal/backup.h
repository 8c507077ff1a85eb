/* A copy of a journal's file, of one moment, also while a daemon writes it. */
#pragma once

#include "base/err.h"
#include "journal/watch.h"

/* Makes the new file `to`, alone: no log beside it. The watch is told of pages. -EEXIST: something has that name. */
int journal_backup(
	const char *path, const char *to, const struct journal_watch *watch, struct err *e);
