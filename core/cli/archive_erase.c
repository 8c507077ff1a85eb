/* `stageline erase ORDER --archive FILE`: what an archive has of an order goes. */
#include <stdio.h>

#include "base/id.h"
#include "cli/cli.h"
#include "cli/offline.h"
#include "journal/archive.h"

enum { REASON_MAX = 500 };

static int run(struct offline *o)
{
	const char *path = offline_text(o, OFFLINE_ARCHIVE);
	const char *reason = offline_text(o, OFFLINE_REASON);
	char sha256[DIGEST_TEXT_SIZE];
	struct err e = {0};
	struct id id;

	if (id_parse(str_of(o->arguments[0]), &id) < 0)
		return offline_refuse(o, "'%.80s' is not the id of an order", o->arguments[0]);
	if (!reason || strlen(reason) > REASON_MAX)
		return offline_refuse(o, "erase needs a --reason of at most %d bytes", REASON_MAX);
	if (archive_erase(path, &id, reason, &e) < 0 || archive_digest(path, sha256, &e) < 0)
		return offline_fail(o, &e);
	if (o->is_json)
		printf("{\"erased\":\"%s\",\"sha256\":\"%s\"}\n", o->arguments[0], sha256);
	else
		printf("Order %s is erased in %s\nsha256 %s\n", o->arguments[0], path, sha256);
	return EXIT_SUCCESS;
}

int archive_erase_main(int argc, char **argv)
{
	static const struct offline_action action = {
		.name = "erase",
		.arguments = "ORDER",
		.summary = "Erases in an archive what it has of an order",
		.details = "Header, digest and hash of the order's events stay, so that the chain "
			   "of the "
			   "archive still verifies; time\n"
			   "and reason are noted in it. Its SHA-256 is another one then: `audit "
			   "verify "
			   "--archive FILE --data DIR` says\n"
			   "that it is of the journal all the same. Copies of the file are not "
			   "touched.\n",
		.n_min = 1,
		.n_max = 1,
		.takes = OFFLINE(ARCHIVE) | OFFLINE(REASON),
		.run = run,
	};

	return offline_main(&action, argc, argv);
}
