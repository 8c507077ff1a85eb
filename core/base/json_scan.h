/* Where the members of an object stand in its text, without a tree of it. The text must be one that json_check() has
 * passed. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

struct json_scan {
	const char *p, *end;
};

/* False: it is no object. */
bool json_scan_begin(struct json_scan *s, struct str text);
/* The next member, as it stands: the key without its quotes, both with their escapes. False: there is none. */
bool json_scan_next(struct json_scan *s, struct str *ret_key, struct str *ret_value);
/* A string's text when nothing in it is escaped; absent: something is, or it is no string. */
struct str json_scan_text(struct str value);
/* An integer of at most 15 digits as this program writes it; false: it is another number, or none. */
bool json_scan_int(struct str value, int64_t *ret);
