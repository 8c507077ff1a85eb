/* Printing the JSON Schema of a file, for editors. */
#include "cli/schema.h"

#include <stdio.h>

#include "base/mem.h"

int schema_print(void (*schema)(struct json_writer *w))
{
	_cleanup_(buf_fini) struct buf out = {0};
	_cleanup_(json_freep) cJSON *tree = NULL;
	_cleanup_(freep) char *text = NULL;
	struct json_writer w = {&out, false};

	schema(&w);
	tree = out.failed ? NULL : cJSON_Parse(out.data);
	text = tree ? cJSON_Print(tree) : NULL;
	if (!text) {
		fputs("stageline: no memory for the schema\n", stderr);
		return EXIT_FAILURE;
	}
	return puts(text) < 0 || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
