/* The file of attempts: what it tells after the death of the process, and after that of the machine. */
#include "engine/attempts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

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
	REQUIRE(attempts_take(&f.a, a, 11) && attempts_take(&f.a, b, 12));
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
	REQUIRE(attempts_take(&f.a, a, 11));
	CHECK(!f.a.must_sync);
	CHECK_INT(attempts_sync(&f.a, 11), 0);
	CHECK(attempts_may_be_lost(&f.a, 11) == false); /* the same boot */
	CHECK(attempts_sync_at(&f.a) < INT64_MAX);
	REQUIRE(attempts_take(&f.a, b, 10));
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
	REQUIRE(attempts_take(&f.a, a, 5));
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

UNIT_MAIN("attempts", TEST(after_the_death_of_the_process_only_what_had_begun_counts),
	TEST(a_task_that_follows_its_event_needs_no_sync_and_an_older_one_does),
	TEST(after_the_death_of_the_machine_what_may_have_been_out_counts))
