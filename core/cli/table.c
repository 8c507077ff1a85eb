/* Tables on stdout: cells are kept until the widths are known. */
#include "cli/table.h"

#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/terminal.h"

enum { COLUMNS_MAX = 16, CUT_MIN = 12, GAP = 2 };

static const struct {
	const char *word;
	enum terminal_colour colour;
} words[] = {
	{"completed", COLOUR_GREEN},
	{"done", COLOUR_GREEN},
	{"success", COLOUR_GREEN},
	{"closed", COLOUR_GREEN},
	{"failed", COLOUR_RED},
	{"held", COLOUR_RED},
	{"on_hold", COLOUR_RED},
	{"open", COLOUR_RED},
	{"retrying", COLOUR_YELLOW},
	{"compensating", COLOUR_YELLOW},
	{"half_open", COLOUR_YELLOW},
	{"paused", COLOUR_YELLOW},
	{"unhealthy", COLOUR_RED},
	{"no worker", COLOUR_RED},
	{"no stage", COLOUR_RED},
	{"clogged", COLOUR_RED},
	{"stalled", COLOUR_RED},
};

void table_add(struct table *t, const char *text)
{
	buf_add(&t->text, text ? text : "", text ? strlen(text) + 1 : 1);
	t->n_cells++;
}

void table_add_int(struct table *t, int64_t value)
{
	char text[24];

	snprintf(text, sizeof text, "%lld", (long long)value);
	table_add(t, text);
}

/* "2026-01-31T10:00:00.123456Z" without the fraction. */
static bool add_time(struct table *t, const char *text)
{
	char shorter[CLOCK_TEXT_SIZE];
	int64_t at_us;

	if (strlen(text) != CLOCK_TEXT_SIZE - 1 || clock_parse(str_of(text), &at_us) < 0)
		return false;
	snprintf(shorter, sizeof shorter, "%.19sZ", text);
	table_add(t, shorter);
	return true;
}

void table_add_member(struct table *t, const cJSON *object, const char *name)
{
	const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
	_cleanup_(buf_fini) struct buf text = {0};
	struct json_writer w = {&text, false};

	if (!member || cJSON_IsNull(member)) {
		table_add(t, NULL);
	} else if (cJSON_IsString(member)) {
		if (!add_time(t, member->valuestring))
			table_add(t, member->valuestring);
	} else {
		json_tree(&w, member);
		table_add(t, text.data);
		t->text.failed |= text.failed;
	}
}

void table_add_tree(struct table *t, const char *name, const cJSON *object)
{
	const cJSON *member;

	cJSON_ArrayForEach (member, object) {
		_cleanup_(buf_fini) struct buf label = {0};

		buf_fmt(&label, "%s%s%s", name, *name ? " " : "", member->string);
		t->text.failed |= label.failed;
		if (cJSON_IsObject(member) && member->child) {
			table_add_tree(t, buf_view(&label).p, member);
			continue;
		}
		table_add(t, label.data);
		table_add_member(t, object, member->string);
	}
}

/* --- printing --- */

static size_t total_of(const struct table *t, const size_t *widths)
{
	size_t total = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		total += widths[i] ? widths[i] + GAP : 0;
	return total ? total - GAP : 0;
}

/* The widest column that may give way loses one, as long as it takes. False: it is not enough. */
static bool shrink(const struct table *t, size_t *widths, size_t room)
{
	while (total_of(t, widths) > room) {
		size_t *widest = NULL;

		for (size_t i = 0; i < t->n_columns; i++)
			if (t->columns[i].is_cut && widths[i] > CUT_MIN &&
				(!widest || widths[i] > *widest))
				widest = &widths[i];
		if (!widest)
			return false;
		--*widest;
	}
	return true;
}

static void make_fit(const struct table *t, size_t *widths, size_t room)
{
	size_t tried[COLUMNS_MAX];

	for (size_t dropped = 0;; dropped++) {
		bool fits;

		memcpy(tried, widths, sizeof tried);
		fits = shrink(t, tried, room);
		while (!fits && dropped < t->n_columns && !t->columns[dropped].is_extra)
			dropped++;
		if (fits || dropped >= t->n_columns)
			break;
		widths[dropped] = 0;
	}
	memcpy(widths, tried, sizeof tried);
}

/* A width of 0: the column is left out. */
static void find_widths(const struct table *t, size_t widths[COLUMNS_MAX])
{
	const char *cell = t->text.data;
	size_t room = terminal_width(stdout);

	memset(widths, 0, COLUMNS_MAX * sizeof *widths);
	for (size_t i = 0; i < t->n_cells; i++, cell += strlen(cell) + 1) {
		size_t width = terminal_columns(cell);

		if (width > widths[i % t->n_columns])
			widths[i % t->n_columns] = width;
	}
	for (size_t i = 0; i < t->n_columns; i++) {
		size_t width = terminal_columns(t->columns[i].name);

		if (widths[i] < width && !(room && t->columns[i].is_extra && !widths[i]))
			widths[i] = width;
	}
	if (room)
		make_fit(t, widths, room);
}

static enum terminal_colour colour_of(const struct table_column *column, const char *cell)
{
	for (size_t i = 0; column->is_status && i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].word, cell) == 0)
			return words[i].colour;
	return COLOUR_NONE;
}

static void put_spaces(size_t n)
{
	while (n--)
		putchar(' ');
}

/* `gap` spaces stand before the cell; returns those before the next one. */
static size_t put_cell(const struct table_column *column, const char *cell, size_t width,
	size_t gap, enum terminal_colour colour)
{
	size_t columns = terminal_columns(cell);

	if (!width)
		return gap;
	if (!*cell)
		return gap + width + GAP;
	put_spaces(gap + (column->is_number && columns < width ? width - columns : 0));
	if (colour)
		terminal_colour(stdout, colour);
	columns = terminal_put(stdout, cell, width);
	if (colour)
		terminal_colour(stdout, COLOUR_NONE);
	return GAP + (column->is_number ? 0 : width - columns);
}

int table_print(const struct table *t)
{
	const char *cell = t->text.data;
	size_t widths[COLUMNS_MAX], gap = 0;

	if (t->text.failed || t->n_columns > COLUMNS_MAX)
		return -ENOMEM;
	find_widths(t, widths);
	for (size_t i = 0; i < t->n_columns; i++)
		gap = put_cell(&t->columns[i], t->columns[i].name, widths[i], gap, COLOUR_BOLD);
	putchar('\n');
	for (size_t i = 0; i < t->n_cells; i++, cell += strlen(cell) + 1) {
		size_t at = i % t->n_columns;

		gap = put_cell(&t->columns[at], cell, widths[at], at ? gap : 0,
			colour_of(&t->columns[at], cell));
		if (at == t->n_columns - 1)
			putchar('\n');
	}
	return 0;
}

void table_fini(struct table *t)
{
	buf_fini(&t->text);
}
