/* The files of plugins/template, which are in the program so that `stageline plugin new` needs no others. */
#pragma once

/* Stands in names and texts for the name of the new plugin. */
#define TEMPLATE_NAME "example"

struct template_file {
	const char *name, *text;
};

extern const struct template_file template_files[]; /* ends with an entry without name */
