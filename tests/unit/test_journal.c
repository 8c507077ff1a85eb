/* The writer: group commit, rollback, the lock, full disk, failing fsync, projections as a fold. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "fault_vfs.h"
#include "journal/reader.h"
#include "journal/verify.h"
#include "shop.h"

static int64_t last_seen(struct shop *s)
{
	struct reader *r;
	int64_t last = -1;

	REQUIRE(reader_open(s->path, &s->set, &r, &s->e) == 0);
	REQUIRE(reader_begin(r, &last, &s->e) == 0);
	reader_end(r);
	reader_close(r);
	return last;
}

/* The oracle: chain and projections are those of the events. */
static void check_sound(struct shop *s)
{
	int64_t last = -1;
	int r = journal_verify(s->path, &last, &s->e);

	if (r == 0)
		r = journal_compare(s->path, &s->set, &s->e);
	if (r < 0)
		fprintf(stderr, "not sound: %s\n", err_text(&s->e));
	CHECK_INT(r, 0);
	CHECK_INT(last, last_seen(s));
}

static int64_t stock(struct shop *s)
{
	int64_t n = -1;

	CHECK_INT(journal_state_number(s->journal, STR("stock/A"), &n), 0);
	return n;
}

static void a_batch_is_seen_after_its_commit_only(void)
{
	struct shop s;
	struct order *o;

	shop_init(&s);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	o = shop_place(&s, "a@x.org", "A");
	REQUIRE(journal_put_order(s.journal, o, &s.e) == 0);
	CHECK_INT(last_seen(&s), 2);
	CHECK_INT(journal_last_seq(s.journal), 3);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	CHECK_INT(last_seen(&s), 3);
	check_sound(&s);
	order_free(o);
	shop_fini(&s);
}

static void a_rollback_leaves_nothing(void)
{
	struct shop s;
	struct order *o;
	int64_t seq;

	shop_init(&s);
	CHECK_INT(stock(&s), 1000000);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	o = shop_place(&s, "a@x.org", "A");
	while (shop_step(&s, o, VERDICT_DONE))
		;
	REQUIRE(journal_put_order(s.journal, o, &s.e) == 0);
	CHECK_INT(stock(&s), 999999);
	journal_rollback(s.journal);
	CHECK_INT(stock(&s), 1000000);
	CHECK_INT(journal_last_seq(s.journal), 2);
	CHECK_INT(journal_find_order(s.journal, &o->id, &seq), -ENOENT);
	CHECK_INT(last_seen(&s), 2);
	order_free(o);
	CHECK_INT(shop_sell(&s, "b@x.org", "A", 9), 3);
	CHECK_INT(stock(&s), 999999);
	check_sound(&s);
	shop_fini(&s);
}

static void a_reopened_journal_continues_its_chain(void)
{
	struct shop s;

	shop_init(&s);
	shop_sell(&s, "a@x.org", "A", 2);
	shop_reopen(&s);
	CHECK_INT(stock(&s), 999999);
	CHECK_INT(shop_sell(&s, "a@x.org", "A", 9), 6);
	check_sound(&s);
	shop_fini(&s);
}

static void a_second_writer_is_refused(void)
{
	struct shop s;
	struct journal *other = NULL;

	shop_init(&s);
	CHECK_INT(journal_open(s.path, &other, &s.e), -EBUSY);
	CHECK(other == NULL);
	CHECK(strstr(err_text(&s.e), "another process") != NULL);
	shop_reopen(&s);
	shop_fini(&s);
}

static void another_programs_file_is_refused(void)
{
	struct shop s;
	struct journal *other = NULL;
	static const char junk[] = "this is no database at all, and long enough to look at";
	char path[160];
	FILE *f;

	shop_init(&s);
	snprintf(path, sizeof path, "%s/other.db", s.dir);
	f = fopen(path, "w");
	for (int i = 0; i < 100; i++)
		fwrite(junk, sizeof junk, 1, f);
	fclose(f);
	CHECK_INT(journal_open(path, &other, &s.e), -EINVAL);
	remove(path);
	snprintf(path, sizeof path, "%s/other.db.lock", s.dir);
	remove(path);
	shop_fini(&s);
}

static void keys_and_generations_are_found(void)
{
	struct shop s;
	struct order *o;
	struct event_list list;
	struct decide_env env;
	struct id id;
	int64_t seq = 0;

	shop_init(&s);
	CHECK(journal_is_current(s.journal, str_of(s.pipeline->digest)));
	CHECK(!journal_is_current(s.journal, STR("0000000000000000")));
	CHECK(journal_has_state(s.journal, STR("note")));
	CHECK(!journal_has_state(s.journal, STR("nothing")));
	CHECK_INT(journal_state_number(s.journal, STR("note"), &seq), -EINVAL);
	env = shop_env(&s);
	o = order_new(s.pipeline);
	id_create(&id, s.now_us);
	event_list_init(&list, &s.arena);
	REQUIRE(decide_create(&env, &id, s.pipeline, STR("{}"), STR("my key"), &list) == 0);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	shop_append(&s, &list, o);
	CHECK_INT(journal_find_key(s.journal, STR("my key"), &seq), 0);
	CHECK_INT(seq, 3);
	REQUIRE(journal_put_order(s.journal, o, &s.e) == 0);
	REQUIRE(journal_commit(s.journal, &s.e) == 0);
	CHECK_INT(journal_find_order(s.journal, &id, &seq), 0);
	CHECK_INT(seq, 3);
	CHECK_INT(journal_find_key(s.journal, STR("no key"), &seq), -ENOENT);
	check_sound(&s);
	order_free(o);
	shop_fini(&s);
}

static void an_effect_below_its_floor_fails_the_batch(void)
{
	struct shop s;
	struct event_list list;
	struct effect take = {
		.kind = EFFECT_ADD, .key = STR("stock/A"), .delta = -2000000, .floor = 0};
	struct event *ev;

	shop_init(&s);
	event_list_init(&list, &s.arena);
	ev = event_list_add(&list, EVENT_STATE_ADJUSTED);
	ev->effects = &take;
	ev->n_effects = 1;
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	CHECK_INT(journal_append(s.journal, ev, &s.e), -EPROTO);
	CHECK(strstr(err_text(&s.e), "stock/A") != NULL);
	CHECK_INT(journal_commit(s.journal, &s.e), -EPROTO);
	journal_rollback(s.journal);
	CHECK_INT(stock(&s), 1000000);
	shop_sell(&s, "a@x.org", "A", 9);
	check_sound(&s);
	shop_fini(&s);
}

static void random_trade_is_a_fold_of_its_events(void)
{
	struct shop s;
	const char *given = getenv("STAGELINE_SEED");

	shop_init(&s);
	s.random = given ? strtoull(given, NULL, 0) : (uint64_t)clock_wall_us();
	printf("seed %llu ", (unsigned long long)s.random);
	shop_trade(&s, 1500);
	check_sound(&s);
	shop_reopen(&s);
	shop_trade(&s, 100);
	check_sound(&s);
	shop_fini(&s);
}

/* --- trouble with the disk --- */

/* In a child: a file size limit stands for the full disk. Exit code 0: all was as it should be. */
static int fill_the_disk(struct shop *s)
{
	struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
	int64_t sold = 0;
	struct order *o = NULL;
	int r = 0;

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	for (; r == 0 && sold < 10000; sold++) {
		if (journal_begin(s->journal, &s->e) < 0)
			return 10;
		order_free(o);
		o = shop_place(s, "a@x.org", "A");
		r = journal_put_order(s->journal, o, &s->e);
		if (r == 0)
			r = journal_commit(s->journal, &s->e);
	}
	if (r != -ENOSPC) {
		fprintf(stderr, "not a full disk: %s\n", err_text(&s->e));
		return 11;
	}
	journal_rollback(s->journal);
	limit.rlim_cur = RLIM_INFINITY;
	setrlimit(RLIMIT_FSIZE, &limit);
	shop_sell(s, "after@x.org", "A", 9);
	r = journal_find_order(s->journal, &o->id, &sold);
	order_free(o);
	return r == -ENOENT ? 0 : 12;
}

static void a_full_disk_passes(void)
{
	struct shop s;
	int status = -1;
	pid_t child;

	shop_init(&s);
	journal_close(steal_ptr(s.journal));
	fflush(stdout);
	child = fork();
	if (child == 0) {
		shop_reopen(&s);
		_exit(fill_the_disk(&s));
	}
	REQUIRE(waitpid(child, &status, 0) == child);
	CHECK_INT(WEXITSTATUS(status), 0);
	CHECK(WIFEXITED(status));
	shop_reopen(&s);
	check_sound(&s);
	shop_fini(&s);
}

static void a_failed_fsync_is_final_and_leaves_it_readable(void)
{
	struct shop s;
	struct order *o;
	struct fault_plan plan = {.ops = FAULT_SYNC, .nth = 1};

	fault_vfs_install();
	shop_init(&s);
	shop_sell(&s, "a@x.org", "A", 9);
	REQUIRE(journal_begin(s.journal, &s.e) == 0);
	o = shop_place(&s, "b@x.org", "A");
	REQUIRE(journal_put_order(s.journal, o, &s.e) == 0);
	fault_vfs_plan(&plan);
	CHECK_INT(journal_commit(s.journal, &s.e), -EIO);
	CHECK_INT(fault_vfs_hits(), 1);
	journal_rollback(s.journal);
	CHECK_INT(journal_begin(s.journal, &s.e), -EIO);
	CHECK(strstr(err_text(&s.e), "takes no more") != NULL);
	CHECK_INT(last_seen(&s), 7);
	order_free(o);
	shop_reopen(&s);
	shop_sell(&s, "c@x.org", "A", 9);
	check_sound(&s);
	shop_fini(&s);
	fault_vfs_remove();
}

/* A batch of events, which take several pages. */
static int append_some(struct shop *s, int n)
{
	struct event ev = {
		.kind = EVENT_STATE_ADJUSTED, .type = STR("state_adjusted"), .duration_ms = -1};
	int r = journal_begin(s->journal, &s->e);

	while (n-- && r == 0)
		r = journal_append(s->journal, &ev, &s->e);
	return r < 0 ? r : journal_commit(s->journal, &s->e);
}

static void a_batch_reaches_the_log_by_one_write(void)
{
	struct fault_plan first = {.ops = FAULT_WRITE, .nth = 1, .error = SQLITE_FULL};
	struct fault_plan second = {.ops = FAULT_WRITE, .nth = 2};
	struct shop s;

	fault_vfs_install();
	shop_init(&s);
	fault_vfs_plan(&second);
	CHECK_INT(append_some(&s, 100), 0);
	CHECK_INT(fault_vfs_hits(), 0);
	fault_vfs_plan(&first);
	CHECK_INT(append_some(&s, 100), -ENOSPC);
	CHECK_INT(fault_vfs_hits(), 1);
	journal_rollback(s.journal);
	CHECK_INT(append_some(&s, 100), 0);
	CHECK_INT(journal_last_seq(s.journal), 202);
	check_sound(&s);
	shop_fini(&s);
	fault_vfs_remove();
}

/* One order with the n-th operation failing; true while the fault still found its operation. */
static bool sell_with_fault(struct shop *s, unsigned ops, int nth, bool sticky)
{
	struct fault_plan plan = {.ops = ops, .nth = nth, .is_sticky = sticky};
	struct journal *j = NULL;
	struct event_list list;
	struct event *ev;
	bool is_hit;
	int r;

	journal_close(steal_ptr(s->journal));
	fault_vfs_plan(&plan);
	r = journal_open(s->path, &j, &s->e);
	event_list_init(&list, &s->arena);
	ev = event_list_add(&list, EVENT_STATE_ADJUSTED);
	ev->time_us = s->now_us;
	if (r == 0)
		r = journal_begin(j, &s->e);
	if (r == 0) {
		r = journal_append(j, ev, &s->e);
		if (r == 0)
			r = journal_commit(j, &s->e);
		journal_rollback(j);
	}
	CHECK(r == 0 || fault_vfs_hits() > 0);
	journal_close(j);
	is_hit = fault_vfs_hits() > 0;
	fault_vfs_plan(&(struct fault_plan){0});
	shop_reopen(s);
	check_sound(s);
	return is_hit;
}

static void the_nth_failing_operation_corrupts_nothing(void)
{
	static const unsigned ops[] = {FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_TRUNCATE};
	struct shop s;

	fault_vfs_install();
	shop_init(&s);
	shop_trade(&s, 20);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		for (int sticky = 0; sticky < 2; sticky++)
			for (int nth = 1; nth < 60 && sell_with_fault(&s, ops[i], nth, sticky);
				nth++)
				;
	shop_fini(&s);
	fault_vfs_remove();
}

/* Batches of one event until the power goes. Returns the seq of the last that was acknowledged. */
static int64_t append_until_dark(struct shop *s)
{
	int64_t last = journal_last_seq(s->journal);
	struct event_list list;
	int r = 0;

	for (int i = 0; i < 60; i++) {
		event_list_init(&list, &s->arena);
		REQUIRE(event_list_add(&list, EVENT_STATE_ADJUSTED) != NULL);
		if (i % 20 == 19) { /* the last close checkpoints */
			journal_close(steal_ptr(s->journal));
			r = journal_open(s->path, &s->journal, &s->e);
		}
		if (r < 0 || journal_begin(s->journal, &s->e) < 0)
			return last;
		r = journal_append(s->journal, list.first, &s->e);
		if (r == 0)
			r = journal_commit(s->journal, &s->e);
		journal_rollback(s->journal);
		if (r < 0)
			return last;
		last = list.first->seq;
	}
	return last;
}

static void lose_power(struct shop *s, int nth)
{
	struct fault_plan plan = {.ops = FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE,
		.nth = nth,
		.is_power_loss = true};
	int64_t last;

	fault_vfs_plan(&plan);
	last = append_until_dark(s);
	journal_close(steal_ptr(s->journal));
	REQUIRE(fault_vfs_power_on((uint64_t)nth) == 0);
	shop_reopen(s);
	CHECK(journal_last_seq(s->journal) >= last);
	CHECK(journal_last_seq(s->journal) <= last + 1);
	check_sound(s);
}

static void power_loss_takes_nothing_that_was_acknowledged(void)
{
	struct shop s;

	fault_vfs_install();
	shop_init(&s);
	for (int nth = 1; nth < 150; nth += 2)
		lose_power(&s, nth);
	shop_fini(&s);
	fault_vfs_remove();
}

static void fail_a_sync(struct shop *s)
{
	struct fault_plan plan = {.ops = FAULT_SYNC, .nth = 1};

	fault_vfs_plan(&plan);
	CHECK_INT(append_some(s, 3), -EIO);
	fault_vfs_plan(&(struct fault_plan){0});
	journal_rollback(s->journal);
	shop_reopen(s);
}

/* The pages of the log that a failed sync left count as written: what is committed behind them would be cut off with
 * them. And what the next process has read must not vanish either, since it goes by it. */
static void after_a_failed_sync_and_a_start_power_loss_takes_nothing(void)
{
	struct shop s;
	int64_t last;

	fault_vfs_install();
	shop_init(&s);
	for (int nth = 0; nth < 40; nth++) {
		REQUIRE(append_some(&s, 1) == 0);
		fail_a_sync(&s);
		if (nth % 2)
			REQUIRE(append_some(&s, 1) == 0);
		last = journal_last_seq(s.journal);
		fault_vfs_power_off();
		journal_close(steal_ptr(s.journal));
		REQUIRE(fault_vfs_power_on((uint64_t)nth) == 0);
		shop_reopen(&s);
		CHECK_INT(journal_last_seq(s.journal), last);
		check_sound(&s);
	}
	shop_fini(&s);
	fault_vfs_remove();
}

UNIT_MAIN("journal", TEST(a_batch_is_seen_after_its_commit_only), TEST(a_rollback_leaves_nothing),
	TEST(a_reopened_journal_continues_its_chain), TEST(a_second_writer_is_refused),
	TEST(another_programs_file_is_refused), TEST(keys_and_generations_are_found),
	TEST(an_effect_below_its_floor_fails_the_batch), TEST(random_trade_is_a_fold_of_its_events),
	TEST(a_full_disk_passes), TEST(a_failed_fsync_is_final_and_leaves_it_readable),
	TEST(a_batch_reaches_the_log_by_one_write),
	TEST(the_nth_failing_operation_corrupts_nothing),
	TEST(power_loss_takes_nothing_that_was_acknowledged),
	TEST(after_a_failed_sync_and_a_start_power_loss_takes_nothing))
