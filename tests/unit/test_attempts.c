/* The file of attempts: what it tells after the death of the process, and after that of the machine. */
#include "engine/attempts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

static bool is_disk_broken;
static int n_syncs;

/* Stands in for libc's. */
int fdatasync(int fd)
{
	n_syncs++;
	if (!is_disk_broken)
		return fsync(fd);
	errno = EIO;
	return -1;
}

struct fixture {
	char path[64];
	struct attempts a;
	struct err e;
};

static void fixture_init(struct fixture *f)
{
	int fd;

	*f = (struct fixture){.path = "/tmp/stageline-attempts-XXXXXX"};
	fd = mkstemp(f->path);
	REQUIRE(fd >= 0 && close(fd) == 0);
	REQUIRE(attempts_open(f->path, &f->a, &f->e) == 0);
	CHECK(f->a.is_new);
	CHECK(!attempts_may_be_lost(&f->a, 1));
	attempts_clear(&f->a, 10);
}

static void fixture_fini(struct fixture *f)
{
	attempts_close(&f->a);
	remove(f->path);
}

static struct task *task_of(int64_t order_seq)
{
	struct task *t = task_new(STR("{}"), STR("{}"), (struct str){0});

	REQUIRE(t != NULL);
	t->order_seq = order_seq;
	t->attempt = 1;
	return t;
}

static void reopen(struct fixture *f)
{
	attempts_close(&f->a);
	REQUIRE(attempts_open(f->path, &f->a, &f->e) == 0);
}

/* As if the machine had been started since: another boot id. */
static void boot_again(struct fixture *f)
{
	int fd;

	attempts_close(&f->a);
	fd = open(f->path, O_RDWR);
	REQUIRE(fd >= 0 && pwrite(fd, "another", 7, 16) == 7 && close(fd) == 0);
	REQUIRE(attempts_open(f->path, &f->a, &f->e) == 0);
}

static size_t count_left(struct fixture *f, bool *ret_suspect)
{
	const struct attempt_slot *s;
	size_t at = 0, n = 0;

	while ((s = attempts_left(&f->a, &at)))
		n += attempts_had_begun(&f->a, s, ret_suspect);
	return n;
}

static void after_the_death_of_the_process_only_what_had_begun_counts(void)
{
	struct fixture f;
	struct task *a = task_of(11), *b = task_of(12);
	bool suspect = false;

	fixture_init(&f);
	REQUIRE(attempts_take(&f.a, a, 11, false) && attempts_take(&f.a, b, 12, false));
	CHECK_INT(attempts_sync(&f.a, 12), 0);
	atomic_store(b->mark, TASK_MARK_RUNNING);
	reopen(&f);
	CHECK(f.a.is_same_boot);
	CHECK_INT(count_left(&f, &suspect), 1);
	CHECK(suspect);
	CHECK(!attempts_may_be_lost(&f.a, 99));
	a->mark = b->mark = NULL;
	task_free(a);
	task_free(b);
	fixture_fini(&f);
}

static void a_task_that_follows_its_event_needs_no_sync_and_an_older_one_does(void)
{
	struct fixture f;
	struct task *a = task_of(11), *b = task_of(5);

	fixture_init(&f);
	REQUIRE(attempts_take(&f.a, a, 11, false));
	CHECK(!f.a.must_sync);
	CHECK_INT(attempts_sync(&f.a, 11), 0);
	CHECK(attempts_may_be_lost(&f.a, 11) == false); /* the same boot */
	CHECK(attempts_sync_at(&f.a) < INT64_MAX);
	REQUIRE(attempts_take(&f.a, b, 10, false));
	CHECK(f.a.must_sync);
	CHECK_INT(attempts_sync(&f.a, 11), 0);
	CHECK_INT(attempts_sync_at(&f.a), INT64_MAX);
	attempts_give_back(&f.a, a);
	attempts_give_back(&f.a, b);
	task_free(a);
	task_free(b);
	fixture_fini(&f);
}

static void after_the_death_of_the_machine_what_may_have_been_out_counts(void)
{
	struct fixture f;
	struct task *a = task_of(5), *b = task_of(11);
	bool suspect;

	fixture_init(&f);
	REQUIRE(attempts_take(&f.a, a, 5, false));
	CHECK_INT(attempts_sync(&f.a, 10), 0);
	boot_again(&f);
	CHECK(!f.a.is_same_boot && !f.a.is_new);
	CHECK_INT(count_left(&f, &suspect), 1);
	CHECK(attempts_may_be_lost(&f.a, 11));	/* queued after the marks */
	CHECK(!attempts_may_be_lost(&f.a, 10)); /* it waited: it would have a mark */
	attempts_clear(&f.a, 20);
	CHECK_INT(count_left(&f, &suspect), 0);
	reopen(&f);
	CHECK(f.a.is_same_boot);
	a->mark = NULL;
	task_free(a);
	task_free(b);
	fixture_fini(&f);
}

/* Stopped in good order, whatever became of the machine afterwards: it costs nothing and is not forgotten. */
static void what_a_stop_cut_off_keeps_its_slot_until_it_is_over(void)
{
	struct fixture f;
	struct task *begun = task_of(11), *fresh = task_of(12), *again = task_of(11);
	const struct attempt_slot *s;
	bool suspect;
	size_t at = 0, n_free;

	fixture_init(&f);
	n_free = f.a.n_free;
	REQUIRE(attempts_take(&f.a, begun, 11, false) && attempts_take(&f.a, fresh, 12, false));
	task_set_mark(begun, TASK_MARK_LATER);
	attempts_stop(&f.a, 12);
	begun->mark = fresh->mark = NULL;
	boot_again(&f);
	s = attempts_left(&f.a, &at);
	REQUIRE(s != NULL);
	CHECK_INT(s->order_seq, 11);
	CHECK_INT(count_left(&f, &suspect), 0);
	CHECK(!attempts_left(&f.a, &at));
	attempts_clear(&f.a, 12);
	CHECK_INT(f.a.n_free, n_free - 1);

	again->idle_mark = TASK_MARK_BEGUN;
	REQUIRE(attempts_take(&f.a, again, 11, true));
	CHECK_INT(f.a.n_free, n_free - 1); /* the same slot */
	task_unmark(again);
	at = 0;
	CHECK(attempts_left(&f.a, &at) == s && atomic_load(&s->mark) == TASK_MARK_BEGUN);
	attempts_give_back(&f.a, again);
	CHECK_INT(f.a.n_free, n_free);
	attempts_forget(&f.a, 11, 0, 0, 1, false); /* there is none */
	CHECK_INT(f.a.n_free, n_free);
	task_free(begun);
	task_free(fresh);
	task_free(again);
	fixture_fini(&f);
}

/* As fixture_init(); an attempt of order 11 ran, and a stop in good order cut it off. */
static void fixture_init_cut_off(struct fixture *f)
{
	struct task *t = task_of(11);

	fixture_init(f);
	REQUIRE(attempts_take(&f->a, t, 11, false));
	task_set_mark(t, TASK_MARK_RUNNING);
	attempts_stop(&f->a, 12);
	t->mark = NULL;
	task_free(t);
}

/* What a stop cut off goes out once more: it costs nothing when the process dies before its code runs again, and the
 * attempt when the machine dies, however far it came. */
static void what_goes_out_again_counts_when_the_machine_dies(void)
{
	struct task *again = task_of(11);
	struct fixture f;
	bool suspect;

	fixture_init_cut_off(&f);
	reopen(&f);
	attempts_clear(&f.a, 12);
	again->idle_mark = TASK_MARK_AGAIN;
	REQUIRE(attempts_take(&f.a, again, 11, true));
	CHECK(f.a.must_sync);
	CHECK_INT(attempts_sync(&f.a, 12), 0);
	reopen(&f);
	CHECK_INT(count_left(&f, &suspect), 0);
	attempts_clear(&f.a, 12);
	REQUIRE(attempts_take(&f.a, again, 11, true));
	CHECK_INT(attempts_sync(&f.a, 12), 0);
	boot_again(&f);
	CHECK_INT(count_left(&f, &suspect), 1);

	attempts_clear(&f.a, 12);
	again->mark = NULL;
	task_free(again);
	fixture_fini(&f);
}

static void what_does_not_go_out_after_all_is_as_before(void)
{
	struct task *again = task_of(11);
	struct fixture f;
	bool suspect;

	fixture_init_cut_off(&f);
	again->idle_mark = TASK_MARK_AGAIN;
	REQUIRE(attempts_take(&f.a, again, 11, true));
	attempts_keep(again);
	CHECK(!again->mark);
	boot_again(&f);
	CHECK_INT(count_left(&f, &suspect), 0);
	REQUIRE(attempts_take(&f.a, again, 11, true));
	again->mark = NULL;
	task_free(again);
	fixture_fini(&f);
}

static void what_is_forgotten_is_the_attempt_that_was_named(void)
{
	struct fixture f;
	struct task *t = task_of(11);
	size_t n_free;

	fixture_init(&f);
	REQUIRE(attempts_take(&f.a, t, 11, false));
	task_set_mark(t, TASK_MARK_BEGUN);
	n_free = f.a.n_free;
	attempts_forget(&f.a, 12, 0, 0, 1, false);
	attempts_forget(&f.a, 11, 0, 1, 1, false);
	attempts_forget(&f.a, 11, 0, 0, 2, false);
	attempts_forget(&f.a, 11, 0, 0, 1, true);
	attempts_forget(&f.a, 11, 1, 0, 1, false);
	CHECK_INT(f.a.n_free, n_free);
	attempts_forget(&f.a, 11, 0, 0, 1, false);
	CHECK_INT(f.a.n_free, n_free + 1);
	t->mark = NULL;
	task_free(t);
	fixture_fini(&f);
}

/* Marks that did not get to the disk are not said to be there, and are written a while later though nothing else goes
 * out. */
static void a_sync_that_failed_is_made_up_for(void)
{
	struct task *t = task_of(5);
	struct fixture f;

	fixture_init(&f);
	REQUIRE(attempts_take(&f.a, t, 5, false));
	is_disk_broken = true;
	CHECK_INT(attempts_sync(&f.a, 20), -EIO);
	is_disk_broken = false;
	CHECK_INT(((const int64_t *)f.a.slots)[7], 10); /* synced_seq */
	REQUIRE(attempts_sync_at(&f.a) != INT64_MAX);
	f.a.synced_ms -= 1000;
	n_syncs = 0;
	CHECK_INT(attempts_sync(&f.a, 20), 0);
	CHECK_INT(n_syncs, 1);
	boot_again(&f);
	CHECK(!attempts_may_be_lost(&f.a, 20));
	CHECK(attempts_may_be_lost(&f.a, 21));
	task_free(t);
	fixture_fini(&f);
}

/* Behind Redis: a worker elsewhere may have it over one reboot, and over the next. */
static void what_had_no_mark_and_may_be_elsewhere_has_one_from_the_next_start_on(void)
{
	struct attempt_slot about = {.order_seq = 21, .attempt = 1, .stage = 2};
	bool is_suspect;
	struct task *t;
	struct fixture f;
	size_t n = 0;

	fixture_init(&f);
	boot_again(&f);
	REQUIRE(attempts_may_be_lost(&f.a, 21));
	REQUIRE(attempts_add_begun(&f.a, &about));
	attempts_clear(&f.a, 21);
	boot_again(&f);
	CHECK(!attempts_may_be_lost(&f.a, 21));
	CHECK_INT(count_left(&f, &is_suspect), 0); /* none of them died */
	attempts_clear(&f.a, 21);
	t = task_of(21);
	t->stage = 2;
	REQUIRE(attempts_take(&f.a, t, 21, true));
	CHECK_INT(f.a.n_free, ATTEMPTS_MAX - ATTEMPTS_FIRST); /* that one */
	/* The other half is left to what goes out. */
	while (attempts_add_begun(&f.a, &about) && n <= ATTEMPTS_MAX)
		n++;
	CHECK_INT(n, ATTEMPTS_MAX / 2 - ATTEMPTS_FIRST);
	task_free(t);
	fixture_fini(&f);
}

UNIT_MAIN("attempts", TEST(after_the_death_of_the_process_only_what_had_begun_counts),
	TEST(a_task_that_follows_its_event_needs_no_sync_and_an_older_one_does),
	TEST(after_the_death_of_the_machine_what_may_have_been_out_counts),
	TEST(what_a_stop_cut_off_keeps_its_slot_until_it_is_over),
	TEST(what_goes_out_again_counts_when_the_machine_dies),
	TEST(what_does_not_go_out_after_all_is_as_before),
	TEST(what_is_forgotten_is_the_attempt_that_was_named),
	TEST(a_sync_that_failed_is_made_up_for),
	TEST(what_had_no_mark_and_may_be_elsewhere_has_one_from_the_next_start_on))
