/* Names of functions for the addresses of a backtrace. */
#pragma once

#include <stdint.h>

#include "base/str.h"

/* The function of the ELF file `path` that `address` (as in the file, without bias) lies in, and how far. Reads the
 * symbol table, so that static functions have names too, as long as the file is not stripped. -ENOENT. */
int symbol_find(
	const char *path, uint64_t address, char *ret_name, size_t size, uint64_t *ret_offset);
/* Whether this process has mapped the object: only such files are worth opening for others. */
bool symbol_is_mapped(const char *path);
