/* Projections: the rows that follow from events and from the orders folded of them. The writer and
 * the rebuild use the same functions, so that a rebuild gives the same bytes (P3).
 *
 * Changes of the state are in memory until projection_flush(). */
#pragma once

#include "journal/state.h"
#include "model/order.h"

enum projection_statement {
	PUT_NEW_ORDER,
	PUT_BODY,
	PUT_ORDER,
	PUT_PRODUCT,
	PUT_KEY,
	PUT_GENERATION,
	MOVE_ORDER,
	REMOVE_ORDER,
	DROP_KEY,
	DROP_PRODUCT,
	PROJECTION_STATEMENTS
};

/* Orders whose seq / PRODUCT_BLOCK is the same share one row per product. */
enum { PRODUCT_BLOCK = 64, PRODUCTS_KEPT = 256, PRODUCT_KEPT_MAX = 48 };

struct product_block {
	int64_t block; /* 0: none */
	uint8_t n;
	char product[PRODUCT_KEPT_MAX];
};

struct projection {
	sqlite3_stmt *stmts[PROJECTION_STATEMENTS];
	struct state state;
	bool is_lenient; /* events are missing: what they did to the state no longer has to fit */
	struct product_block known[PRODUCTS_KEPT]; /* rows that are there; by hash of the product */
};

/* `db` has the tables and outlives the projection. */
int projection_init(struct projection *p, sqlite3 *db, struct err *e);
void projection_fini(struct projection *p);

/* What follows from the event alone: state, key, generation, the fixed part of its order's row. */
int projection_event(struct projection *p, const struct event *ev, struct err *e);
/* The part of the order's row that says how it ended or what holds it; of an order that moves it
 * says nothing, so that it need not be written while the order stays so. */
int projection_order(struct projection *p, const struct order *o, struct err *e);
/* After the events of an order were reduced: takes away what followed from `ev`, which is as it was before, and follows
 * from nothing else. The order's row is projection_event()'s, by the removal. */
int projection_forget(struct projection *p, const struct event *ev, struct err *e);
int projection_flush(struct projection *p, struct err *e);
/* Forgets what is not flushed. */
void projection_drop(struct projection *p);
