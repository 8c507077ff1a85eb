/* Text for people at a terminal: harmless, measured in columns, coloured where that is wanted. */
#pragma once

#include <stdio.h>

#include "base/str.h"

enum terminal_colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_RED, COLOUR_GREEN, COLOUR_YELLOW };

/* Call once, before the others: the characters' widths come from the C library's tables. */
void terminal_init(void);
/* Columns of that terminal, or COLUMNS; 0: it is no terminal, nothing needs to be cut. */
size_t terminal_width(FILE *out);
/* Lines of the terminal on stdout; 24 where nobody knows. */
size_t terminal_height(void);
/* A terminal, and neither NO_COLOR (no-color.org) nor TERM=dumb. */
bool terminal_has_colours(FILE *out);
/* Columns that terminal_put() would use. */
size_t terminal_columns(const char *text);
/* Writes at most `max` columns of the text, "…" in place of the rest; control characters, which could drive
 * the terminal, as "?". Returns the columns used. */
size_t terminal_put(FILE *out, const char *text, size_t max);
void terminal_colour(FILE *out, enum terminal_colour colour);
