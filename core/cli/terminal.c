/* Text for people at a terminal. */
#include "cli/terminal.h"

#include <locale.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/mem.h"

enum { CHARACTER_MAX = 4 }; /* bytes, in UTF-8 */

struct character {
	size_t bytes, columns;
	bool is_harmful;
};

void terminal_init(void)
{
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		setlocale(LC_CTYPE, "");
}

size_t terminal_width(FILE *out)
{
	const char *columns = getenv("COLUMNS");
	unsigned long n = columns ? strtoul(columns, NULL, 10) : 0;
	struct winsize size;

	if (n > 0 && n < 10000)
		return n;
	return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

size_t terminal_height(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row ? size.ws_row : 24;
}

bool terminal_has_colours(FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(out)) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

/* Characters that turn the direction of writing make one text look like another. */
static bool turns_direction(wchar_t c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static struct character measure(const char *text)
{
	mbstate_t state = {0};
	wchar_t c;
	size_t n = mbrtowc(&c, text, strnlen(text, CHARACTER_MAX), &state);
	int width;

	if (n == 0 || n == (size_t)-1 || n == (size_t)-2)
		return (struct character){1, 1, true};
	width = wcwidth(c);
	if (width < 0 || turns_direction(c))
		return (struct character){n, 1, true};
	return (struct character){n, (size_t)width, false};
}

size_t terminal_columns(const char *text)
{
	size_t columns = 0;

	while (*text) {
		struct character c = measure(text);

		columns += c.columns;
		text += c.bytes;
	}
	return columns;
}

size_t terminal_put(FILE *out, const char *text, size_t max)
{
	bool is_cut = terminal_columns(text) > max;
	size_t used = 0, room = is_cut && max ? max - 1 : max;

	while (*text) {
		struct character c = measure(text);

		if (used + c.columns > room)
			break;
		if (c.is_harmful)
			fputc('?', out);
		else
			fwrite(text, 1, c.bytes, out);
		used += c.columns;
		text += c.bytes;
	}
	if (is_cut && max) {
		fputs("…", out);
		used++;
	}
	return used;
}

void terminal_colour(FILE *out, enum terminal_colour colour)
{
	static const char *const codes[] = {
		"\033[0m", "\033[1m", "\033[31m", "\033[32m", "\033[33m"};

	if (terminal_has_colours(out))
		fputs(codes[colour], out);
}
