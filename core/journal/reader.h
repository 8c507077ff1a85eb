/* Reading the journal: a connection of its own that never blocks the writer and is never blocked by
 * it. One reader serves one thread. */
#pragma once

#include "model/order.h"

struct chain_head;
struct reader;

/* `set` outlives the reader and everything that came out of it; generations that are not in it yet
 * are loaded from the journal into it. */
int reader_open(const char *path, struct pipeline_set *set, struct reader **ret, struct err *e);
void reader_close(struct reader *r);

/* Between begin and end all reads see one moment. *ret_last_seq: the last event of that moment. */
int reader_begin(struct reader *r, int64_t *ret_last_seq, struct err *e);
void reader_end(struct reader *r);

int reader_find_order(struct reader *r, const struct id *id, int64_t *ret_seq);
/* The other way round, whether or not the order can be folded. -ENOENT. */
int reader_order_id(struct reader *r, int64_t order_seq, struct id *ret);

/* The last event and its hash, which stands for the whole journal. Seq 0: it is empty. -EBADMSG: it has none. */
int reader_head(struct reader *r, struct chain_head *ret, struct err *e);

/* Folds one order up to event `at_seq` (INT64_MAX: all). `events` (may be NULL) gets the events,
 * oldest first, in its arena. Returns owned. -ENOENT; -EPROTO: the events do not fit together. */
int reader_order(struct reader *r, int64_t order_seq, int64_t at_seq, struct order **ret,
	struct event_list *events, struct err *e);
/* Whether the order that was read is damaged: nobody can say where it stands, and a list goes on without it. */
static inline bool reader_is_damaged(int result)
{
	return result == -EPROTO || result == -EINVAL;
}

/* Appends up to `limit` events with seq > `*after`, oldest first, without those that are damaged, and moves
 * `*after` to the last one that was looked at. Returns how many. */
int reader_events(
	struct reader *r, int64_t *after, size_t limit, struct event_list *list, struct err *e);

struct order_filter {
	struct str
		status; /* absent: all; "open": all that are not terminal; or the word of the API */
	struct str query; /* absent: all; an id, the start of an e-mail address, a product id */
	struct str
		generation; /* absent: all; else only those on it, with a status that is not terminal */
	int64_t before;	    /* seq; 0: from the newest */
	size_t limit;
};

/* One order of a list. Borrowed during the callback. */
struct order_row {
	int64_t seq;
	struct id id;
	struct str status, body, error;
	struct str removed; /* "erased", "archived": the body is its remains; absent: it is whole */
	int64_t created_us, updated_us, completed_us;
};

/* Newest first, without those that are damaged. `on_row` returns 0 to go on. Returns the number of rows. *ret_next: `before` of the
 * next page, 0 when there is none. A page of orders at one stage can be short of `limit` and have a
 * next one all the same: it looks at no more than some thousand orders under way. */
int reader_orders(struct reader *r, const struct order_filter *f,
	int (*on_row)(void *arg, const struct order_row *row), void *arg, int64_t *ret_next,
	struct err *e);

/* How many orders have each settled status, and how many are under way: an absent one. */
int reader_counts(struct reader *r, int (*on_count)(void *arg, struct str status, int64_t n),
	void *arg, struct err *e);

/* Orders on hold. Absent: any. */
struct held_filter {
	struct str stage, error;
	int64_t before; /* seq; 0: from the newest */
	size_t limit;
};

/* Newest first: `on_held` returns 0 to go on. Returns how many. */
int reader_held(struct reader *r, const struct held_filter *f,
	int (*on_held)(void *arg, int64_t seq, const struct id *id), void *arg, struct err *e);

/* One cause of holds. Strings are borrowed during the callback. */
struct held_cause {
	struct str stage, error;
	int64_t n, first_us, last_us;
};

/* The causes, most frequent first. Returns how many. */
int reader_causes(struct reader *r, size_t limit,
	int (*on_cause)(void *arg, const struct held_cause *cause), void *arg, struct err *e);

/* The same by stage alone: `error` is absent. In order of their names. */
int reader_held_stages(struct reader *r, size_t limit,
	int (*on_stage)(void *arg, const struct held_cause *cause), void *arg, struct err *e);

/* A generation of the journal, from the set. -EPROTO: it is not there, or cannot be read. */
int reader_generation(
	struct reader *r, struct str digest, const struct pipeline **ret, struct err *e);
/* The current one. -ENOENT: the journal has none yet. */
int reader_current(struct reader *r, const struct pipeline **ret, struct err *e);
/* The generations that unfinished orders are on, and how many. */
int reader_open_generations(struct reader *r,
	int (*on_generation)(void *arg, struct str digest, int64_t n), void *arg, struct err *e);
/* As reader_unfinished(), those on one generation. */
int reader_of_generation(struct reader *r, struct str digest, int64_t after, int64_t *seqs,
	size_t limit, struct err *e);

/* seqs of orders that are not terminal and > `after`, ascending, up to `limit`. Returns how many.
 * */
int reader_unfinished(struct reader *r, int64_t after, int64_t *seqs, size_t limit, struct err *e);

/* An order as the rule of keeping sees it. completed_us: 0 while it has not ended. */
struct ended_order {
	int64_t seq, created_us, completed_us;
	bool is_removed;
};
/* The orders with seq > `after`, ascending, up to `limit`. Returns how many. */
int reader_look(
	struct reader *r, int64_t after, struct ended_order *ret, size_t limit, struct err *e);

/* State entries whose key starts with `prefix` and is > `after` (absent: from the first), in order
 * of key, up to `limit`. */
struct state_page {
	struct str prefix, after;
	size_t limit;
};

/* Returns how many. */
int reader_state(struct reader *r, const struct state_page *page,
	int (*on_entry)(void *arg, struct str key, struct str json), void *arg, struct err *e);

/* --- looking back --- */

/* Appends the newest events that tell of trouble at a stage (retrying, lost, failed, held), newest first, out of the
 * newest 20,000 events. Returns how many. */
int reader_stage_trouble(struct reader *r, struct str stage, int64_t last_seq, size_t limit,
	struct event_list *list, struct err *e);
/* Appends events with seq < `before`, newest first, of which `limit` change the state's value of that key; others may
 * stand between. Looks at 100,000 events at most. *ret_next: `before` of the next call; 0: there are no more.
 * Returns how many change it. */
int reader_key_changes(struct reader *r, struct str key, int64_t before, size_t limit,
	struct event_list *list, int64_t *ret_next, struct err *e);

/* --- the past --- */

/* The last event before the first that is later than `wall_us`; 0: none. Times are taken to ascend: where the clock
 * was set back it is one of the places where that time was. */
int reader_seq_at(
	struct reader *r, int64_t wall_us, int64_t last_seq, int64_t *ret_seq, struct err *e);
/* Likewise among the events of one order, for reader_order(). */
int reader_order_seq_at(
	struct reader *r, int64_t order_seq, int64_t wall_us, int64_t *ret_seq, struct err *e);
/* As reader_state(), after event `at_seq`. Reads all events up to there. -EIO: interrupted. */
int reader_state_at(struct reader *r, int64_t at_seq, const struct state_page *page,
	int (*on_entry)(void *arg, struct str key, struct str json), void *arg, struct err *e);
/* [any thread] Whatever it is reading just now fails. */
void reader_interrupt(struct reader *r);
