/* A file that is made beside its name, as NAME.partial, and gets it when it is whole and on the disk. */
#pragma once

#include "base/err.h"

struct new_file {
	char *path, *partial; /* owned; partial NULL: nothing to remove */
};

/* Makes the empty file `partial`, which others cannot read. -EEXIST: something has the name. */
int new_file_begin(struct new_file *f, const char *path, struct err *e);
/* Syncs it and gives it its name. */
int new_file_publish(struct new_file *f, struct err *e);
/* Removes what was not published, with SQLite's files beside it. */
void new_file_fini(struct new_file *f);
