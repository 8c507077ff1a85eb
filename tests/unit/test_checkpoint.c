/* Checkpoints beside the writer: the log begins anew and stays bounded, and what goes wrong in the thread for them
 * goes wrong for the journal. */
#include <sys/stat.h>

#include "fault_vfs.h"
#include "journal/checkpoint.h"
#include "journal/reader.h"
#include "journal/verify.h"
#include "shop.h"

enum { EVENT_BYTES = 1 << 20, EVENT_PAGES = EVENT_BYTES / 4096, BATCH_PAGES = 1000 };

static char text[EVENT_BYTES + 1];

/* One batch of about so many pages. */
static void append_pages(struct shop *s, int pages)
{
	struct event ev = {
		.kind = EVENT_STATE_ADJUSTED, .type = STR("state_adjusted"), .duration_ms = -1};

	memset(text, 'x', EVENT_BYTES);
	ev.message = str_of(text);
	REQUIRE(journal_begin(s->journal, &s->e) == 0);
	for (int n = 0; n < pages; n += EVENT_PAGES)
		REQUIRE(journal_append(s->journal, &ev, &s->e) == 0);
	REQUIRE(journal_commit(s->journal, &s->e) == 0);
}

static void append_batches(struct shop *s, int pages)
{
	for (int n = 0; n < pages; n += BATCH_PAGES)
		append_pages(s, BATCH_PAGES);
}

static int64_t log_pages(const struct shop *s)
{
	struct journal_size size;

	journal_measure(s->journal, &size);
	return size.wal_bytes / 4096;
}

static void check_sound(struct shop *s)
{
	int64_t last = -1;
	int r = journal_verify(s->path, &last, &s->e);

	if (r < 0)
		fprintf(stderr, "not sound: %s\n", err_text(&s->e));
	CHECK_INT(r, 0);
	CHECK_INT(last, journal_last_seq(s->journal));
}

static void the_log_stays_bounded_while_batches_go_on(void)
{
	struct shop s;

	shop_init(&s);
	REQUIRE(journal_start_checkpoints(s.journal, &s.e) == 0);
	append_batches(&s, 2 * LOG_PAGES_MAX);
	CHECK(log_pages(&s) < LOG_PAGES_MAX + 2 * BATCH_PAGES);
	check_sound(&s);
	shop_reopen(&s);
	check_sound(&s);
	shop_fini(&s);
}

/* Somebody reads and does not end: no batch waits for that, and when it is over the log is as it was. */
static void a_reader_that_stays_holds_up_no_batch(void)
{
	sqlite3 *db = NULL;
	struct shop s;

	shop_init(&s);
	REQUIRE(journal_start_checkpoints(s.journal, &s.e) == 0);
	append_pages(&s, BATCH_PAGES);
	REQUIRE(sql_open(s.path, SQL_READ, &db, &s.e) == 0);
	REQUIRE(sql_exec(db, "BEGIN; SELECT count(*) FROM orders", &s.e) == 0);
	append_batches(&s, LOG_PAGES_MAX + BATCH_PAGES);
	CHECK(log_pages(&s) > LOG_PAGES_MAX + BATCH_PAGES);
	sqlite3_close(db);
	append_batches(&s, 2 * BATCH_PAGES);
	CHECK(log_pages(&s) < LOG_PAGES_MAX + BATCH_PAGES); /* cut when it began anew */
	check_sound(&s);
	shop_fini(&s);
}

/* The writer waits for the thread when the log is full, so that one of the two at a time is on the disk. */
static void a_failed_sync_in_the_thread_is_final(void)
{
	struct fault_plan once = {.ops = FAULT_SYNC, .nth = 1};
	struct fault_plan any = {.ops = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE, .nth = 1};
	struct shop s;
	int64_t last;

	fault_vfs_install();
	shop_init(&s);
	append_pages(&s, LOG_PAGES_MAX);
	last = journal_last_seq(s.journal);
	REQUIRE(journal_start_checkpoints(s.journal, &s.e) == 0);
	fault_vfs_plan(&once);
	CHECK_INT(journal_begin(s.journal, &s.e), -EIO);
	CHECK(strstr(err_text(&s.e), "until the next start: checkpoint") != NULL);
	CHECK_INT(fault_vfs_hits(), 1);
	CHECK_INT(journal_begin(s.journal, &s.e), -EIO);
	CHECK_INT(journal_scrub(s.journal, &s.e), -EIO);
	fault_vfs_plan(&any);
	journal_close(steal_ptr(s.journal));
	CHECK_INT(fault_vfs_hits(), 0); /* nothing is tried on these pages again */
	fault_vfs_plan(&(struct fault_plan){0});
	shop_reopen(&s);
	CHECK_INT(journal_last_seq(s.journal), last);
	check_sound(&s);
	shop_fini(&s);
	fault_vfs_remove();
}

static void a_failure_that_nobody_asked_for_is_told_at_the_end(void)
{
	struct fault_plan once = {.ops = FAULT_SYNC, .nth = 1};
	struct checkpointer *c = NULL;
	struct shop s;

	fault_vfs_install();
	shop_init(&s);
	append_pages(&s, BATCH_PAGES);
	REQUIRE(checkpointer_start(s.path, &c, &s.e) == 0);
	fault_vfs_plan(&once);
	CHECK_INT(checkpointer_turn(c, LOG_PAGES_MAX, &s.e), -EIO);
	CHECK_INT(fault_vfs_hits(), 1);
	CHECK_INT(checkpointer_stop(c, &s.e), 0); /* it was told */
	REQUIRE(checkpointer_start(s.path, &c, &s.e) == 0);
	fault_vfs_plan(&once);
	CHECK_INT(checkpointer_turn(c, LOG_PAGES, &s.e), CHECKPOINT_LATER);
	CHECK_INT(checkpointer_stop(c, &s.e), -EIO);
	fault_vfs_plan(&(struct fault_plan){0});
	shop_fini(&s);
	fault_vfs_remove();
}

static void a_full_disk_puts_a_checkpoint_off(void)
{
	struct fault_plan once = {.ops = FAULT_WRITE, .nth = 1, .error = SQLITE_FULL};
	struct checkpointer *c = NULL;
	struct shop s;

	fault_vfs_install();
	shop_init(&s);
	append_pages(&s, BATCH_PAGES);
	REQUIRE(checkpointer_start(s.path, &c, &s.e) == 0);
	fault_vfs_plan(&once);
	CHECK_INT(checkpointer_turn(c, LOG_PAGES_MAX, &s.e), CHECKPOINT_YOURS);
	CHECK_INT(fault_vfs_hits(), 1);
	CHECK_INT(checkpointer_turn(c, LOG_PAGES_MAX, &s.e), CHECKPOINT_YOURS);
	CHECK_INT(checkpointer_stop(c, &s.e), 0);
	shop_sell(&s, "a@x.org", "A", 9);
	check_sound(&s);
	shop_fini(&s);
	fault_vfs_remove();
}

/* The n-th write or sync of the thread and all after it never reach the disk. */
static void lose_power(struct shop *s, int nth)
{
	struct fault_plan plan = {
		.ops = FAULT_WRITE | FAULT_SYNC, .nth = nth, .is_power_loss = true};
	struct checkpointer *c = NULL;
	int64_t last;

	append_pages(s, BATCH_PAGES);
	last = journal_last_seq(s->journal);
	REQUIRE(checkpointer_start(s->path, &c, &s->e) == 0);
	fault_vfs_plan(&plan);
	CHECK_INT(checkpointer_turn(c, LOG_PAGES_MAX, &s->e), -EIO);
	CHECK_INT(checkpointer_stop(c, &s->e), 0);
	journal_close(steal_ptr(s->journal));
	REQUIRE(fault_vfs_power_on((uint64_t)nth) == 0);
	shop_reopen(s);
	CHECK_INT(journal_last_seq(s->journal), last);
	check_sound(s);
}

static void power_loss_in_a_checkpoint_takes_nothing(void)
{
	static const int nths[] = {1, 2, 100, 900};
	struct shop s;

	fault_vfs_install();
	shop_init(&s);
	for (size_t i = 0; i < ARRAY_LEN(nths); i++)
		lose_power(&s, nths[i]);
	shop_fini(&s);
	fault_vfs_remove();
}

UNIT_MAIN("checkpoint", TEST(the_log_stays_bounded_while_batches_go_on),
	TEST(a_reader_that_stays_holds_up_no_batch), TEST(a_failed_sync_in_the_thread_is_final),
	TEST(a_failure_that_nobody_asked_for_is_told_at_the_end),
	TEST(a_full_disk_puts_a_checkpoint_off), TEST(power_loss_in_a_checkpoint_takes_nothing))
