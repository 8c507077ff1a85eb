/* The engine without plugins or threads: its stages are answered by the test, on played time and a played disk. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "engine/engine.h"
#include "engine/internal.h"
#include "fault_vfs.h"
#include "unit.h"

static const char pipeline_text[] =
	"pipeline: two\n"
	"defaults: {timeout: 1h, retry: {attempts: 3, backoff: 50ms, factor: 1, jitter: 0}}\n"
	"stages:\n"
	"  - {name: check, plugin: x, event: checked, breaker: {failures: 3, window: 1h}}\n"
	"  - {name: gift, plugin: x, event: wrapped, undo_event: unwrapped, after: [], in_flight: "
	"1}\n";
/* The same, but what check cannot do ends the order. */
static const char strict_text[] =
	"pipeline: two\n"
	"defaults: {timeout: 1h, retry: {attempts: 3, backoff: 50ms, factor: 1, jitter: 0}}\n"
	"stages:\n"
	"  - {name: check, plugin: x, event: checked, retry: {attempts: 1}, on_exhausted: fail}\n"
	"  - {name: gift, plugin: x, event: wrapped, undo_event: unwrapped, after: []}\n";
/* The same without gift. */
static const char short_text[] = "pipeline: two\n"
				 "stages:\n"
				 "  - {name: check, plugin: x, event: checked}\n";
enum { CHECK_STAGE, GIFT_STAGE, OUT_MAX = 16 };

static int64_t played_us, wall_ahead_us;

static int64_t played_wall_us(void)
{
	return INT64_C(1700000000000000) + played_us + wall_ahead_us;
}

static int64_t played_mono_us(void)
{
	return played_us;
}

struct house {
	const char *pipeline;
	char dir[32], path[64], attempts_path[64];
	struct worker_source workers;
	size_t orders_in_memory;
	bool is_gift_missing; /* it cannot be made */
	struct pipeline_set set;
	struct engine *engine;
	struct task *out[OUT_MAX];
	size_t n_out;
	int n_handed_out; /* since the engine started */
	int answer;	  /* to the last command */
	struct id order;  /* the last one placed */
};

static void on_tasks(void *arg, struct task *first)
{
	struct house *h = arg;

	for (struct task *next; first; first = next) {
		next = (struct task *)first->node.next;
		REQUIRE(h->n_out < OUT_MAX);
		task_set_mark(first, TASK_MARK_RUNNING);
		h->out[h->n_out++] = first;
		h->n_handed_out++;
	}
}

static int subscribe(void *arg, struct bus *bus, const struct pipeline *p, size_t stage)
{
	const struct house *h = arg;

	if (h->is_gift_missing && strcmp(p->stages[stage].name, "gift") == 0)
		return -ENOMEM;
	return bus_subscribe(bus, p, stage, (size_t)p->stages[stage].in_flight,
		&(struct bus_workers){.on_tasks = on_tasks, .arg = arg});
}

static void on_answers(void *arg, struct command *first)
{
	struct house *h = arg;

	for (struct command *next; first; first = next) {
		next = (struct command *)first->node.next;
		h->answer = first->result;
		if (first->kind == COMMAND_PLACE)
			h->order = first->id;
		command_free(first);
	}
}

static void on_commit(void *arg, struct feed_batch *batch)
{
	(void)arg;
	feed_batch_free(batch);
}

static void house_start(struct house *h)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct engine_options options = {.journal_path = h->path,
		.attempts_path = h->attempts_path,
		.orders_in_memory = h->orders_in_memory,
		.workers = &h->workers,
		.on_answers = on_answers,
		.on_commit = on_commit,
		.arg = h};
	struct pipeline *p;
	struct err e = {0};

	h->n_handed_out = 0;
	REQUIRE(pipeline_parse(str_of(h->pipeline), &p, &faults) == 0);
	REQUIRE(engine_start(&options, &h->set, p, &h->engine, &e) == 0);
}

static void house_init_with(struct house *h, const char *pipeline)
{
	static const struct clock_source clocks = {played_wall_us, played_mono_us};

	*h = (struct house){.pipeline = pipeline,
		.dir = "/tmp/stageline-engine-XXXXXX",
		.orders_in_memory = 100};
	h->workers = (struct worker_source){subscribe, h};
	REQUIRE(mkdtemp(h->dir) != NULL);
	snprintf(h->path, sizeof h->path, "%s/journal", h->dir);
	snprintf(h->attempts_path, sizeof h->attempts_path, "%s/attempts", h->dir);
	played_us = 1000000;
	wall_ahead_us = 0;
	clock_set_source(&clocks);
	fault_vfs_install();
	house_start(h);
}

static void house_init(struct house *h)
{
	house_init_with(h, pipeline_text);
}

/* The process is gone; what it has written is there. */
static void house_die(struct house *h)
{
	fault_vfs_power_off();
	engine_free(steal_ptr(h->engine));
	while (h->n_out)
		task_free(h->out[--h->n_out]);
	pipeline_set_fini(&h->set);
	h->set = (struct pipeline_set){0};
	fault_vfs_resume();
}

/* The machine is gone: the next start finds another boot id. */
static void house_lose_power(struct house *h)
{
	int fd;

	house_die(h);
	fd = open(h->attempts_path, O_WRONLY);
	REQUIRE(fd >= 0 && pwrite(fd, "another", 7, 16) == 7 && close(fd) == 0);
}

/* A stop in good order, and the next start. */
static void house_restart(struct house *h)
{
	engine_stop(h->engine);
	engine_free(steal_ptr(h->engine));
	while (h->n_out)
		task_free(h->out[--h->n_out]);
	pipeline_set_fini(&h->set);
	h->set = (struct pipeline_set){0};
	house_start(h);
}

static void house_fini(struct house *h)
{
	static const char *const names[] = {
		"journal", "journal-wal", "journal-shm", "journal.lock", "attempts"};

	house_die(h);
	fault_vfs_remove();
	clock_set_source(NULL);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[96];

		snprintf(path, sizeof path, "%s/%s", h->dir, names[i]);
		remove(path);
	}
	CHECK_INT(rmdir(h->dir), 0);
}

static void pass_ms(struct house *h, int ms)
{
	played_us += (int64_t)ms * 1000;
	engine_step(h->engine);
}

static void submit(struct house *h, struct command *c)
{
	h->answer = 1;
	engine_submit(h->engine, c);
	engine_step(h->engine);
}

static void place(struct house *h)
{
	struct command *c = command_new(COMMAND_PLACE, NULL);

	REQUIRE(c != NULL);
	c->body = str_dup(STR("{\"customer_email\":\"a@b\",\"items\":[],\"total_amount\":0}"));
	submit(h, c);
}

static struct command *command_of(enum command_kind kind)
{
	struct command *c = command_new(kind, NULL);

	REQUIRE(c != NULL);
	c->reason = str_dup(STR("for a test"));
	return c;
}

static void cancel(struct house *h)
{
	struct command *c = command_of(COMMAND_CANCEL);

	c->id = h->order;
	submit(h, c);
}

static struct command *command_of_gift(enum command_kind kind)
{
	struct command *c = command_of(kind);

	c->stage = str_dup(STR("gift"));
	return c;
}

static void pause_gift(struct house *h)
{
	submit(h, command_of_gift(COMMAND_PAUSE));
	CHECK_INT(h->answer, 0);
}

static void resume_gift(struct house *h)
{
	submit(h, command_of_gift(COMMAND_RESUME));
	CHECK_INT(h->answer, 0);
}

/* Nothing can be written any more; or it can again, and what waited for it is tried. */
static void fill_disk(void)
{
	fault_vfs_plan(&(struct fault_plan){
		.ops = FAULT_WRITE, .nth = 1, .is_sticky = true, .error = SQLITE_FULL});
}

static void free_disk(struct house *h)
{
	fault_vfs_plan(&(struct fault_plan){0});
	pass_ms(h, 600);
}

/* The stage's verdict on the order, for the next turn. */
static void answer_with(
	struct house *h, const struct id *order, size_t stage, enum verdict v, int64_t delay_ms)
{
	size_t i = 0;
	struct task *t;

	while (i < h->n_out && !(h->out[i]->stage == stage && id_eq(&h->out[i]->order_id, order)))
		i++;
	REQUIRE(i < h->n_out);
	t = h->out[i];
	h->out[i] = h->out[--h->n_out];
	t->verdict = v;
	t->message = "played";
	t->delay_ms = delay_ms;
	bus_answer(h->engine->bus, t);
}

static void answer(struct house *h, const struct id *order, size_t stage, enum verdict v)
{
	answer_with(h, order, stage, v, -1);
}

/* The order as its events tell. Owned. */
static struct order *look(struct house *h)
{
	struct order *o = NULL;
	int64_t seq;

	REQUIRE(reader_find_order(h->engine->reader, &h->order, &seq) == 0);
	REQUIRE(reader_order(h->engine->reader, seq, INT64_MAX, &o, NULL, NULL) == 0);
	return o;
}

/* A commit that failed may be on the disk all the same. What it decided must not be contradicted by what goes out
 * afterwards: here the order has turned round, in a batch in which `gift` was not out. */
static void after_a_failed_commit_nothing_goes_out_any_more(void)
{
	struct order *o;
	struct house h;
	struct id before;

	house_init(&h);
	place(&h);
	before = h.order;
	place(&h);
	REQUIRE(h.n_handed_out == 3); /* the second `gift` waits for the first */
	fault_vfs_plan(&(struct fault_plan){.ops = FAULT_SYNC, .nth = 1});
	answer(&h, &before, GIFT_STAGE, VERDICT_DONE);
	answer(&h, &h.order, CHECK_STAGE, VERDICT_FAIL);
	for (int i = 0; i < 10; i++)
		pass_ms(&h, 300);
	REQUIRE(fault_vfs_hits() == 1);
	CHECK_INT(h.n_handed_out, 3);
	house_die(&h);

	house_start(&h);
	o = look(&h);
	CHECK_TEXT(order_status(o), "failed"); /* it was on the disk */
	order_free(o);			       /* before its pipeline */
	house_fini(&h);
}

static void after_a_failed_commit_people_are_refused_at_once_and_for_good(void)
{
	struct house h;
	struct err why;

	house_init(&h);
	fault_vfs_plan(&(struct fault_plan){.ops = FAULT_SYNC, .nth = 1});
	place(&h);
	CHECK_INT(h.answer, -EIO);
	for (int i = 0; i < 10; i++) {
		pass_ms(&h, 300);
		CHECK(!engine_is_accepting(h.engine, &why));
		place(&h);
		CHECK_INT(h.answer, -EIO);
	}
	CHECK_INT(h.n_handed_out, 0);
	house_fini(&h);
}

/* An attempt that a stop in good order cut off goes on without a charge; but who turns round before it goes out again
 * must know that it had begun. */
static void what_had_begun_before_a_stop_is_undone_when_its_order_turns_round(void)
{
	for (int n_stops = 1; n_stops <= 2; n_stops++) {
		struct order *o;
		struct house h;

		house_init(&h);
		place(&h);
		for (int i = 0; i < n_stops; i++)
			house_restart(&h);
		cancel(&h);
		CHECK_INT(h.answer, 0);
		REQUIRE(h.n_out == 1);
		CHECK(h.out[0]->undo && h.out[0]->stage == GIFT_STAGE);
		answer(&h, &h.order, GIFT_STAGE, VERDICT_DONE);
		engine_step(h.engine);
		o = look(&h);
		CHECK_TEXT(order_status(o), "cancelled");
		order_free(o); /* before its pipeline */
		house_fini(&h);
	}
}

static void what_had_begun_before_a_stop_goes_on_without_a_charge(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	house_restart(&h);
	engine_step(h.engine);
	REQUIRE(h.n_out == 2);
	CHECK_INT(h.out[0]->attempt, 1);
	CHECK_INT(h.out[1]->attempt, 1);
	house_fini(&h);
}

/* Whatever allocation fails while its order's neighbour stage is decided on. True: one did. */
static bool play_want_of_memory(size_t n)
{
	struct house h;
	struct err why;
	bool has_failed;

	house_init(&h);
	place(&h);
	REQUIRE(h.n_handed_out == 2);
	answer(&h, &h.order, CHECK_STAGE, VERDICT_FAIL);
	alloc_fault_from(n);
	engine_step(h.engine);
	has_failed = alloc_fault_end();
	pass_ms(&h, 600);
	CHECK_INT(h.n_handed_out, 2);
	answer(&h, &h.order, GIFT_STAGE, VERDICT_DONE);
	pass_ms(&h, 600);
	if (engine_is_accepting(h.engine, &why)) {
		CHECK_INT(h.n_handed_out, 3);
		CHECK(h.n_out && h.out[0]->undo && h.out[0]->stage == GIFT_STAGE);
	}
	house_fini(&h);
	return has_failed;
}

static void an_attempt_that_is_out_is_known_whatever_lacks_memory(void)
{
	size_t n = 1;

	while (ALLOC_FAULT_IS_THERE && play_want_of_memory(n))
		n++;
	CHECK(!ALLOC_FAULT_IS_THERE || n > 5);
}

static bool play_pause(size_t n)
{
	struct house h;
	bool has_failed;

	house_init(&h);
	h.answer = 1;
	engine_submit(h.engine, command_of_gift(COMMAND_PAUSE));
	alloc_fault_from(n);
	engine_step(h.engine);
	has_failed = alloc_fault_end();
	if (h.answer == 0) {
		pass_ms(&h, 600);
		place(&h);
		pass_ms(&h, 600);
		CHECK_INT(h.n_handed_out, h.answer == 0); /* `check` alone */
	}
	house_fini(&h);
	return has_failed;
}

static void a_stage_whose_pause_was_granted_is_paused_whatever_lacks_memory(void)
{
	size_t n = 1;

	while (ALLOC_FAULT_IS_THERE && play_pause(n))
		n++;
	CHECK(!ALLOC_FAULT_IS_THERE || n > 5);
}

/* On a full disk a verdict waits and is decided again and again; it is one trouble of its stage all the same. */
static void a_verdict_that_waits_for_the_disk_counts_once(void)
{
	struct engine_stage_stats stats;
	struct house h;

	house_init(&h);
	place(&h);
	fill_disk();
	answer(&h, &h.order, CHECK_STAGE, VERDICT_RETRY);
	for (int i = 0; i < 10; i++)
		pass_ms(&h, 600);
	REQUIRE(fault_vfs_hits() > 3);
	free_disk(&h);
	engine_stage_stats(h.engine, engine_pipeline(h.engine), CHECK_STAGE, &stats);
	CHECK_INT(stats.retried, 1);
	CHECK_TEXT(stats.breaker, "closed");
	for (int i = 0; i < 2; i++) {
		pass_ms(&h, 60);
		answer(&h, &h.order, CHECK_STAGE, VERDICT_RETRY);
		pass_ms(&h, 0);
	}
	engine_stage_stats(h.engine, engine_pipeline(h.engine), CHECK_STAGE, &stats);
	CHECK_TEXT(stats.breaker, "open"); /* by the third */
	house_fini(&h);
}

/* A verdict on the first run of a stage of the last order, or of one that has its number. */
static void answer_from_elsewhere(
	struct house *h, const struct id *order, size_t stage, enum verdict v)
{
	struct task *t = task_new(STR("{}"), STR("{}"), (struct str){0});

	REQUIRE(t != NULL);
	REQUIRE(reader_find_order(h->engine->reader, &h->order, &t->order_seq) == 0);
	t->pipeline = engine_pipeline(h->engine);
	t->stage = stage;
	t->order_id = *order;
	t->attempt = 1;
	t->verdict = v;
	queue_push(&h->engine->verdicts, &t->node);
}

/* After a journal was restored from a copy, another order may have the number of one that came after the copy, and a
 * worker elsewhere still answers for that one. */
static void a_verdict_on_another_order_of_the_same_number_changes_nothing(void)
{
	struct order *o;
	struct house h;
	struct id another;

	house_init(&h);
	place(&h);
	id_create(&another, 0);
	answer_from_elsewhere(&h, &another, CHECK_STAGE, VERDICT_DONE);
	engine_step(h.engine);
	o = look(&h);
	CHECK_INT(o->stages[CHECK_STAGE].status, STAGE_QUEUED);
	order_free(o); /* before its pipeline */
	answer(&h, &h.order, CHECK_STAGE, VERDICT_DONE);
	engine_step(h.engine);
	o = look(&h);
	CHECK_INT(o->stages[CHECK_STAGE].status, STAGE_DONE);
	order_free(o);
	house_fini(&h);
}

/* The undo of `gift` stands so. */
static void expect_gift(struct house *h, enum stage_status status)
{
	struct order *o = look(h);

	CHECK(o->stages[GIFT_STAGE].undo);
	CHECK_INT(o->stages[GIFT_STAGE].status, status);
	order_free(o);
}

static void expect_attempt(struct house *h, uint32_t attempt)
{
	struct order *o = look(h);

	CHECK_INT(o->stages[GIFT_STAGE].attempt, attempt);
	order_free(o);
}

static void turn_round(struct house *h)
{
	answer(h, &h->order, CHECK_STAGE, VERDICT_FAIL);
	engine_step(h->engine);
}

/* Attempts of a run and of its undo are both counted from 1. */
static void the_deadline_of_a_wait_does_not_end_the_wait_of_its_undo(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	answer_with(&h, &h.order, GIFT_STAGE, VERDICT_WAIT, 1000);
	engine_step(h.engine);
	turn_round(&h);
	answer_with(&h, &h.order, GIFT_STAGE, VERDICT_WAIT, 60000);
	engine_step(h.engine);
	expect_gift(&h, STAGE_WAITING);
	pass_ms(&h, 2000);
	expect_gift(&h, STAGE_WAITING);
	pass_ms(&h, 60000);
	expect_gift(&h, STAGE_RETRYING);
	house_fini(&h);
}

static void a_late_verdict_on_a_run_leaves_its_undo_out(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	answer(&h, &h.order, CHECK_STAGE, VERDICT_FAIL);
	answer(&h, &h.order, GIFT_STAGE, VERDICT_RETRY);
	engine_step(h.engine);
	REQUIRE(h.n_out == 1 && h.out[0]->undo && h.out[0]->attempt == 1);
	answer_from_elsewhere(&h, &h.order, GIFT_STAGE, VERDICT_DONE);
	engine_step(h.engine);
	expect_gift(&h, STAGE_QUEUED);
	pass_ms(&h, 3600001);
	expect_gift(&h, STAGE_RETRYING);
	house_fini(&h);
}

/* One of them may have been what brought the process down. */
static void what_ran_when_the_process_died_is_tried_alone(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	REQUIRE(h.n_out == 2);
	house_die(&h);
	house_start(&h);
	place(&h);
	for (int n_suspects = 2; n_suspects; n_suspects--) {
		struct id order;

		REQUIRE(h.n_out == 1);
		CHECK_INT(h.out[0]->attempt, 2);
		order = h.out[0]->order_id;
		answer(&h, &order, h.out[0]->stage, VERDICT_DONE);
		engine_step(h.engine);
	}
	CHECK_INT(h.n_out, 2); /* those of the order that was placed since */
	house_fini(&h);
}

/* Both verdicts waited for the disk: the one that turns the order round must not forget the other. */
static void what_was_done_is_undone_though_its_verdict_waited_for_the_disk(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	fill_disk();
	answer(&h, &h.order, CHECK_STAGE, VERDICT_FAIL);
	answer(&h, &h.order, GIFT_STAGE, VERDICT_DONE);
	pass_ms(&h, 600);
	pass_ms(&h, 600);
	REQUIRE(fault_vfs_hits() > 1);
	free_disk(&h);
	expect_gift(&h, STAGE_QUEUED);
	house_fini(&h);
}

static void a_clock_that_was_set_back_stretches_no_wait(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	answer(&h, &h.order, CHECK_STAGE, VERDICT_RETRY);
	engine_step(h.engine);
	wall_ahead_us = INT64_C(-3600000000);
	house_restart(&h);
	engine_step(h.engine);
	CHECK_INT(h.n_handed_out, 1); /* `gift` */
	pass_ms(&h, 60);
	CHECK_INT(h.n_handed_out, 2);
	house_fini(&h);
}

static void what_had_begun_before_a_stop_is_known_after_a_batch_that_failed(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	pause_gift(&h);
	house_restart(&h);
	fill_disk();
	cancel(&h);
	CHECK_INT(h.answer, -ENOSPC);
	free_disk(&h);
	turn_round(&h);
	expect_gift(&h, STAGE_QUEUED);
	house_fini(&h);
}

/* In a memory that has room for one order, and another one is out. */
static bool play_cancel(size_t n)
{
	struct command *c;
	struct house h;
	struct id before;
	bool has_failed;

	house_init(&h);
	h.orders_in_memory = 1;
	place(&h);
	before = h.order;
	answer(&h, &before, CHECK_STAGE, VERDICT_DONE);
	pause_gift(&h);
	house_restart(&h);
	place(&h);
	h.order = before;
	c = command_of(COMMAND_CANCEL);
	c->id = before;
	h.answer = 1;
	engine_submit(h.engine, c);
	alloc_fault_from(n);
	engine_step(h.engine);
	has_failed = alloc_fault_end();
	pass_ms(&h, 600);
	if (h.answer < 0)
		cancel(&h);
	CHECK_INT(h.answer, 0);
	expect_gift(&h, STAGE_QUEUED);
	house_fini(&h);
	return has_failed;
}

static void what_had_begun_before_a_stop_is_known_whatever_lacks_memory(void)
{
	size_t n = 1;

	while (ALLOC_FAULT_IS_THERE && play_cancel(n))
		n++;
	CHECK(!ALLOC_FAULT_IS_THERE || n > 5);
}

/* A worker elsewhere had done it meanwhile: the run still stands in line when the undo comes into it. */
static void an_undo_has_a_deadline_whatever_stands_in_line_before_it(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	pause_gift(&h);
	house_restart(&h);
	answer_from_elsewhere(&h, &h.order, GIFT_STAGE, VERDICT_DONE);
	engine_step(h.engine);
	turn_round(&h);
	resume_gift(&h);
	REQUIRE(h.n_out == 1 && h.out[0]->undo);
	pass_ms(&h, 3600001);
	expect_gift(&h, STAGE_RETRYING);
	house_fini(&h);
}

/* Death came right behind the commit, before the mark of the run was taken back. */
static void the_mark_of_a_run_does_not_charge_its_undo(void)
{
	_Atomic unsigned char *mark;
	struct house h;

	house_init(&h);
	place(&h);
	pause_gift(&h);
	REQUIRE(h.n_out == 2);
	mark = h.out[h.out[1]->stage == GIFT_STAGE]->mark;
	answer(&h, &h.order, GIFT_STAGE, VERDICT_DONE);
	turn_round(&h);
	atomic_store(mark, TASK_MARK_RUNNING);
	house_die(&h);
	house_start(&h);
	expect_gift(&h, STAGE_QUEUED);
	expect_attempt(&h, 1);
	house_fini(&h);
}

static void the_death_of_the_machine_costs_one_attempt(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	house_lose_power(&h);
	house_start(&h);
	expect_attempt(&h, 2);
	house_lose_power(&h); /* before it went out again */
	house_start(&h);
	expect_attempt(&h, 2);
	house_fini(&h);
}

/* The start itself queued it: what ran was waited for by an order that turns round. */
static void the_death_of_the_machine_does_not_charge_an_undo_that_was_not_out(void)
{
	struct house h;

	house_init(&h);
	place(&h);
	cancel(&h);
	CHECK_INT(h.answer, 0);
	for (int n_deaths = 1; n_deaths <= 2; n_deaths++) {
		house_lose_power(&h);
		house_start(&h);
		expect_gift(&h, STAGE_QUEUED);
		expect_attempt(&h, 1);
	}
	house_fini(&h);
}

/* Both ran, and what died with the process was the last attempt of the first. */
static void what_ran_beside_a_last_attempt_is_undone(void (*lose)(struct house *h))
{
	struct house h;

	house_init_with(&h, strict_text);
	place(&h);
	REQUIRE(h.n_out == 2);
	lose(&h);
	house_start(&h);
	engine_step(h.engine);
	REQUIRE(h.n_out == 1);
	CHECK(h.out[0]->undo);
	CHECK_INT(h.out[0]->stage, GIFT_STAGE);
	house_fini(&h);
}

static void what_ran_beside_a_last_attempt_is_undone_after_a_kill(void)
{
	what_ran_beside_a_last_attempt_is_undone(house_die);
}

static void what_ran_beside_a_last_attempt_is_undone_after_a_power_loss(void)
{
	what_ran_beside_a_last_attempt_is_undone(house_lose_power);
}

/* What a start lacked of an earlier generation is made before that becomes current again; what waits for it goes on. */
static void a_generation_is_current_again_with_all_its_stages_or_not_at_all(void)
{
	struct generation *g = NULL, *earlier;
	struct house h;
	struct err e = {0};
	bool is_new;

	house_init(&h);
	place(&h);
	h.pipeline = short_text;
	h.is_gift_missing = true;
	house_restart(&h);
	engine_step(h.engine);
	CHECK_INT(h.n_out, 1);
	earlier = h.engine->generations->next;
	REQUIRE(earlier && earlier->stages[GIFT_STAGE].trouble);
	CHECK_INT(reload_make(h.engine, earlier->pipeline, &g, &is_new, &e), -ENOMEM);
	CHECK(!g && !earlier->is_wanted);
	CHECK_INT(e.code, -ENOMEM);
	h.is_gift_missing = false;
	CHECK_INT(reload_make(h.engine, earlier->pipeline, &g, &is_new, &e), 0);
	CHECK(g == earlier && !is_new && !g->stages[GIFT_STAGE].trouble);
	engine_step(h.engine);
	REQUIRE(h.n_out == 2);
	CHECK_INT(h.out[1]->stage, GIFT_STAGE);
	house_fini(&h);
}

UNIT_MAIN("engine", TEST(after_a_failed_commit_nothing_goes_out_any_more),
	TEST(after_a_failed_commit_people_are_refused_at_once_and_for_good),
	TEST(a_verdict_that_waits_for_the_disk_counts_once),
	TEST(what_had_begun_before_a_stop_is_undone_when_its_order_turns_round),
	TEST(what_had_begun_before_a_stop_goes_on_without_a_charge),
	TEST(an_attempt_that_is_out_is_known_whatever_lacks_memory),
	TEST(a_stage_whose_pause_was_granted_is_paused_whatever_lacks_memory),
	TEST(a_verdict_on_another_order_of_the_same_number_changes_nothing),
	TEST(the_deadline_of_a_wait_does_not_end_the_wait_of_its_undo),
	TEST(a_late_verdict_on_a_run_leaves_its_undo_out),
	TEST(what_ran_when_the_process_died_is_tried_alone),
	TEST(what_was_done_is_undone_though_its_verdict_waited_for_the_disk),
	TEST(a_clock_that_was_set_back_stretches_no_wait),
	TEST(what_had_begun_before_a_stop_is_known_after_a_batch_that_failed),
	TEST(what_had_begun_before_a_stop_is_known_whatever_lacks_memory),
	TEST(an_undo_has_a_deadline_whatever_stands_in_line_before_it),
	TEST(the_mark_of_a_run_does_not_charge_its_undo),
	TEST(the_death_of_the_machine_costs_one_attempt),
	TEST(the_death_of_the_machine_does_not_charge_an_undo_that_was_not_out),
	TEST(what_ran_beside_a_last_attempt_is_undone_after_a_kill),
	TEST(what_ran_beside_a_last_attempt_is_undone_after_a_power_loss),
	TEST(a_generation_is_current_again_with_all_its_stages_or_not_at_all))
