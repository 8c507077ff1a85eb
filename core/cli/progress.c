/* How far a long work is. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR = 30 };

static void show_bar(struct progress *p, size_t done, size_t total)
{
	size_t full = total ? done * BAR / total : BAR;

	fprintf(stderr, "\r%s [", p->label);
	for (size_t i = 0; i < BAR; i++)
		fputc(i < full ? '#' : '.', stderr);
	fprintf(stderr, "] %zu/%zu ", done, total);
	fflush(stderr);
	p->is_open = true;
}

void progress_show(struct progress *p, size_t done, size_t total)
{
	int tenth = total ? (int)(done * 10 / total) : 10;

	if (isatty(STDERR_FILENO)) {
		show_bar(p, done, total);
	} else if (tenth > p->last_tenth) {
		p->last_tenth = tenth;
		fprintf(stderr, "%s: %zu of %zu\n", p->label, done, total);
	}
}

void progress_end(struct progress *p)
{
	if (p->is_open)
		fputc('\n', stderr);
	p->is_open = false;
}
