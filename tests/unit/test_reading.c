/* Reading for the net loop: what waits is counted, and what nobody waits for any more is passed over. */
#include <semaphore.h>

#include "net/reading.h"
#include "shop.h"

static sem_t may_go_on;
static size_t n_done;

struct probe {
	struct read_job job;
	atomic_bool is_unwanted;
	bool has_run;
};

static void on_run(struct read_job *job, struct reader *r)
{
	(void)r;
	CONTAINER_OF(job, struct probe, job)->has_run = true;
}

static void on_hold(struct read_job *job, struct reader *r)
{
	on_run(job, r);
	sem_wait(&may_go_on);
}

static void on_done(struct read_job *job)
{
	(void)job;
	n_done++;
}

struct fixture {
	struct shop shop;
	struct event_base *base;
	struct reading *reading;
};

static void fixture_init(struct fixture *f)
{
	n_done = 0;
	sem_init(&may_go_on, 0, 0);
	shop_init(&f->shop);
	f->base = event_base_new();
	REQUIRE(reading_create(f->base, f->shop.path, &f->shop.set, &f->reading, &f->shop.e) == 0);
}

static void fixture_fini(struct fixture *f)
{
	reading_destroy(f->reading);
	event_base_free(f->base);
	shop_fini(&f->shop);
	sem_destroy(&may_go_on);
}

static void submit(struct fixture *f, struct probe *p, bool is_held)
{
	*p = (struct probe){.job = {.run = is_held ? on_hold : on_run, .done = on_done}};
	p->job.is_unwanted = &p->is_unwanted;
	reading_submit(f->reading, &p->job);
}

static void wait_for(struct fixture *f, size_t n)
{
	while (n_done < n)
		event_base_loop(f->base, EVLOOP_ONCE);
}

static void what_nobody_waits_for_is_passed_over(void)
{
	struct fixture f;
	struct probe first, gone, last;

	fixture_init(&f);
	submit(&f, &first, true);
	submit(&f, &gone, false);
	submit(&f, &last, false);
	atomic_store(&gone.is_unwanted, true);
	sem_post(&may_go_on);
	wait_for(&f, 3);
	CHECK(first.has_run && last.has_run);
	CHECK(!gone.has_run);
	fixture_fini(&f);
}

static void what_waits_is_counted_until_it_is_done(void)
{
	struct fixture f;
	struct probe probes[3];

	fixture_init(&f);
	CHECK_INT(reading_waiting(f.reading), 0);
	for (size_t i = 0; i < ARRAY_LEN(probes); i++)
		submit(&f, &probes[i], i == 0);
	CHECK_INT(reading_waiting(f.reading), 3);
	sem_post(&may_go_on);
	wait_for(&f, 3);
	CHECK_INT(reading_waiting(f.reading), 0);
	fixture_fini(&f);
}

UNIT_MAIN("reading", TEST(what_nobody_waits_for_is_passed_over),
	TEST(what_waits_is_counted_until_it_is_done))
