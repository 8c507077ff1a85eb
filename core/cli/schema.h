/* Printing the JSON Schema of a file, for editors. */
#pragma once

#include "base/json.h"

/* To stdout, indented; the exit status. */
int schema_print(void (*schema)(struct json_writer *w));
