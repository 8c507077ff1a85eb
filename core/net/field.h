/* The text of header fields (RFC 9110, 5.5 and 5.6): tokens, values, lists, words without case. */
#pragma once

#include "base/str.h"

/* How many bytes at the start are characters of a token. */
size_t field_token_length(struct str s);
/* Whether there are no control characters but tabs. */
bool field_is_text(struct str s);
/* Without the spaces and tabs around it. */
struct str field_trim(struct str s);
bool field_equal(struct str a, struct str b);
bool field_is(struct str s, const char *word);
/* Whether a comma-separated list has the word. */
bool field_lists(struct str list, const char *word);
