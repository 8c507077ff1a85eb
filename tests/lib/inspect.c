/* `inspect FILE`: the program's own verification of a journal that nobody writes, for the tests' oracle:
 * the chain, and every projection against the fold of its events. One line of JSON; exit 1 when it is not
 * sound. */
#include <inttypes.h>
#include <stdio.h>

#include "journal/verify.h"

int main(int argc, char **argv)
{
	struct pipeline_set set = {0};
	struct err e = {0};
	int64_t last = 0;
	int r;

	if (argc != 2)
		return 2;
	r = journal_verify(argv[1], &last, &e);
	if (r == 0)
		r = journal_compare(argv[1], &set, &e);
	pipeline_set_fini(&set);
	if (r < 0)
		fprintf(stderr, "%s\n", err_text(&e));
	printf("{\"sound\":%s,\"events\":%" PRId64 "}\n", r < 0 ? "false" : "true", last);
	return r < 0;
}
