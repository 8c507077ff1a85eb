/* Files of older versions: each is brought up to date, loses nothing, and its projections are what its events
 * give. tests/unit/journals has one file of each version, written by the daemon of that time. */
#include "journal/schema.h"

#include <unistd.h>

#include "journal/journal.h"
#include "journal/reader.h"
#include "journal/verify.h"
#include "unit.h"

static void copy(const char *from, const char *to)
{
	char bytes[65536];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	size_t n;

	REQUIRE(in && out);
	while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
		REQUIRE(fwrite(bytes, 1, n, out) == n);
	REQUIRE(fclose(in) == 0 && fclose(out) == 0);
}

static int on_row(void *arg, const struct order_row *row)
{
	struct buf *out = arg;

	buf_fmt(out, "%.*s=%.*s ", (int)row->status.n, row->status.p, (int)row->error.n,
		row->error.p);
	return 0;
}

/* `orders`: what the list of them shows. */
static void check_upgrade(const char *file, int64_t n_events, int n_orders, const char *orders)
{
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char folder[] = "/tmp/stageline-schema-XXXXXX", path[64], name[80];
	_cleanup_(buf_fini) struct buf list = {0};
	struct order_filter all = {.limit = 10};
	struct pipeline_set set = {0};
	struct journal *journal = NULL;
	struct reader *reader = NULL;
	int64_t last = 0, next;
	struct err e = {0};

	REQUIRE(mkdtemp(folder) != NULL);
	snprintf(path, sizeof path, "%s/journal.sqlite", folder);
	copy(file, path);
	CHECK_INT(reader_open(path, &set, &reader, &e), -EPROTO);
	CHECK_INT(journal_open(path, &journal, &e), 0);
	journal_close(journal);
	CHECK_INT(journal_verify(path, &last, &e), 0);
	CHECK_INT(last, n_events);
	CHECK_INT(journal_compare(path, &set, &e), 0);
	REQUIRE(reader_open(path, &set, &reader, &e) == 0);
	CHECK_INT(reader_orders(reader, &all, on_row, &list, &next, &e), n_orders);
	CHECK_TEXT(list.data, orders);
	reader_close(reader);
	pipeline_set_fini(&set);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s%s", path, ends[i]);
		remove(name);
	}
	CHECK_INT(rmdir(folder), 0);
}

#define JOURNALS SOURCE_ROOT "/tests/unit/journals/"
#define FIRST_ORDERS                                                                               \
	"inventory_check= inventory_check= on_hold=the bank did not answer "                       \
	"failed=Insufficient inventory completed= "

static void a_journal_of_schema_1_is_brought_up_to_date(void)
{
	check_upgrade(JOURNALS "schema-1.sqlite", 25, 5, FIRST_ORDERS);
}

static void a_journal_of_schema_2_is_brought_up_to_date(void)
{
	check_upgrade(JOURNALS "schema-2.sqlite", 39, 7, "completed= completed= " FIRST_ORDERS);
}

static void a_journal_of_schema_3_is_brought_up_to_date(void)
{
	check_upgrade(JOURNALS "schema-3.sqlite", 52, 9,
		"completed= completed= completed= completed= " FIRST_ORDERS);
}

UNIT_MAIN("schema", TEST(a_journal_of_schema_1_is_brought_up_to_date),
	TEST(a_journal_of_schema_2_is_brought_up_to_date),
	TEST(a_journal_of_schema_3_is_brought_up_to_date))
