/* Events as lines of JSON, for files that leave the journal: exports and proofs. A file is
 *
 *   {"stageline":"journal","version":1}            or "proof", with "order" (its id) and "order_seq"
 *   {"seq":5, … ,"hash":"…","payload":{…}}         each event, oldest first
 *   {"head":"42:9f86…","events":42}                its last line: without it, it is not whole
 *
 * An event has the columns of `events`: bytes as lowercase hex, what is NULL is left out. `payload` is the last member
 * and stands there byte by byte as it was hashed. In a proof, events of other orders have neither salt nor payload;
 * in it, `previous` of the first line is the head before the first event. */
#pragma once

#include "journal/chain_row.h"
#include "journal/verify.h"

enum { LINE_VERSION = 1 };

void chain_line_first(struct buf *out, const char *what, const struct chain_head *previous,
	const struct id *order, int64_t order_seq);
void chain_line_event(struct buf *out, const struct chain_row *row, bool has_payload);
void chain_line_last(struct buf *out, const struct chain_head *head, int64_t n_events);

/* "SEQ:HASH" */
enum { CHAIN_HEAD_TEXT = 20 + 1 + DIGEST_TEXT_SIZE };
void chain_head_text(const struct chain_head *head, char out[CHAIN_HEAD_TEXT]);

/* A line that was read: an event, whose strings are here or in the line itself. */
struct chain_line {
	struct chain_row row;
	struct arena arena;
	uint8_t id[16], salt[CHAIN_SALT_SIZE], digest[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE];
	bool is_last; /* not an event: */
	struct chain_head head;
	int64_t n_events;
};

/* -EINVAL: `e` says what is wrong with it. Cleared first; `line` is borrowed as long as `ret` is used. */
int chain_line_read(struct str line, struct chain_line *ret, struct err *e);
/* The first line: whether it is one of `what`. */
int chain_line_check_first(struct str line, const char *what, struct err *e);
void chain_line_fini(struct chain_line *l);
