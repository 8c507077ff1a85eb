/* A plugin's file: whom it belongs to, and a copy of it that nobody can change any more. */
#pragma once

#include "base/err.h"

enum { PLUGIN_DIGEST_SIZE = 17 }; /* 16 hex digits of SHA-256 and a NUL */

struct plugin_file {
	int fd;				 /* of the copy */
	char digest[PLUGIN_DIGEST_SIZE]; /* of its bytes */
};

/* Copies the file at `path` (real, links resolved), found in `folder`, into sealed memory: replacing or
 * overwriting it later reaches nobody who runs the copy. -EPERM: others can write the file, its folder or
 * `folder`. -EBUSY: it is being written. -EINVAL: no file, too large, or an ELF file that is cut off. */
int plugin_file_copy(const char *folder, const char *path, struct plugin_file *ret, struct err *e);
