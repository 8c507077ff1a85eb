/* The files of plugins/template, which are in the program so that `stageline plugin new` needs no others. */
#pragma once

#include "base/embedded.h"

/* Stands in names and texts for the name of the new plugin. */
#define TEMPLATE_NAME "example"

extern const struct embedded_file template_files[]; /* ends with an entry without name */
