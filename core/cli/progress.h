/* How far a long work is, on stderr: a bar at a terminal, else a line per tenth. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct progress {
	const char *label; /* borrowed */
	int last_tenth;
	bool is_open; /* a bar stands on the line */
};

void progress_show(struct progress *p, size_t done, size_t total);
/* Ends the line, so that words can follow. */
void progress_end(struct progress *p);
