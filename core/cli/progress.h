/* How far a long work is, on stderr: a bar with rate and remaining time at a terminal; else a line per tenth, for
 * people or as JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
	const char *label; /* borrowed */
	const char *unit;  /* "events"; may be NULL; borrowed */
	bool is_json;
	int64_t start_ms, shown_ms; /* monotonic; 0: not yet */
	int last_tenth;
	bool is_open; /* a bar stands on the line */
};

void progress_show(struct progress *p, size_t done, size_t total);
/* The same, as what watches over a journal's work: `progress` is a struct progress. */
void progress_on_journal(void *progress, int64_t done, int64_t total);
/* Takes the bar away for some lines; it comes back with the next progress. */
void progress_hide(struct progress *p);
/* Ends the line, so that words can follow. */
void progress_end(struct progress *p);
