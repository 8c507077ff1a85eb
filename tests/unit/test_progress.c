/* Progress of long work: what a terminal of 80 columns is shown, and what a program that reads along gets. */
#include "cli/progress.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

enum { COLUMNS = 80, SHOWN_MAX = 4096 };

static int64_t now_us;

static int64_t fake_us(void)
{
	return now_us;
}

/* Stderr, put elsewhere for the length of a test. */
struct screen {
	int reads, had;
	char shown[SHOWN_MAX];
};

static void begin(struct screen *s, bool is_terminal)
{
	static const struct clock_source clocks = {fake_us, fake_us};
	struct winsize size = {.ws_row = 24, .ws_col = COLUMNS};
	int ends[2], r;

	now_us = 1000000;
	clock_set_source(&clocks);
	unsetenv("COLUMNS");
	if (is_terminal)
		r = openpty(&ends[0], &ends[1], NULL, NULL, &size);
	else
		r = pipe(ends);
	REQUIRE(r == 0);
	s->had = dup(STDERR_FILENO);
	s->reads = ends[0];
	REQUIRE(s->had >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
	close(ends[1]);
}

/* What was written since the last call: up to the mark that is set now. */
static const char *shown(struct screen *s)
{
	char *mark = NULL;
	size_t n = 0;

	REQUIRE(write(STDERR_FILENO, "|", 1) == 1);
	while (!mark && n < sizeof s->shown - 1) {
		ssize_t more = read(s->reads, s->shown + n, sizeof s->shown - 1 - n);

		REQUIRE(more > 0);
		n += (size_t)more;
		s->shown[n] = '\0';
		mark = strchr(s->shown, '|');
	}
	REQUIRE(mark != NULL);
	*mark = '\0';
	return s->shown;
}

static void end(struct screen *s)
{
	dup2(s->had, STDERR_FILENO);
	close(s->had);
	close(s->reads);
	clock_set_source(NULL);
}

static void show_after(struct progress *p, int64_t ms, size_t done, size_t total)
{
	now_us += ms * 1000;
	progress_show(p, done, total);
}

static void a_terminal_is_shown_a_bar_with_rate_and_what_is_left(void)
{
	struct progress p = {.label = "replay", .unit = "events", .last_tenth = -1};
	struct screen s;

	begin(&s, true);
	show_after(&p, 0, 0, 1200);
	CHECK_TEXT(shown(&s), "\rreplay [........................] 0/1200 events\033[K");
	show_after(&p, 2000, 300, 1200);
	CHECK_TEXT(shown(&s),
		"\rreplay [######..................] 300/1200 events, 150/s, 6 s left\033[K");
	show_after(&p, 2000, 1200, 1200);
	CHECK_TEXT(shown(&s), "\rreplay [########################] 1200/1200 events, 300/s\033[K");
	progress_end(&p);
	CHECK_TEXT(shown(&s), "\r\n");
	end(&s);
}

static void long_times_are_minutes_and_hours(void)
{
	struct progress p = {.label = "import", .unit = "bytes", .last_tenth = -1};
	struct screen s;

	begin(&s, true);
	show_after(&p, 0, 0, 10000);
	show_after(&p, 10000, 1000, 10000);
	CHECK(strstr(shown(&s), ", 100/s, 1:30 min left") != NULL);
	show_after(&p, 990000, 1001, 10000);
	CHECK(strstr(shown(&s), ", 1/s, 2:29 h left") != NULL);
	end(&s);
}

static void a_line_is_never_longer_than_the_terminal(void)
{
	struct progress p = {.label = "decide again", .unit = "orders", .last_tenth = -1};
	struct screen s;
	const char *line;

	begin(&s, true);
	show_after(&p, 0, 0, 100000000);
	shown(&s);
	show_after(&p, 100000, 10000000, 100000000);
	line = shown(&s);
	CHECK(strstr(line, " 10000000/100000000 orders, 100000/s, 15:00 min left\033[K") != NULL);
	CHECK(strstr(line, "\rdecide again [#") != NULL);
	CHECK_INT(strcspn(line + 1, "\033"), COLUMNS - 1);
	end(&s);
}

static void it_is_drawn_ten_times_a_second_at_most(void)
{
	struct progress p = {.label = "verify", .last_tenth = -1};
	int n_drawn = 0;
	struct screen s;

	begin(&s, true);
	show_after(&p, 0, 1, 1000);
	shown(&s);
	for (size_t i = 2; i < 500; i++)
		show_after(&p, 1, i, 1000);
	for (const char *at = strchr(shown(&s), '\r'); at; at = strchr(at + 1, '\r'))
		n_drawn++;
	CHECK_INT(n_drawn, 4);
	end(&s);
}

static void elsewhere_it_is_a_line_per_tenth(void)
{
	struct progress p = {.label = "replay", .last_tenth = -1};
	struct screen s;

	begin(&s, false);
	for (size_t i = 0; i <= 300; i += 100)
		show_after(&p, 100, i, 1000);
	CHECK_TEXT(shown(&s), "replay: 0 of 1000\nreplay: 100 of 1000\nreplay: 200 of 1000\n"
			      "replay: 300 of 1000\n");
	end(&s);
}

static void for_programs_it_is_json_even_at_a_terminal(void)
{
	struct progress p = {.label = "replay", .is_json = true, .last_tenth = -1};
	struct screen s;

	begin(&s, true);
	show_after(&p, 0, 0, 1000);
	CHECK_TEXT(shown(&s), "{\"progress\":\"replay\",\"done\":0,\"total\":1000}\r\n");
	show_after(&p, 2000, 500, 1000);
	CHECK_TEXT(shown(&s), "{\"progress\":\"replay\",\"done\":500,\"total\":1000,\"per_s\":250,"
			      "\"left_s\":2}\r\n");
	end(&s);
}

UNIT_MAIN("progress", TEST(a_terminal_is_shown_a_bar_with_rate_and_what_is_left),
	TEST(long_times_are_minutes_and_hours), TEST(a_line_is_never_longer_than_the_terminal),
	TEST(it_is_drawn_ten_times_a_second_at_most), TEST(elsewhere_it_is_a_line_per_tenth),
	TEST(for_programs_it_is_json_even_at_a_terminal))
