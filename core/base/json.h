/* JSON: reading by cJSON behind a strict check, writing straight into a buffer.
 *
 * The check is the grammar of RFC 8259 and refuses what cJSON would let pass: invalid UTF-8, control characters
 * in strings, "\u0000", numbers like 01 or 1., nesting deeper than the caller allows, bytes after the value. */
#pragma once

#include <cjson/cJSON.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"

enum { JSON_DEPTH_MAX = 32 };

/* Whether the text is one JSON value, and (ret_is_compact may be NULL) whether no blank stands outside its
 * strings. -EINVAL with the place in `e`. */
int json_check(struct str text, unsigned max_depth, bool *ret_is_compact, struct err *e);

/* Returns owned: free with cJSON_Delete. -EINVAL with the place in `e`, -ENOMEM. */
int json_parse(struct str text, unsigned max_depth, cJSON **ret, struct err *e);

static inline void json_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

/* Whether the bytes are well-formed UTF-8 (RFC 3629: no surrogates, nothing overlong). */
bool utf8_valid(struct str s);
/* Bytes of the well-formed character that `s` begins with, 0 when it is none. `s` is not empty. */
size_t utf8_length(struct str s);
/* Takes the last letter off a text that had no room for all of its bytes. */
void utf8_cut(char *text);

/* A JSON number that is an integer within ±2^53: true and the value. */
bool json_to_int(const cJSON *j, int64_t *ret);
/* A JSON number that is an amount with at most two decimals within ±10^13: true and minor units. The
 * number is the double nearest to a two-digit decimal, so the conversion is exact. */
bool json_to_money(const cJSON *j, int64_t *ret_minor);
/* The member's integer, 0 where there is none. */
int64_t json_int_member(const cJSON *object, const char *name);
/* The member's string or an absent str. Borrowed from `object`. */
struct str json_member(const cJSON *object, const char *name);

/* Writing. The writer puts the commas; a failure stays in the buffer (`out->failed`). A byte that is not UTF-8 becomes
 * U+FFFD, so that what was written can be read. */
struct json_writer {
	struct buf *out;
	bool comma;
};

void json_open(struct json_writer *w, char bracket);  /* '{' or '[' */
void json_close(struct json_writer *w, char bracket); /* '}' or ']' */
void json_key_str(struct json_writer *w, struct str name);
void json_str(struct json_writer *w, struct str s); /* absent: null */

static inline void json_key(struct json_writer *w, const char *name)
{
	json_key_str(w, str_of(name));
}

static inline void json_text(struct json_writer *w, const char *s)
{
	json_str(w, str_of(s));
}

void json_int(struct json_writer *w, int64_t v);
void json_double(struct json_writer *w, double v); /* shortest text that reads back the same */
void json_bool(struct json_writer *w, bool v);
void json_null(struct json_writer *w);
void json_money(struct json_writer *w, int64_t minor); /* "12.30" */
void json_time(struct json_writer *w, int64_t wall_us);
void json_id(struct json_writer *w, const struct id *id);
void json_raw(struct json_writer *w, struct str json); /* already JSON */
/* The members of an object's text, without its braces, into the open object. */
void json_members(struct json_writer *w, struct str object);
/* A cJSON tree, compact, members in their order. */
void json_tree(struct json_writer *w, const cJSON *j);
