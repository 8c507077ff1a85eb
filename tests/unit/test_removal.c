/* Erasing: what orders said is in no byte of the files any more, chain and projections still hold, and what is
 * changed afterwards is named. */
#include <unistd.h>

#include "journal/reader_room.h"
#include "journal/verify.h"
#include "model/remains.h"
#include "shop.h"

static void check_sound(struct shop *s)
{
	int64_t last = -1;
	int r = journal_verify(s->path, &last, &s->e);

	if (r == 0)
		r = journal_compare(s->path, &s->set, &s->e);
	if (r < 0)
		fprintf(stderr, "not sound: %s\n", err_text(&s->e));
	CHECK_INT(r, 0);
}

static struct event *removal(struct shop *s, int64_t order_seq, enum event_kind kind)
{
	struct event_list list;
	struct event *ev;

	event_list_init(&list, &s->arena);
	ev = event_list_add(&list, kind);
	REQUIRE(ev != NULL);
	ev->time_us = s->now_us;
	ev->order_seq = order_seq;
	ev->reason = STR("a letter of May");
	if (kind == EVENT_ORDER_ARCHIVED)
		ev->metadata = STR("{\"file\":\"a.sqlite\"}");
	return ev;
}

/* Within the open batch. */
static int erase(struct shop *s, int64_t order_seq)
{
	return journal_remove(s->journal, removal(s, order_seq, EVENT_ORDER_ERASED), &s->e);
}

static void erase_alone(struct shop *s, int64_t order_seq)
{
	REQUIRE(journal_begin(s->journal, &s->e) == 0);
	CHECK_INT(erase(s, order_seq), 0);
	REQUIRE(journal_commit(s->journal, &s->e) == 0);
}

/* In how many places of the journal's files the text stands. */
static int count_in_files(const struct shop *s, const char *text)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	int n = 0;

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		_cleanup_(buf_fini) struct buf b = {0};
		char name[160], block[65536];
		size_t got;
		FILE *f;

		snprintf(name, sizeof name, "%s%s", s->path, ends[i]);
		f = fopen(name, "rb");
		while (f && (got = fread(block, 1, sizeof block, f)) > 0)
			buf_add(&b, block, got);
		if (f)
			fclose(f);
		for (char *p = b.data; p; p = p ? p + 1 : NULL) {
			p = memmem(p, b.len - (size_t)(p - b.data), text, strlen(text));
			n += p != NULL;
		}
	}
	return n;
}

static void scrub(struct shop *s)
{
	CHECK(journal_has_leftovers(s->journal));
	CHECK_INT(journal_scrub(s->journal, &s->e), 0);
	CHECK(!journal_has_leftovers(s->journal));
}

static void what_is_erased_is_in_no_byte_of_the_files(void)
{
	struct shop s;
	int64_t first, second;

	shop_init(&s);
	first = shop_sell(&s, "Ann.Erased@example.com", "GIFT-FOR-ANN", 9);
	second = shop_sell(&s, "bob@y.org", "A", 9);
	CHECK(count_in_files(&s, "Ann.Erased") > 0);
	CHECK(count_in_files(&s, "ann.erased") > 0);
	erase_alone(&s, first);
	scrub(&s);
	CHECK_INT(count_in_files(&s, "Ann.Erased"), 0);
	CHECK_INT(count_in_files(&s, "ann.erased"), 0);
	CHECK_INT(count_in_files(&s, "GIFT-FOR"), 0);
	CHECK(count_in_files(&s, "bob@y.org") > 0);
	check_sound(&s);
	erase_alone(&s, second);
	scrub(&s);
	CHECK_INT(count_in_files(&s, "bob@y.org"), 0);
	CHECK_INT(count_in_files(&s, "R-1"), 0);
	CHECK_INT(count_in_files(&s, "key-"), 0);
	check_sound(&s);
	shop_reopen(&s);
	shop_sell(&s, "carl@z.org", "B", 9);
	check_sound(&s);
	shop_fini(&s);
}

/* Addresses in no order, so that pages of the index are split and emptied in all ways; long bodies, so that some
 * have pages of their own. */
static void of_thousands_that_are_erased_nothing_is_left(void)
{
	enum { N = 4000 };
	struct shop s;
	static int64_t seqs[N];
	char name[64], *product = malloc(9001);
	int left = 0;

	REQUIRE(product != NULL);
	memset(product, 'p', 9000);
	product[9000] = '\0';
	shop_init(&s);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "%08llx.gone@x.org",
			(unsigned long long)(shop_random(&s) & 0xffffffff));
		seqs[i] = shop_sell(&s, name, i % 7 ? "A" : product + shop_random(&s) % 8900, 9);
	}
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	for (int i = 0; i < N; i++)
		if (i % 3)
			CHECK_INT(erase(&s, seqs[i]), 0);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	check_sound(&s);
	for (int i = 0; i < N; i += 3)
		erase_alone(&s, seqs[i]);
	scrub(&s);
	left = count_in_files(&s, ".gone@x.org");
	CHECK_INT(left, 0);
	CHECK_INT(count_in_files(&s, "ppppp"), 0);
	check_sound(&s);
	free(product);
	shop_fini(&s);
}

static void only_orders_that_have_ended_are_erased_and_once(void)
{
	struct shop s;
	int64_t done, open;

	shop_init(&s);
	done = shop_sell(&s, "a@x.org", "A", 9);
	open = shop_sell(&s, "b@x.org", "A", 1);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	CHECK_INT(erase(&s, open), -EBUSY);
	CHECK_INT(erase(&s, 4711), -ENOENT);
	CHECK_INT(erase(&s, done + 1), -ENOENT);
	CHECK_INT(erase(&s, done), 0);
	CHECK_INT(erase(&s, done), -EALREADY);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	check_sound(&s);
	shop_fini(&s);
}

static void a_rollback_takes_the_erasing_back(void)
{
	struct shop s;
	int64_t seq;

	shop_init(&s);
	seq = shop_sell(&s, "a@x.org", "A", 9);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	CHECK_INT(erase(&s, seq), 0);
	journal_rollback(s.journal);
	CHECK(count_in_files(&s, "a@x.org") > 0);
	check_sound(&s);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	CHECK_INT(erase(&s, seq), 0);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	check_sound(&s);
	shop_fini(&s);
}

static struct order *read_order(struct shop *s, int64_t seq, int64_t at)
{
	struct reader *r;
	struct order *o = NULL;

	REQUIRE(reader_open(s->path, &s->set, &r, &s->e) == 0);
	CHECK_INT(reader_order(r, seq, at, &o, NULL, &s->e), 0);
	reader_close(r);
	REQUIRE(o != NULL);
	return o;
}

static void order_text(const struct order *o, struct buf *out)
{
	struct json_writer w = {out, false};

	order_json(o, &w);
}

static void an_erased_order_shows_what_remains(void)
{
	_cleanup_(buf_fini) struct buf text = {0}, folded = {0};
	struct order *o, *live;
	struct shop s;
	struct event *ev;
	int64_t seq;

	shop_init(&s);
	seq = shop_sell(&s, "a@x.org", "A", 9);
	live = read_order(&s, seq, INT64_MAX);
	ev = removal(&s, seq, EVENT_ORDER_ERASED);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	CHECK_INT(journal_remove(s.journal, ev, &s.e), 0);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	o = read_order(&s, seq, INT64_MAX);
	CHECK_TEXT(o->body, "{\"total_amount\":12.5}");
	CHECK_TEXT(o->removed, "erased");
	CHECK_TEXT(order_status(o), "completed");
	CHECK_TEXT(order_stage_word(o, 0), "done");
	CHECK_TEXT(order_stage_word(o, 2), "done");
	CHECK(o->stages[0].result == NULL);
	order_text(o, &text);
	CHECK(strstr(text.data, "\"erased\":true,\"erased_at\":\"2023-") != NULL);
	/* Whoever saw it whole and applies the removal sees the same. */
	CHECK_INT(apply(live, ev), 0);
	order_text(live, &folded);
	CHECK_TEXT(folded.data, text.data);
	order_free(live);
	order_free(o);
	o = read_order(&s, seq, seq);
	CHECK_TEXT(order_status(o), "paying");
	CHECK_TEXT(o->removed, "erased");
	CHECK_INT(o->removed_us, 0);
	order_free(o);
	shop_fini(&s);
}

static void an_archived_order_says_where_it_is(void)
{
	_cleanup_(buf_fini) struct buf text = {0};
	struct order *o;
	struct shop s;
	int64_t seq;

	shop_init(&s);
	seq = shop_sell(&s, "a@x.org", "A", 9);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	CHECK_INT(journal_remove(s.journal, removal(&s, seq, EVENT_ORDER_ARCHIVED), &s.e), 0);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	o = read_order(&s, seq, INT64_MAX);
	order_text(o, &text);
	CHECK(strstr(text.data, "\"archived\":true,\"archived_at\":") != NULL);
	CHECK(strstr(text.data, "\"archive\":{\"file\":\"a.sqlite\"}") != NULL);
	order_free(o);
	check_sound(&s);
	shop_fini(&s);
}

/* Changes the closed file of one erased order and another by SQL; then verification must say `want`. */
static void check_damage(const char *sql, const char *want)
{
	struct shop s;
	sqlite3 *db;
	int64_t last = -1, seq;
	int r;

	shop_init(&s);
	seq = shop_sell(&s, "a@x.org", "A", 9);
	shop_sell(&s, "b@x.org", "B", 9);
	CHECK_INT(seq, 3);
	erase_alone(&s, seq);
	journal_close(steal_ptr(s.journal));
	CHECK_INT(journal_verify(s.path, &last, &s.e), 0);
	CHECK_INT(last, 13);
	REQUIRE(sqlite3_open(s.path, &db) == SQLITE_OK);
	r = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (r != SQLITE_OK)
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
	CHECK_INT(journal_verify(s.path, &last, &s.e), -EBADMSG);
	if (!strstr(err_text(&s.e), want))
		fprintf(stderr, "%s: %s\n", sql, err_text(&s.e));
	CHECK(strstr(err_text(&s.e), want) != NULL);
	shop_fini(&s);
}

static void changes_of_what_remains_are_named(void)
{
	check_damage("UPDATE events SET payload = replace(payload, '12.5', '99.5') WHERE seq = 3",
		"event 3 was changed: what remains");
	check_damage("UPDATE events SET payload = replace(payload, '-1', '-2') WHERE seq = 5",
		"event 5 was changed: what remains");
	check_damage("UPDATE events SET payload = NULL WHERE seq = 4",
		"event 4 was changed: its payload");
	check_damage(
		"UPDATE events SET digest = zeroblob(32) WHERE seq = 4", "event 4 was changed:");
	check_damage("UPDATE events SET digest = x'00' WHERE seq = 4",
		"event 4 was changed: its digest");
	check_damage("UPDATE events SET salt = zeroblob(16) WHERE seq = 3",
		"event 3 was changed: its payload");
	check_damage("UPDATE events SET payload = replace(payload, 'May', 'Jun') WHERE seq = 13",
		"event 3 was changed: its salt is missing");
	check_damage("UPDATE events SET salt = NULL WHERE seq = 8",
		"event 8 was changed: its salt is missing");
	check_damage("DELETE FROM events WHERE seq = 13;"
		     "UPDATE events SET payload = '{}' WHERE seq = 3",
		"event 3 was changed: its salt is missing");
}

static void random_trade_with_erasing_is_a_fold_of_its_events(void)
{
	const char *given = getenv("STAGELINE_SEED");
	struct shop s;
	int64_t last;
	int n = 0;

	shop_init(&s);
	s.random = given ? strtoull(given, NULL, 0) : (uint64_t)clock_wall_us();
	printf("seed %llu ", (unsigned long long)s.random);
	for (int round = 0; round < 6; round++) {
		shop_trade(&s, 150);
		last = journal_last_seq(s.journal);
		REQUIRE(journal_begin(s.journal, &s.e) == 0);
		for (int i = 0; i < 400; i++) {
			int64_t seq = 3 + (int64_t)(shop_random(&s) % (uint64_t)last);
			int r = erase(&s, seq);

			CHECK(r == 0 || r == -ENOENT || r == -EBUSY || r == -EALREADY);
			n += r == 0;
		}
		if (round % 3 == 1)
			journal_rollback(s.journal);
		else
			REQUIRE(journal_commit(s.journal, &s.e) == 0);
		check_sound(&s);
	}
	CHECK(n > 30);
	shop_reopen(&s);
	shop_trade(&s, 50);
	check_sound(&s);
	shop_fini(&s);
}

static void products_are_found_while_somebody_else_named_them(void)
{
	struct shop s;
	sqlite3 *db;
	int64_t first, second, n = -1;

	shop_init(&s);
	first = shop_sell(&s, "a@x.org", "ONLY-ONE", 9);
	second = shop_sell(&s, "b@x.org", "ONLY-ONE", 9);
	erase_alone(&s, first);
	check_sound(&s);
	REQUIRE(sql_open(s.path, SQL_READ, &db, &s.e) == 0);
	REQUIRE(sql_number(db, "SELECT count(*) FROM product_blocks WHERE product = 'ONLY-ONE'", 0,
			&n, &s.e) == 0);
	CHECK_INT(n, 1);
	erase_alone(&s, second);
	REQUIRE(sql_number(db, "SELECT count(*) FROM product_blocks", 0, &n, &s.e) == 0);
	CHECK_INT(n, 0);
	sqlite3_close(db);
	/* The writer does not believe that the row is still there. */
	shop_sell(&s, "c@x.org", "ONLY-ONE", 9);
	check_sound(&s);
	shop_fini(&s);
}

/* Erasing must not stop at an order beside it that cannot be read. */
static void an_order_beside_a_damaged_one_is_erased(void)
{
	static const char *const damages[] = {
		"UPDATE events SET payload = '{\"order\":' WHERE seq = ?1",
		"UPDATE events SET payload = '{\"order\":{\"items\":[\"A\",7]}}' WHERE seq = ?1",
	};

	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		struct shop s;
		sqlite3_stmt *damage;
		sqlite3 *db;
		int64_t damaged, erased, n = -1;

		shop_init(&s);
		damaged = shop_sell(&s, "a@x.org", "A", 9);
		erased = shop_sell(&s, "b@x.org", "A", 9);
		REQUIRE(sqlite3_open(s.path, &db) == SQLITE_OK);
		REQUIRE(sqlite3_prepare_v2(db, damages[i], -1, &damage, NULL) == SQLITE_OK);
		sqlite3_bind_int64(damage, 1, damaged);
		REQUIRE(sqlite3_step(damage) == SQLITE_DONE);
		sqlite3_finalize(damage);
		erase_alone(&s, erased);
		REQUIRE(sql_number(db, "SELECT count(*) FROM product_blocks", 0, &n, &s.e) == 0);
		CHECK_INT(n, 0);
		sqlite3_close(db);
		shop_fini(&s);
	}
}

UNIT_MAIN("removal", TEST(what_is_erased_is_in_no_byte_of_the_files),
	TEST(of_thousands_that_are_erased_nothing_is_left),
	TEST(only_orders_that_have_ended_are_erased_and_once),
	TEST(a_rollback_takes_the_erasing_back), TEST(an_erased_order_shows_what_remains),
	TEST(an_archived_order_says_where_it_is), TEST(changes_of_what_remains_are_named),
	TEST(random_trade_with_erasing_is_a_fold_of_its_events),
	TEST(products_are_found_while_somebody_else_named_them),
	TEST(an_order_beside_a_damaged_one_is_erased))
