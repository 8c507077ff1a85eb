/* Projections: one function per kind of row. Which events exist is the writer's and the rebuild's.
 * */
#include "journal/projection.h"

#include <inttypes.h>

#include "base/mem.h"
#include "model/remains.h"

static const char *const texts[PROJECTION_STATEMENTS] = {
	[PUT_NEW_ORDER] =
		"INSERT INTO orders(seq, id, status, is_open, generation, email, body_seq,"
		" created_us, updated_us, total_minor)"
		" VALUES(?1, ?2, NULL, 1, ?3, ?4, ?1, ?5, ?5, ?6)",
	[PUT_BODY] = "UPDATE orders SET email = ?2, total_minor = ?3, body_seq = ?4 WHERE seq = ?1",
	[PUT_ORDER] = "UPDATE orders SET status = ?2, is_open = ?3, updated_us = ?4,"
		      " completed_us = ?5, error = ?6, stage = ?7 WHERE seq = ?1",
	[PUT_PRODUCT] = "INSERT INTO product_blocks VALUES(?1, ?2) ON CONFLICT DO NOTHING",
	/* The first order with a key keeps it. */
	[PUT_KEY] = "INSERT INTO idempotency VALUES(?1, ?2) ON CONFLICT DO NOTHING",
	[PUT_GENERATION] = "INSERT INTO generations VALUES(?1, ?2, ?3)"
			   " ON CONFLICT(digest) DO UPDATE SET seq = ?2",
	[MOVE_ORDER] = "UPDATE orders SET generation = ?2 WHERE seq = ?1",
	[REMOVE_ORDER] = "UPDATE orders SET email = NULL, error = NULL, removed_seq = ?2"
			 " WHERE seq = ?1",
	[DROP_KEY] = "DELETE FROM idempotency WHERE key = ?1 AND order_seq = ?2",
	/* 1 and 8: the events that have bodies. A damaged one names no product. */
	[DROP_PRODUCT] =
		"DELETE FROM product_blocks WHERE product = ?1 AND block = ?2 AND NOT EXISTS("
		"SELECT 1 FROM events e,"
		" json_each(CASE WHEN json_valid(e.payload) THEN e.payload END, '$.order.items') i"
		" WHERE e.order_seq BETWEEN ?2 * 64 AND ?2 * 64 + 63 AND e.kind IN (1, 8)"
		" AND CASE i.type WHEN 'object' THEN json_extract(i.value, '$.product_id') END"
		" = ?1)",
};

_Static_assert(PRODUCT_BLOCK == 64 && EVENT_ORDER_CREATED == 1 && EVENT_STAGE_RELEASED == 8,
	"as the statement says");

int projection_init(struct projection *p, sqlite3 *db, struct err *e)
{
	int r;

	*p = (struct projection){0};
	r = state_init(&p->state, db, e);
	if (r == 0)
		r = sql_prepare_all(db, texts, PROJECTION_STATEMENTS, p->stmts, e);
	return r;
}

void projection_fini(struct projection *p)
{
	sql_finalize_all(p->stmts, PROJECTION_STATEMENTS);
	state_fini(&p->state);
}

/* Whether the row is there; if not, it will be. Block 0 is never known: it marks an empty slot. */
static bool is_known(struct projection *p, struct str product, int64_t block)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	struct product_block *k;

	if (product.n > PRODUCT_KEPT_MAX || !block)
		return false;
	for (size_t i = 0; i < product.n; i++)
		hash = (hash ^ (unsigned char)product.p[i]) * 16777619u;
	k = &p->known[(hash ^ hash >> 16) % PRODUCTS_KEPT];
	if (k->block == block && str_eq(product, (struct str){k->product, k->n}))
		return true;
	k->block = block;
	k->n = (uint8_t)product.n;
	memcpy(k->product, product.p, product.n);
	return false;
}

static int put_products(
	struct projection *p, int64_t order_seq, const struct order_facts *facts, struct err *e)
{
	sqlite3_stmt *s = p->stmts[PUT_PRODUCT];
	int64_t block = order_seq / PRODUCT_BLOCK;
	int r = 0;

	for (size_t i = 0; i < facts->n_products && r == 0; i++)
		if (!is_known(p, facts->products[i], block))
			r = sql_run(s,
				sql_bind_str(s, 1, facts->products[i]) | sql_bind_int(s, 2, block),
				e);
	return r;
}

static int bind_total(sqlite3_stmt *s, int column, const struct order_facts *facts)
{
	return facts->has_total ? sql_bind_int(s, column, facts->total_minor)
				: sqlite3_bind_null(s, column);
}

static int put_new_order(struct projection *p, const struct event *ev,
	const struct order_facts *facts, struct err *e)
{
	sqlite3_stmt *s = p->stmts[PUT_NEW_ORDER];
	int bad = sql_bind_int(s, 1, ev->seq) |
		  sql_bind_blob(s, 2, ev->order_id.bytes, sizeof ev->order_id.bytes) |
		  sql_bind_str(s, 3, ev->generation) | sql_bind_str(s, 4, facts->email) |
		  sql_bind_int(s, 5, ev->time_us) | bind_total(s, 6, facts);

	return sql_run(s, bad, e);
}

static int put_body(struct projection *p, const struct event *ev, const struct order_facts *facts,
	struct err *e)
{
	sqlite3_stmt *s = p->stmts[PUT_BODY];
	int bad = sql_bind_int(s, 1, ev->order_seq) | sql_bind_str(s, 2, facts->email) |
		  bind_total(s, 3, facts) | sql_bind_int(s, 4, ev->seq);

	return sql_run(s, bad, e);
}

/* A body that is no order at all has no facts, which is no error. Returns owned. */
static int read_facts(const struct event *ev, struct order_facts **ret, struct err *e)
{
	_cleanup_(json_freep) cJSON *body = NULL;
	int r = ev->body.n ? json_parse(ev->body, JSON_DEPTH_MAX, &body, NULL) : 0;

	if (r != -ENOMEM)
		r = order_facts_of(body, ret);
	return r < 0 ? err_set(e, r, "out of memory") : 0;
}

static int on_body(struct projection *p, const struct event *ev, struct err *e)
{
	_cleanup_(freep) struct order_facts *own = NULL;
	const struct order_facts *facts = ev->facts;
	int r = facts ? 0 : read_facts(ev, &own, e);

	if (r < 0)
		return r;
	if (!facts)
		facts = own;
	r = ev->kind == EVENT_ORDER_CREATED ? put_new_order(p, ev, facts, e)
					    : put_body(p, ev, facts, e);
	return r < 0 ? r : put_products(p, ev->order_seq, facts, e);
}

static int put_key(struct projection *p, const struct event *ev, struct err *e)
{
	sqlite3_stmt *s = p->stmts[PUT_KEY];

	return sql_run(s, sql_bind_str(s, 1, ev->key) | sql_bind_int(s, 2, ev->order_seq), e);
}

static int put_generation(struct projection *p, const struct event *ev, struct err *e)
{
	sqlite3_stmt *s = p->stmts[PUT_GENERATION];
	int bad = sql_bind_str(s, 1, ev->generation) | sql_bind_int(s, 2, ev->seq) |
		  sql_bind_str(s, 3, ev->text);

	return sql_run(s, bad, e);
}

static int move_order(struct projection *p, const struct event *ev, struct err *e)
{
	sqlite3_stmt *s = p->stmts[MOVE_ORDER];

	return sql_run(
		s, sql_bind_int(s, 1, ev->order_seq) | sql_bind_str(s, 2, ev->generation), e);
}

static int remove_order(struct projection *p, const struct event *ev, struct err *e)
{
	sqlite3_stmt *s = p->stmts[REMOVE_ORDER];

	return sql_run(s, sql_bind_int(s, 1, ev->order_seq) | sql_bind_int(s, 2, ev->seq), e);
}

static int apply_effect(struct projection *p, const struct effect *f, struct err *e)
{
	struct effect free_of_floor = *f;
	int r;

	if (!p->is_lenient)
		return state_apply(&p->state, f, e);
	free_of_floor.floor = EFFECT_NO_FLOOR;
	r = state_apply(&p->state, &free_of_floor, e);
	return r == -ENOMEM || r == -EIO ? r : 0; /* what cannot be added to stays as it is */
}

int projection_event(struct projection *p, const struct event *ev, struct err *e)
{
	int r = 0;

	if (ev->kind == EVENT_ORDER_CREATED || (ev->kind == EVENT_STAGE_RELEASED && ev->body.p))
		r = on_body(p, ev, e);
	if (r == 0 && ev->kind == EVENT_ORDER_CREATED && ev->key.p)
		r = put_key(p, ev, e);
	if (r == 0 && ev->kind == EVENT_PIPELINE_LOADED)
		r = put_generation(p, ev, e);
	if (r == 0 && ev->kind == EVENT_ORDER_MIGRATED)
		r = move_order(p, ev, e);
	if (r == 0 && event_is_removal(ev->kind))
		r = remove_order(p, ev, e);
	for (size_t i = 0; r == 0 && i < ev->n_effects; i++)
		r = apply_effect(p, &ev->effects[i], e);
	return r;
}

static int forget_products(struct projection *p, const struct event *ev, struct err *e)
{
	_cleanup_(freep) struct order_facts *facts = NULL;
	sqlite3_stmt *s = p->stmts[DROP_PRODUCT];
	int64_t block = ev->order_seq / PRODUCT_BLOCK;
	int r = read_facts(ev, &facts, e);

	for (size_t i = 0; r == 0 && i < facts->n_products; i++)
		r = sql_run(
			s, sql_bind_str(s, 1, facts->products[i]) | sql_bind_int(s, 2, block), e);
	memset(p->known, 0, sizeof p->known);
	return r;
}

int projection_forget(struct projection *p, const struct event *ev, struct err *e)
{
	sqlite3_stmt *s = p->stmts[DROP_KEY];
	int r = 0;

	if (ev->kind == EVENT_ORDER_CREATED && ev->key.p)
		r = sql_run(s, sql_bind_str(s, 1, ev->key) | sql_bind_int(s, 2, ev->order_seq), e);
	return r == 0 && ev->body.p ? forget_products(p, ev, e) : r;
}

int projection_order(struct projection *p, const struct order *o, struct err *e)
{
	sqlite3_stmt *s = p->stmts[PUT_ORDER];
	bool is_moving = order_is_moving(o);
	const char *status = is_moving ? NULL : order_status(o);
	const char *error = is_moving ? NULL : order_error(o);
	int bad = sql_bind_int(s, 1, o->seq) | sql_bind_str(s, 2, str_of(status)) |
		  sql_bind_int(s, 3, !order_is_terminal(o)) |
		  sql_bind_int(s, 4, is_moving ? o->created_us : o->updated_us) |
		  sql_bind_seq(s, 5, o->completed_us) | sql_bind_str(s, 6, str_of(error)) |
		  sql_bind_str(s, 7, str_of(order_held_stage(o)));
	int r = sql_run(s, bad, e);

	if (r == 0 && sqlite3_changes(sqlite3_db_handle(s)) != 1)
		return err_set(e, -EPROTO, "order %" PRId64 " has no row", o->seq);
	return r;
}

int projection_flush(struct projection *p, struct err *e)
{
	return state_flush(&p->state, e);
}

void projection_drop(struct projection *p)
{
	state_clear(&p->state);
	memset(p->known, 0, sizeof p->known);
}
