/* Tables of options as lists of a manual page, in mdoc(7). */
#include "base/option_type.h"

#include <stdio.h>

#include "base/mem.h"

void option_manual_text(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

/* One sentence on a line of its own. */
static void sentence(const char *before, const char *text, FILE *out)
{
	fputs(before, out);
	option_manual_text(text, out);
	fputs(".\n", out);
}

void option_bounds_text(const struct sl_option *o, char out[OPTION_BOUNDS_SIZE])
{
	const struct option_type *type = option_type(o->type);
	char low[OPTION_UNIT_TEXT_SIZE], high[OPTION_UNIT_TEXT_SIZE];

	out[0] = '\0';
	if (o->type == SL_OPTION_RATIO)
		snprintf(out, OPTION_BOUNDS_SIZE, "0 to 1");
	if (!type->bound_text || (!o->min && !o->max))
		return;
	type->bound_text(o->min, low);
	type->bound_text(o->max, high);
	snprintf(out, OPTION_BOUNDS_SIZE, "%s to %s", low, high);
}

/* The words of a choice, as a sentence has them: "a, b or c". */
static void choices(const char *words, FILE *out)
{
	const char *last = strrchr(words, '|');

	fputs("One of ", out);
	for (const char *p = words; *p; p++) {
		if (*p != '|')
			fputc(*p, out);
		else
			fputs(p == last ? " or " : ", ", out);
	}
	fputs(".\n", out);
}

static void list_begin(FILE *out)
{
	fputs(".Bl -tag -width Ds\n", out);
}

static void list_end(FILE *out)
{
	fputs(".El\n", out);
}

static void option(const struct sl_option *o, bool has_defaults, FILE *out)
{
	char bounds[OPTION_BOUNDS_SIZE];

	option_bounds_text(o, bounds);
	fprintf(out, ".It Ic %s : Ar %s\n", o->name, option_type(o->type)->name);
	if (o->summary)
		sentence("", o->summary, out);
	if (o->choices)
		choices(o->choices, out);
	if (*bounds)
		sentence("From ", bounds, out);
	if (o->flags & SL_OPTION_REQUIRED)
		fputs("It must be there.\n", out);
	else if (o->fallback && has_defaults)
		sentence("Default: ", o->fallback, out);
}

static void map_items(const struct option_map *map, bool has_defaults, FILE *out);

static void key(const struct option_key *k, bool has_defaults, FILE *out)
{
	fprintf(out, ".It Ic %s :\n", k->name);
	sentence("", k->summary, out);
	if (k->is_required)
		fputs("It must be there.\n", out);
	if (k->word)
		fprintf(out, "Or the word\n.Cm %s .\n", k->word);
	if (!k->map)
		return;
	list_begin(out);
	map_items(k->map, has_defaults, out);
	list_end(out);
}

static void map_items(const struct option_map *map, bool has_defaults, FILE *out)
{
	for (size_t i = 0; i < map->n_options; i++)
		option(&map->options[i], has_defaults, out);
	for (size_t i = 0; i < map->n_keys; i++)
		key(&map->keys[i], has_defaults, out);
}

void option_manual(const struct sl_option *table, size_t n, FILE *out)
{
	option_map_manual(&(struct option_map){.options = table, .n_options = n}, out);
}

void option_map_manual(const struct option_map *map, FILE *out)
{
	list_begin(out);
	map_items(map, true, out);
	list_end(out);
}
