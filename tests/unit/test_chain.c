/* The hash chain: its bytes as written down, and that no change of the file goes unseen. */
#include "journal/chain.h"

#include "alloc_fault.h"
#include "journal/verify.h"
#include "shop.h"
#include "sqlite3.h"

static void the_header_is_the_bytes_written_down(void)
{
	static const char want[] = "\0\0\0\0\0\0\1\2" /* seq */
				   "\0\5\6\7\x08\x09\x0a\x0b"
				   "\0\0\0\0\0\0\0\3"
				   "\0\0\0\2" /* kind */
				   "\0\0\0\7"
				   "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
				   "\0\0\0\4paid"
				   "\0\0\0\3pay";
	_cleanup_(buf_fini) struct buf b = {0};
	struct event ev = {.seq = 0x102,
		.time_us = 0x05060708090a0b,
		.order_seq = 3,
		.order_id = {{1, 2, 3}},
		.kind = EVENT_STAGE_DONE,
		.type = STR("paid"),
		.stage = STR("pay"),
		.attempt = 7};

	chain_header(&ev, &b);
	CHECK_INT(b.len, sizeof want - 1);
	CHECK(memcmp(b.data, want, sizeof want - 1) == 0);
	ev.kind = EVENT_ORDER_CREATED;
	buf_clear(&b);
	chain_header(&ev, &b);
	CHECK(memcmp(b.data + 32, "\1\2\3", 4) == 0);
}

/* Salt 00..0f, payload "{}", an event of zeros: SHA-256 by Python's hashlib. */
static void digest_and_hash_are_those_of_another_implementation(void)
{
	struct event ev = {.seq = 1, .kind = EVENT_STATE_ADJUSTED, .type = STR("state_adjusted")};
	uint8_t salt[CHAIN_SALT_SIZE], digest[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE] = {0};
	char text[DIGEST_TEXT_SIZE];
	struct chain c;

	for (uint8_t i = 0; i < CHAIN_SALT_SIZE; i++)
		salt[i] = i;
	REQUIRE(chain_init(&c) == 0);
	CHECK_INT(chain_digest(&c, salt, STR("{}"), digest), 0);
	digest_text(digest, text);
	CHECK_TEXT(text, "b5c1f9361eb9fbedd3e628a72d1c8fef46544361fd79fa6781baf6d932b1c3f6");
	CHECK_INT(chain_hash(&c, hash, &ev, digest, hash), 0);
	digest_text(hash, text);
	CHECK_TEXT(text, "057862ada11b4958fc6e8c5c6d63e34bb0ff3bd1d2013d3c13da1401a7bf25bc");
	chain_fini(&c);
}

/* Changes the closed file by SQL; then verification must say `want`. */
static void check_damage(const char *sql, const char *want)
{
	struct shop s;
	sqlite3 *db;
	int64_t last = -1;
	int r;

	shop_init(&s);
	shop_sell(&s, "a@x.org", "A", 9);
	shop_sell(&s, "b@x.org", "B", 9);
	journal_close(steal_ptr(s.journal));
	CHECK_INT(journal_verify(s.path, &last, &s.e), 0);
	CHECK_INT(last, 12);
	REQUIRE(sqlite3_open(s.path, &db) == SQLITE_OK);
	r = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (r != SQLITE_OK)
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
	CHECK_INT(r, SQLITE_OK);
	sqlite3_close(db);
	last = -1;
	CHECK_INT(journal_verify(s.path, &last, &s.e), -EBADMSG);
	CHECK_INT(last, -1);
	if (!strstr(err_text(&s.e), want))
		fprintf(stderr, "%s: %s\n", sql, err_text(&s.e));
	CHECK(strstr(err_text(&s.e), want) != NULL);
	shop_fini(&s);
}

static void a_changed_payload_is_named(void)
{
	check_damage("UPDATE events SET payload = replace(payload, '12.5', '99.5') WHERE seq = 3",
		"event 3 was changed: its payload is not what was appended");
	check_damage("UPDATE events SET payload = NULL WHERE seq = 4",
		"event 4 was changed: its payload is missing");
	check_damage("UPDATE events SET payload = payload || ' ' WHERE seq = 12",
		"event 12 was changed: its payload");
}

static void a_changed_header_is_named(void)
{
	static const char header[] = "event 4 was changed: its header is not what was appended";

	check_damage("UPDATE events SET time_us = time_us + 1 WHERE seq = 5",
		"event 5 was changed: its header");
	check_damage("UPDATE events SET type = 'refunded' WHERE seq = 4", header);
	check_damage("UPDATE events SET stage = NULL WHERE seq = 4", header);
	check_damage("UPDATE events SET attempt = 2 WHERE seq = 4", header);
	check_damage("UPDATE events SET kind = 7 WHERE seq = 4", header);
	check_damage("UPDATE events SET kind = 99 WHERE seq = 4",
		"event 4 was changed: its kind is unknown");
	check_damage("UPDATE events SET order_seq = 3 WHERE seq = 9", "event 9 was changed:");
	check_damage("UPDATE events SET order_seq = NULL WHERE seq = 9",
		"event 9 was changed: its salt is missing");
	check_damage("UPDATE events SET id = zeroblob(16) WHERE seq = 8",
		"event 8 was changed: its header");
	check_damage("UPDATE events SET salt = zeroblob(16) WHERE seq = 8",
		"event 8 was changed: its payload");
}

static void changed_types_are_named(void)
{
	static const char type[] = "event 4 was changed: a column is of another type";

	check_damage("UPDATE events SET payload = CAST(payload AS BLOB) WHERE seq = 4", type);
	check_damage("UPDATE events SET type = CAST(type AS BLOB) WHERE seq = 4", type);
	check_damage("UPDATE events SET time_us = time_us + 0.5 WHERE seq = 4", type);
	check_damage(
		"UPDATE events SET order_seq = 0 WHERE seq = 2", "event 2 was changed: a column");
	check_damage("UPDATE events SET stage = '' WHERE seq = 2", "event 2 was changed: a column");
}

static void changed_hashes_are_named(void)
{
	check_damage(
		"UPDATE events SET digest = zeroblob(32) WHERE seq = 6", "event 6 was changed:");
	check_damage("UPDATE events SET hash = zeroblob(32) WHERE seq = 6",
		"event 6 was changed: its stored hash is not its own");
	check_damage("UPDATE events SET hash = zeroblob(32) WHERE seq = 12",
		"event 12 was changed or put in");
	check_damage("UPDATE events SET hash = x'00' WHERE seq = 1",
		"event 1 was changed: its hash is missing");
}

static void deleted_events_are_named(void)
{
	check_damage(
		"DELETE FROM events WHERE seq = 7", "event 7 was deleted: missing; the next is 8");
	check_damage("DELETE FROM events WHERE seq IN (1, 2)",
		"event 1 was deleted: missing; the next is 3");
	check_damage("DELETE FROM events WHERE seq IN (5, 6); UPDATE events SET seq = -seq WHERE "
		     "seq > 4;"
		     "UPDATE events SET seq = -seq - 2 WHERE seq < 0",
		"event 5 was deleted: 2 events are gone");
}

static void reordered_events_are_named(void)
{
	check_damage("UPDATE events SET seq = -5 WHERE seq = 5;"
		     "UPDATE events SET seq = 5 WHERE seq = 6;"
		     "UPDATE events SET seq = 6 WHERE seq = -5",
		"event 5 was reordered: what was appended there stands as event 6");
	check_damage("UPDATE events SET seq = -5 WHERE seq = 5;"
		     "UPDATE events SET seq = 5 WHERE seq = 11;"
		     "UPDATE events SET seq = 11 WHERE seq = -5",
		"event 5 was reordered: what was appended there stands as event 11");
}

#define COPY_OF(from, to)                                                                          \
	"INSERT INTO events SELECT " #to ", time_us, order_seq, kind, type, stage, attempt,"       \
	" id, salt, payload, digest, hash FROM events WHERE seq = " #from ";"

static void inserted_events_are_named(void)
{
	check_damage(COPY_OF(12, 13), "event 13 was changed or put in");
	check_damage("UPDATE events SET seq = -seq WHERE seq > 5; UPDATE events SET seq = -seq + 1 "
		     "WHERE seq < 0;" COPY_OF(5, 6),
		"event 6 was inserted: what was appended there stands as event 7");
	check_damage(COPY_OF(12, 0), "event 0 was inserted: no event has such a number");
}

/* What `request` finds in a journal of two orders, after `sql` (may be NULL). */
static int verify_with(const char *sql, const struct verify_request *request,
	struct verify_report *ret, struct err *e)
{
	struct verify_request asked = *request;
	struct chain_head head;
	struct shop s;
	sqlite3 *db;
	int r;

	shop_init(&s);
	shop_sell(&s, "a@x.org", "A", 9);
	shop_sell(&s, "b@x.org", "B", 9);
	journal_close(steal_ptr(s.journal));
	REQUIRE(journal_verify_chain(s.path, &(struct verify_request){.until = 7}, ret, &s.e) == 0);
	CHECK_INT(ret->n_events, 7);
	head = ret->last;
	verify_report_fini(ret);
	if (!asked.n_heads) {
		asked.heads = &head;
		asked.n_heads = 1;
	}
	REQUIRE(sqlite3_open(s.path, &db) == SQLITE_OK);
	CHECK_INT(sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_OK, SQLITE_OK);
	sqlite3_close(db);
	r = journal_verify_chain(s.path, &asked, ret, e);
	shop_fini(&s);
	return r;
}

static void a_noted_head_shows_what_was_cut_off(void)
{
	_cleanup_(verify_report_fini) struct verify_report report;
	struct verify_request request = {0};
	struct err e = {0};

	CHECK_INT(verify_with("DELETE FROM events WHERE seq > 5", &request, &report, &e), -EBADMSG);
	CHECK_INT(report.fault, VERIFY_CUT_OFF);
	CHECK_INT(report.fault_seq, 6);
	CHECK_TEXT(err_text(&e), "event 6 was cut off: the journal ends with 5, and once had 7");
}

static void a_noted_head_shows_a_history_written_anew(void)
{
	_cleanup_(verify_report_fini) struct verify_report report;
	const struct chain_head other = {.seq = 9};
	struct verify_request request = {.heads = &other, .n_heads = 1};
	struct err e = {0};

	CHECK_INT(verify_with(NULL, &request, &report, &e), -EBADMSG);
	CHECK_INT(report.fault, VERIFY_REWRITTEN);
	CHECK_INT(report.fault_seq, 9);
}

static void a_right_head_and_a_later_start_are_fine(void)
{
	_cleanup_(verify_report_fini) struct verify_report report;
	struct verify_request request = {.from = 8};
	struct err e = {0};

	CHECK_INT(verify_with("UPDATE events SET attempt = 3 WHERE seq = 3", &request, &report, &e),
		0);
	CHECK_INT(report.n_events, 5);
	CHECK_INT(report.last.seq, 12);
	request = (struct verify_request){.from = 13};
	CHECK_INT(verify_with(NULL, &request, &report, &e), -ERANGE);
}

static void heads_are_read_as_they_are_written(void)
{
	struct chain_head head;
	char text[100];

	snprintf(text, sizeof text, "42:%064d", 7);
	CHECK_INT(chain_head_parse(str_of(text), &head), 0);
	CHECK_INT(head.seq, 42);
	CHECK_INT(head.hash[31], 7);
	CHECK_INT(chain_head_parse(STR("42:07"), &head), -EINVAL);
	CHECK_INT(chain_head_parse(STR(":"), &head), -EINVAL);
	CHECK_INT(chain_head_parse(STR("4x:"), &head), -EINVAL);
	text[40] = 'g';
	CHECK_INT(chain_head_parse(str_of(text), &head), -EINVAL);
}

/* A gap is known when a later event says so; the chain covers what it says. */
static void check_gap(const char *claim, const char *want)
{
	struct verify_report report;
	struct verify_request all = {0};
	int64_t last;
	struct event_list list;
	struct event *ev;
	struct shop s;
	sqlite3 *db;
	char text[DIGEST_TEXT_SIZE], metadata[200];
	int r;

	shop_init(&s);
	shop_sell(&s, "a@x.org", "A", 9);
	shop_sell(&s, "b@x.org", "B", 9);
	REQUIRE(journal_verify_chain(s.path, &(struct verify_request){.until = 9}, &report, &s.e) ==
		0);
	digest_text(report.last.hash, text);
	verify_report_fini(&report);
	snprintf(metadata, sizeof metadata, claim, text);
	event_list_init(&list, &s.arena);
	ev = event_list_add(&list, EVENT_JOURNAL_RECOVERED);
	ev->metadata = str_of(metadata);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	shop_append(&s, &list, NULL);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	journal_close(steal_ptr(s.journal));
	REQUIRE(sqlite3_open(s.path, &db) == SQLITE_OK);
	CHECK_INT(sqlite3_exec(db, "DELETE FROM events WHERE seq IN (7, 8)", NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(db);
	r = journal_verify_chain(s.path, &all, &report, &s.e);
	CHECK_INT(r, want ? -EBADMSG : 0);
	if (want)
		CHECK_TEXT(err_text(&s.e), want);
	CHECK_INT(report.gaps.n, want ? 0 : 1);
	CHECK_INT(report.n_unproven, want ? 0 : 4); /* of the order whose first event is 8 */
	verify_report_fini(&report);
	CHECK_INT(journal_verify(s.path, &last, &s.e), -EBADMSG);
	shop_fini(&s);
}

static void a_gap_must_be_told_of_as_it_is(void)
{
	check_gap("{\"missing\":[[7,8,\"%s\"]]}", NULL);
	check_gap("{\"missing\":[[7,9,\"%s\"]]}", "event 7 was deleted: missing; the next is 9");
	check_gap("{\"missing\":[[6,8,\"%s\"]]}", "event 7 was deleted: missing; the next is 9");
	check_gap("{\"missing\":[]}", "event 7 was deleted: missing; the next is 9");
	check_gap("{\"missing\":[[7,8,\"00%.62s\"]]}",
		"event 9 was changed: it is not the one after the known gap");
}

/* Changes the closed file by SQL; then the comparison must say `want`. */
static void check_difference(const char *sql, const char *want)
{
	struct shop s;
	sqlite3 *db;

	shop_init(&s);
	shop_sell(&s, "a@x.org", "A", 9);
	shop_sell(&s, "b@x.org", "B", 1);
	journal_close(steal_ptr(s.journal));
	CHECK_INT(journal_compare(s.path, &s.set, &s.e), 0);
	REQUIRE(sqlite3_open(s.path, &db) == SQLITE_OK);
	CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	CHECK_INT(journal_compare(s.path, &s.set, &s.e), -EBADMSG);
	CHECK_TEXT(err_text(&s.e), want);
	shop_fini(&s);
}

static void a_wrong_projection_is_named(void)
{
	check_difference("UPDATE orders SET status = 'failed' WHERE seq = 3",
		"orders, row 3: status is 'failed', the events give 'completed'");
	check_difference("DELETE FROM orders WHERE seq = 8", "orders, row 8: missing");
	check_difference("UPDATE state SET value = '7' WHERE key = 'stock/A'",
		"state, row stock/A: value is '7', the events give '999999'");
	check_difference("INSERT INTO state VALUES('z', '1')", "state, row z: no event gives it");
	check_difference(
		"DELETE FROM product_blocks WHERE product = 'B'", "product_blocks, row B: missing");
	check_difference("DELETE FROM generations", "generations, row ff4e38965fbe58e1: missing");
}

/* OpenSSL may allocate whenever a digest begins. */
static void a_hash_without_memory_says_so(void)
{
	struct event ev = {.seq = 1, .kind = EVENT_STATE_ADJUSTED, .type = STR("state_adjusted")};
	uint8_t salt[CHAIN_SALT_SIZE] = {0}, digest[CHAIN_HASH_SIZE], hash[CHAIN_HASH_SIZE] = {0};
	struct chain c;
	int r = -ENOMEM;

	REQUIRE(chain_init(&c) == 0);
	for (size_t n = 1; r < 0 && n < 20; n++) {
		alloc_fault_at(n);
		r = chain_digest(&c, salt, STR("{}"), digest);
		if (r == 0)
			r = chain_hash(&c, hash, &ev, digest, hash);
		CHECK(alloc_fault_end() == (r < 0));
		CHECK(r == 0 || r == -ENOMEM);
	}
	CHECK_INT(r, 0);
	chain_fini(&c);
}

UNIT_MAIN("chain", TEST(the_header_is_the_bytes_written_down),
	TEST(digest_and_hash_are_those_of_another_implementation), TEST(a_changed_payload_is_named),
	TEST(a_changed_header_is_named), TEST(changed_types_are_named),
	TEST(changed_hashes_are_named), TEST(deleted_events_are_named),
	TEST(reordered_events_are_named), TEST(inserted_events_are_named),
	TEST(a_noted_head_shows_what_was_cut_off), TEST(a_noted_head_shows_a_history_written_anew),
	TEST(a_right_head_and_a_later_start_are_fine), TEST(heads_are_read_as_they_are_written),
	TEST(a_gap_must_be_told_of_as_it_is), TEST(a_wrong_projection_is_named),
	TEST(a_hash_without_memory_says_so))
