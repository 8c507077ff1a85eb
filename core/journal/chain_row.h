/* Rows of `events` as the chain sees them: as they stand, true or not. For all who check, copy or save a
 * journal; those who believe it read events with row.h. */
#pragma once

#include "journal/chain.h"
#include "journal/sql.h"

#define CHAIN_ROW_COLUMNS                                                                          \
	"seq, time_us, order_seq, kind, type, stage, attempt, id, salt, payload, digest, hash"

struct chain_row {
	struct event ev; /* its header */
	bool is_odd;  /* a column is of another type than the writer's; same bytes, another row */
	int64_t kind; /* as it stands: ev.kind may not be one */
	struct str id, salt, payload, digest, hash;
};

/* Of a statement whose first columns are CHAIN_ROW_COLUMNS. Strings are borrowed until its next step. */
void chain_row_read(sqlite3_stmt *s, struct chain_row *ret);
/* What is wrong with its form, whatever it says; NULL: nothing. Static. */
const char *chain_row_flaw(const struct chain_row *row);
/* Whether the row is to bring a salt of its own. */
bool chain_row_has_salt(const struct chain_row *row);
/* An order's first event without its salt: what the order said was removed, or the row was changed. */
bool chain_row_is_removed(const struct chain_row *row);
/* The hash of the row as event `seq` after `previous`, by the digest that stands in it. */
int chain_row_hash(struct chain *c, const uint8_t previous[CHAIN_HASH_SIZE],
	const struct chain_row *row, int64_t seq, uint8_t out[CHAIN_HASH_SIZE]);
/* Whether that is the hash that stands in it. */
bool chain_row_fits(struct chain *c, const uint8_t previous[CHAIN_HASH_SIZE],
	const struct chain_row *row, int64_t seq);
/* The row as an event, at the end of `list`, all in its arena; the order's id on order_created alone. An erased payload
 * leaves its fields absent. -EPROTO: it cannot be read; -ENOMEM. */
int chain_row_event(
	const struct chain_row *row, struct event_list *list, struct event **ret, struct err *e);
