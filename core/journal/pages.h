/* Rows of `events` read from the pages of a damaged file, without SQLite: it gives up at the first page that is torn,
 * and what hangs below it. Here each page stands alone: whatever leaf page of a table holds records with the columns
 * of `events` gives its rows, from the file and from its write-ahead log. Which of them are true is not known here.
 *
 * Format: https://www.sqlite.org/fileformat2.html (b-tree pages, record format, overflow pages, WAL format). */
#pragma once

#include "journal/chain_row.h"
#include "journal/watch.h"

struct page_visitor {
	/* `rank`: rows from later versions of a page have higher ones. Strings are borrowed during the call. */
	int (*on_row)(void *arg, const struct chain_row *row, int64_t rank, struct err *e);
	void *arg;
};

/* Progress is in pages. -EIO: the disk fails; damage is no error. */
int pages_scan(const char *path, const struct page_visitor *visitor,
	const struct journal_watch *watch, struct err *e);
