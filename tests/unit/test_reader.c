/* The reader: one moment, folding, lists and the plans by which they are found. */
#include "journal/reader_room.h"
#include "shop.h"

/* A shop with a reader beside it. */
struct fixture {
	struct shop shop;
	struct reader *reader;
};

static void fixture_init(struct fixture *f)
{
	shop_init(&f->shop);
	REQUIRE(reader_open(f->shop.path, &f->shop.set, &f->reader, &f->shop.e) == 0);
}

static void fixture_fini(struct fixture *f)
{
	reader_close(f->reader);
	shop_fini(&f->shop);
}

struct found {
	int64_t seqs[64];
	size_t n;
	int64_t next;
	char status[32], body[256];
};

static int on_row(void *arg, const struct order_row *row)
{
	struct found *found = arg;

	found->seqs[found->n++] = row->seq;
	snprintf(found->status, sizeof found->status, "%.*s", (int)row->status.n, row->status.p);
	snprintf(found->body, sizeof found->body, "%.*s", (int)row->body.n, row->body.p);
	return found->n == ARRAY_LEN(found->seqs);
}

static struct found list(
	struct fixture *f, const char *status, const char *query, int64_t before, size_t limit)
{
	struct order_filter filter = {
		.status = str_of(status), .query = str_of(query), .before = before, .limit = limit};
	struct found found = {0};
	int n = reader_orders(f->reader, &filter, on_row, &found, &found.next, &f->shop.e);

	if (n < 0)
		fprintf(stderr, "list: %s\n", err_text(&f->shop.e));
	CHECK_INT(n, found.n);
	return found;
}

static void a_reader_sees_one_moment_and_is_never_in_the_way(void)
{
	struct fixture f;
	struct order *o;
	int64_t last = 0;

	fixture_init(&f);
	REQUIRE(reader_begin(f.reader, &last, &f.shop.e) == 0);
	CHECK_INT(last, 2);
	REQUIRE(journal_begin(f.shop.journal, &f.shop.e) == 0);
	o = shop_place(&f.shop, "a@x.org", "A");
	CHECK_INT(list(&f, NULL, NULL, 0, 10).n, 0);
	REQUIRE(journal_put_order(f.shop.journal, o, &f.shop.e) == 0);
	REQUIRE(journal_commit(f.shop.journal, &f.shop.e) == 0);
	CHECK_INT(list(&f, NULL, NULL, 0, 10).n, 0);
	reader_end(f.reader);
	CHECK_INT(list(&f, NULL, NULL, 0, 10).n, 1);
	order_free(o);
	fixture_fini(&f);
}

static void an_order_is_folded_up_to_any_event(void)
{
	struct fixture f;
	struct order *o = NULL;
	struct arena arena = {0};
	struct event_list events;
	struct pipeline_set fresh = {0};
	struct reader *other;
	int64_t seq;

	fixture_init(&f);
	seq = shop_sell(&f.shop, "a@x.org", "A", 9);
	event_list_init(&events, &arena);
	CHECK_INT(reader_order(f.reader, seq, INT64_MAX, &o, &events, &f.shop.e), 0);
	CHECK_TEXT(order_status(o), "completed");
	CHECK_INT(events.n, 5);
	CHECK(id_eq(&events.first->next->order_id, &o->id));
	order_free(o);
	CHECK_INT(reader_order(f.reader, seq, seq + 1, &o, NULL, &f.shop.e), 0);
	CHECK_TEXT(order_status(o), "taking");
	order_free(o);
	CHECK_INT(reader_order(f.reader, seq + 1, INT64_MAX, &o, NULL, &f.shop.e), -ENOENT);
	CHECK_INT(reader_order(f.reader, seq, seq - 1, &o, NULL, &f.shop.e), -ENOENT);
	/* A process that has not seen the generation takes it from the journal. */
	REQUIRE(reader_open(f.shop.path, &fresh, &other, &f.shop.e) == 0);
	CHECK_INT(reader_order(other, seq, INT64_MAX, &o, NULL, &f.shop.e), 0);
	CHECK_TEXT(o->pipeline->digest, f.shop.pipeline->digest);
	order_free(o);
	reader_close(other);
	pipeline_set_fini(&fresh);
	arena_fini(&arena);
	fixture_fini(&f);
}

static void events_that_do_not_fit_are_named(void)
{
	struct fixture f;
	struct order *o = NULL;
	sqlite3 *db;
	int64_t seq;

	fixture_init(&f);
	seq = shop_sell(&f.shop, "a@x.org", "A", 9);
	REQUIRE(sqlite3_open(f.shop.path, &db) == SQLITE_OK);
	CHECK_INT(sqlite3_exec(db, "DELETE FROM events WHERE seq = 4", NULL, NULL, NULL), 0);
	CHECK_INT(reader_order(f.reader, seq, INT64_MAX, &o, NULL, &f.shop.e), -EPROTO);
	CHECK(strstr(err_text(&f.shop.e), "event 5 (taken)") != NULL);
	CHECK_INT(sqlite3_exec(db, "UPDATE events SET payload = '{'", NULL, NULL, NULL), 0);
	CHECK_INT(reader_order(f.reader, seq, INT64_MAX, &o, NULL, &f.shop.e), -EPROTO);
	CHECK(strstr(err_text(&f.shop.e), "event 3: its payload") != NULL);
	sqlite3_close(db);
	fixture_fini(&f);
}

static void events_come_in_order_with_their_order_ids(void)
{
	struct fixture f;
	struct arena arena = {0};
	struct event_list events;
	int64_t after = 1;

	fixture_init(&f);
	shop_sell(&f.shop, "a@x.org", "A", 9);
	event_list_init(&events, &arena);
	CHECK_INT(reader_events(f.reader, &after, 3, &events, &f.shop.e), 3);
	CHECK_INT(after, 4);
	CHECK_INT(events.first->seq, 2);
	CHECK_INT(events.first->n_effects, 2);
	CHECK(id_eq(&events.first->next->order_id, &events.first->next->next->order_id));
	CHECK_INT(events.first->next->next->order_seq, 3);
	after = 7;
	CHECK_INT(reader_events(f.reader, &after, 3, &events, &f.shop.e), 0);
	CHECK_INT(after, 7);
	arena_fini(&arena);
	fixture_fini(&f);
}

static void lists_filter_by_status_and_query(void)
{
	struct fixture f;
	struct found found;
	struct order *o;
	int64_t a, b, c, d;
	char id[ID_TEXT_SIZE];

	fixture_init(&f);
	a = shop_sell(&f.shop, "Ann@x.org", "A", 9);
	b = shop_sell(&f.shop, "ann.b@x.org", "B", 1);
	c = shop_sell(&f.shop, "bob@x.org", "ann", 9);
	d = shop_sell(&f.shop, "bob@x.org", "A", 0);
	found = list(&f, NULL, NULL, 0, 10);
	CHECK_INT(found.n, 4);
	CHECK(found.seqs[0] == d && found.seqs[1] == c && found.seqs[2] == b && found.seqs[3] == a);
	CHECK(strstr(found.body, "Ann@x.org") != NULL);
	CHECK_INT(list(&f, NULL, NULL, c, 1).seqs[0], b);
	CHECK_INT(list(&f, "completed", NULL, 0, 10).n, 2);
	CHECK_INT(list(&f, "open", NULL, 0, 10).n, 2);
	CHECK_INT(list(&f, "taking", NULL, 0, 10).seqs[0], b);
	CHECK_INT(list(&f, NULL, "ANN@", 0, 10).n, 1);
	CHECK_INT(list(&f, NULL, "bob@x.org", 0, 10).n, 2);
	CHECK_INT(list(&f, NULL, "A", 0, 10).n, 3); /* a and b by e-mail, a and d by product */
	found = list(&f, NULL, "ann", 0, 10);	    /* a and b by e-mail, c by product */
	CHECK_INT(found.n, 3);
	CHECK(found.seqs[0] == c && found.seqs[1] == b && found.seqs[2] == a);
	CHECK_INT(list(&f, NULL, "ann", 0, 2).n, 2);
	CHECK_INT(list(&f, "open", "A", 0, 10).n, 2);
	CHECK_INT(list(&f, "completed", "ann", b, 10).n, 1);
	CHECK_INT(list(&f, NULL, "nobody", 0, 10).n, 0);
	CHECK_INT(reader_order(f.reader, b, INT64_MAX, &o, NULL, &f.shop.e), 0);
	id_text(&o->id, id);
	CHECK_INT(list(&f, NULL, id, 0, 10).seqs[0], b);
	CHECK_INT(list(&f, "completed", id, 0, 10).n, 0);
	order_free(o);
	fixture_fini(&f);
}

/* Events that are about no order, until the next one is in another run of addresses. */
static void fill_run(struct shop *s)
{
	struct event ev = {
		.kind = EVENT_STATE_ADJUSTED, .type = STR("state_adjusted"), .duration_ms = -1};
	int64_t run = journal_last_seq(s->journal) >> 15;

	REQUIRE(journal_begin(s->journal, &s->e) == 0);
	while (journal_last_seq(s->journal) >> 15 == run)
		REQUIRE(journal_append(s->journal, &ev, &s->e) == 0);
	REQUIRE(journal_commit(s->journal, &s->e) == 0);
}

static void an_address_is_found_however_long_ago_it_was(void)
{
	struct fixture f;
	struct found found;
	int64_t a, b, c, d;

	fixture_init(&f);
	a = shop_sell(&f.shop, "ann@x.org", "A", 9);
	b = shop_sell(&f.shop, "bob@x.org", "A", 9);
	fill_run(&f.shop);
	shop_sell(&f.shop, "cat@x.org", "A", 9);
	fill_run(&f.shop);
	c = shop_sell(&f.shop, "ann@x.org", "A", 9);
	d = shop_sell(&f.shop, "ann@y.org", "A", 1);
	found = list(&f, NULL, "ann@", 0, 10);
	CHECK_INT(found.n, 3);
	CHECK(found.seqs[0] == d && found.seqs[1] == c && found.seqs[2] == a);
	CHECK_INT(list(&f, NULL, "bob@x.org", 0, 10).seqs[0], b);
	CHECK_INT(list(&f, "completed", "ann@", 0, 1).seqs[0], c);
	CHECK_INT(list(&f, NULL, "ann@", c, 10).seqs[0], a);
	CHECK_INT(list(&f, NULL, "ann@", a, 10).n, 0);
	fixture_fini(&f);
}

static void orders_at_a_stage_are_found_page_by_page(void)
{
	struct fixture f;
	struct found found;
	int64_t paying, before = 0;
	size_t n = 0;

	fixture_init(&f);
	paying = shop_sell(&f.shop, "a@x.org", "A", 0);
	for (int i = 0; i < 450; i++) /* more than are folded at once */
		shop_sell(&f.shop, "b@x.org", "A", i % 10 ? 1 : 9);
	found = list(&f, "paying", NULL, 0, 10);
	CHECK_INT(found.n, 1);
	CHECK_INT(found.seqs[0], paying);
	CHECK_INT(found.next, 0);
	do {
		found = list(&f, "taking", NULL, before, 40);
		CHECK(found.n == 40 || !found.next);
		CHECK(!found.next || found.next == found.seqs[found.n - 1]);
		before = found.next;
		n += found.n;
	} while (before);
	CHECK_INT(n, 405);
	CHECK_INT(list(&f, "completed", NULL, 0, 40).n, 40);
	CHECK(list(&f, "completed", NULL, 0, 40).next > 0);
	CHECK_INT(list(&f, "compensating", NULL, 0, 40).n, 0);
	fixture_fini(&f);
}

static int on_count(void *arg, struct str status, int64_t n)
{
	struct buf *out = arg;

	buf_fmt(out, "%.*s=%lld ", (int)status.n, status.p, (long long)n);
	return 0;
}

static void counts_and_unfinished_orders(void)
{
	struct fixture f;
	_cleanup_(buf_fini) struct buf counts = {0};
	int64_t seqs[4];

	fixture_init(&f);
	shop_sell(&f.shop, "a@x.org", "A", 9);
	shop_sell(&f.shop, "a@x.org", "A", 9);
	shop_sell(&f.shop, "a@x.org", "A", 1);
	CHECK_INT(reader_counts(f.reader, on_count, &counts, &f.shop.e), 0);
	CHECK_TEXT(counts.data, "=1 completed=2 ");
	CHECK_INT(reader_unfinished(f.reader, 0, seqs, 4, &f.shop.e), 1);
	CHECK_INT(seqs[0], 13);
	CHECK_INT(reader_unfinished(f.reader, 13, seqs, 4, &f.shop.e), 0);
	fixture_fini(&f);
}

static int on_entry(void *arg, struct str key, struct str json)
{
	struct buf *out = arg;

	buf_fmt(out, "%.*s=%.*s ", (int)key.n, key.p, (int)json.n, json.p);
	return 0;
}

static void the_state_is_read_by_prefix(void)
{
	struct fixture f;
	_cleanup_(buf_fini) struct buf all = {0};
	_cleanup_(buf_fini) struct buf some = {0};
	struct state_page first = {.limit = 9}, stock = {.prefix = STR("stock/"), .limit = 9};
	struct state_page next = {.after = STR("stock/A"), .limit = 9};

	fixture_init(&f);
	CHECK_INT(reader_state(f.reader, &first, on_entry, &all, &f.shop.e), 2);
	CHECK_TEXT(all.data, "note={\"n\":1.5} stock/A=1000000 ");
	CHECK_INT(reader_state(f.reader, &stock, on_entry, &some, &f.shop.e), 1);
	CHECK_TEXT(some.data, "stock/A=1000000 ");
	CHECK_INT(reader_state(f.reader, &next, on_entry, &some, &f.shop.e), 0);
	fixture_fini(&f);
}

/* --- the past --- */

/* Sells until the state has changed often, and says after each event what it should be. */
static void the_state_as_it_was_is_a_fold_of_the_events_before(void)
{
	struct state_page page = {.limit = 9};
	struct fixture f;
	int64_t last;

	fixture_init(&f);
	for (int i = 0; i < 40; i++) {
		_cleanup_(buf_fini) struct buf want = {0}, is = {0};

		shop_sell(&f.shop, "a@x.org", "A", 9);
		last = journal_last_seq(f.shop.journal);
		buf_fmt(&want, "note={\"n\":1.5} stock/A=%d ", 999999 - i);
		shop_sell(&f.shop, "b@x.org", "A", 9);
		/* Two are sold by now; one was then. */
		CHECK_INT(reader_state_at(f.reader, last, &page, on_entry, &is, &f.shop.e), 2);
		buf_clear(&want);
		buf_fmt(&want, "note={\"n\":1.5} stock/A=%d ", 999999 - 2 * i);
		CHECK_TEXT(is.data, want.data);
	}
	CHECK_INT(reader_state_at(f.reader, 1, &page, on_entry, NULL, &f.shop.e), 0);
	fixture_fini(&f);
}

static void a_time_means_the_event_before_the_first_later_one(void)
{
	struct fixture f;
	struct event_list list;
	struct order *o = NULL;
	struct arena arena = {0};
	int64_t seq, at = -1, us;

	fixture_init(&f);
	shop_sell(&f.shop, "a@x.org", "A", 9);
	seq = shop_sell(&f.shop, "b@x.org", "A", 9);
	event_list_init(&list, &arena);
	REQUIRE(reader_order(f.reader, seq, INT64_MAX, &o, &list, &f.shop.e) == 0);
	us = list.first->next->time_us;
	CHECK_INT(reader_order_seq_at(f.reader, seq, us, &at, &f.shop.e), 0);
	CHECK_INT(at, seq + 1);
	CHECK_INT(reader_order_seq_at(f.reader, seq, us - 1, &at, &f.shop.e), 0);
	CHECK_INT(at, seq);
	CHECK_INT(reader_order_seq_at(f.reader, seq, 5, &at, &f.shop.e), 0);
	CHECK_INT(at, seq - 1);
	CHECK_INT(reader_order_seq_at(f.reader, seq, INT64_MAX, &at, &f.shop.e), 0);
	CHECK_INT(at, INT64_MAX);
	CHECK_INT(reader_seq_at(f.reader, us, seq + 4, &at, &f.shop.e), 0);
	CHECK_INT(at, seq + 1);
	CHECK_INT(reader_seq_at(f.reader, us - 1, seq + 4, &at, &f.shop.e), 0);
	CHECK_INT(at, seq);
	CHECK_INT(reader_seq_at(f.reader, 5, seq + 4, &at, &f.shop.e), 0);
	CHECK_INT(at, 0);
	CHECK_INT(reader_seq_at(f.reader, INT64_MAX, seq + 4, &at, &f.shop.e), 0);
	CHECK_INT(at, seq + 4);
	order_free(o);
	arena_fini(&arena);
	fixture_fini(&f);
}

/* --- plans --- */

struct plans {
	int n, n_full_scans, n_sorts;
};

static int on_profile(unsigned what, void *arg, void *statement, void *time)
{
	struct plans *p = arg;

	(void)what;
	(void)time;
	p->n++;
	/* The items of each body that is looked at count as steps, too: one item for each of 20 rows, and
	 * of those in the last block. */
	p->n_full_scans += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0) > 40;
	p->n_sorts += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_SORT, 0) > 0;
	return 0;
}

static void lists_neither_scan_nor_sort(void)
{
	static const struct {
		const char *status, *query;
		int sorts; /* few e-mail matches are sorted */
	} cases[] = {{NULL, NULL, 0}, {"completed", NULL, 0}, {"open", NULL, 0}, {NULL, "A", 1},
		{NULL, "bob@", 1}, {"open", "bob@", 0}, {"completed", "A", 1},
		{NULL, "0190a000-0000-7000-8000-000000000000", 0}};
	struct fixture f;
	int64_t last, seqs[100];

	fixture_init(&f);
	shop_trade(&f.shop, 300);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct plans plans = {0};

		sqlite3_trace_v2(f.reader->db, SQLITE_TRACE_PROFILE, on_profile, &plans);
		list(&f, cases[i].status, cases[i].query, 0, 20);
		sqlite3_trace_v2(f.reader->db, 0, NULL, NULL);
		CHECK(plans.n > 0);
		CHECK_INT(plans.n_full_scans, 0);
		CHECK_INT(plans.n_sorts, cases[i].sorts);
	}
	struct plans plans = {0};
	sqlite3_trace_v2(f.reader->db, SQLITE_TRACE_PROFILE, on_profile, &plans);
	CHECK(reader_unfinished(f.reader, 0, seqs, 100, &f.shop.e) > 0);
	REQUIRE(reader_begin(f.reader, &last, &f.shop.e) == 0);
	reader_end(f.reader);
	CHECK_INT(plans.n_full_scans, 0);
	CHECK_INT(plans.n_sorts, 0);
	sqlite3_trace_v2(f.reader->db, 0, NULL, NULL);
	fixture_fini(&f);
}

UNIT_MAIN("reader", TEST(a_reader_sees_one_moment_and_is_never_in_the_way),
	TEST(an_order_is_folded_up_to_any_event), TEST(events_that_do_not_fit_are_named),
	TEST(events_come_in_order_with_their_order_ids), TEST(lists_filter_by_status_and_query),
	TEST(an_address_is_found_however_long_ago_it_was),
	TEST(orders_at_a_stage_are_found_page_by_page), TEST(counts_and_unfinished_orders),
	TEST(the_state_is_read_by_prefix), TEST(the_state_as_it_was_is_a_fold_of_the_events_before),
	TEST(a_time_means_the_event_before_the_first_later_one), TEST(lists_neither_scan_nor_sort))
