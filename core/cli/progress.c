/* How far a long work is. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cli/terminal.h"

enum { BAR = 24, REDRAW_MS = 100, RATE_AFTER_MS = 500 };

/* How many per second, 0: too early to say. */
static int64_t rate_of(const struct progress *p, size_t done)
{
	int64_t ms = clock_mono_ms() - p->start_ms;

	return ms < RATE_AFTER_MS ? 0 : (int64_t)done * 1000 / ms;
}

static int64_t seconds_left(int64_t rate, size_t done, size_t total)
{
	return rate ? (int64_t)(total - done) / rate : -1;
}

static void put_left(struct buf *out, int64_t seconds)
{
	if (seconds >= 3600)
		buf_fmt(out, ", %lld:%02lld h left", (long long)seconds / 3600,
			(long long)seconds / 60 % 60);
	else if (seconds >= 60)
		buf_fmt(out, ", %lld:%02lld min left", (long long)seconds / 60,
			(long long)seconds % 60);
	else if (seconds >= 0)
		buf_fmt(out, ", %lld s left", (long long)seconds);
}

static void put_figures(struct buf *out, const struct progress *p, size_t done, size_t total)
{
	int64_t rate = rate_of(p, done);

	buf_fmt(out, " %zu/%zu%s%s", done, total, p->unit ? " " : "", p->unit ? p->unit : "");
	if (rate)
		buf_fmt(out, ", %lld/s", (long long)rate);
	if (done < total)
		put_left(out, seconds_left(rate, done, total));
}

/* As long as the line has room beside the label and what stands behind: a line that wraps cannot be drawn anew. */
static size_t bar_length(const struct progress *p, size_t n_figures)
{
	size_t width = terminal_width(stderr),
	       others = strlen(p->label) + strlen(" []") + n_figures;

	if (!width || width > others + BAR)
		return BAR;
	return width > others ? width - others - 1 : 0;
}

static void show_bar(struct progress *p, size_t done, size_t total)
{
	_cleanup_(buf_fini) struct buf figures = {0};
	_cleanup_(buf_fini) struct buf line = {0};
	size_t length, full;

	if (p->is_open && done < total && clock_mono_ms() - p->shown_ms < REDRAW_MS)
		return;
	p->shown_ms = clock_mono_ms();
	put_figures(&figures, p, done, total);
	length = bar_length(p, figures.len);
	full = total ? done * length / total : length;
	buf_fmt(&line, "\r%s [", p->label);
	for (size_t i = 0; i < length; i++)
		buf_char(&line, i < full ? '#' : '.');
	buf_fmt(&line, "]%s\033[K", buf_view(&figures).p);
	fputs(buf_view(&line).p, stderr);
	p->is_open = true;
}

static void show_line(const struct progress *p, size_t done, size_t total)
{
	int64_t rate = rate_of(p, done), left = seconds_left(rate, done, total);

	if (!p->is_json) {
		fprintf(stderr, "%s: %zu of %zu\n", p->label, done, total);
		return;
	}
	fprintf(stderr, "{\"progress\":\"%s\",\"done\":%zu,\"total\":%zu", p->label, done, total);
	if (rate)
		fprintf(stderr, ",\"per_s\":%lld,\"left_s\":%lld", (long long)rate,
			(long long)left);
	fputs("}\n", stderr);
}

void progress_show(struct progress *p, size_t done, size_t total)
{
	int tenth = total ? (int)(done * 10 / total) : 10;

	if (done > total)
		total = done; /* it grows while it is read */
	if (!p->start_ms)
		p->start_ms = clock_mono_ms();
	if (isatty(STDERR_FILENO) && !p->is_json) {
		show_bar(p, done, total);
	} else if (tenth > p->last_tenth) {
		p->last_tenth = tenth;
		show_line(p, done, total);
	}
}

void progress_on_journal(void *progress, int64_t done, int64_t total)
{
	progress_show(progress, (size_t)done, (size_t)total);
}

void progress_hide(struct progress *p)
{
	if (p->is_open)
		fputs("\r\033[K", stderr);
	p->is_open = false;
}

void progress_end(struct progress *p)
{
	if (p->is_open)
		fputc('\n', stderr);
	p->is_open = false;
}
