/* Rows of `events` on their way into the table: several at once, which spares most of what a statement costs.
 * They are in the table after event_rows_flush(), which a full block calls by itself. */
#pragma once

#include "journal/chain.h"
#include "journal/sql.h"

enum { ROWS_AT_ONCE = 8 };

struct event_row {
	int64_t seq, time_us, order_seq;
	int kind;
	uint32_t attempt;
	bool has_id, has_salt;
	struct id id;
	uint8_t salt[CHAIN_SALT_SIZE], digest[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE];
	struct str type, stage, payload; /* in the arena */
};

struct event_rows {
	sqlite3_stmt *one, *block;
	struct arena arena; /* strings of the rows that wait */
	size_t n;
	struct event_row rows[ROWS_AT_ONCE];
};

int event_rows_init(struct event_rows *r, sqlite3 *db, struct err *e);
void event_rows_fini(struct event_rows *r);
/* Copies everything. `salt` may be NULL: the row has none. */
int event_rows_add(struct event_rows *r, const struct event *ev, const uint8_t *salt,
	struct str payload, const uint8_t *digest, const uint8_t *hash, struct err *e);
int event_rows_flush(struct event_rows *r, struct err *e);
/* Forgets what waits. */
void event_rows_drop(struct event_rows *r);
