/* `duplicates TASKS SEED`: every verdict is delivered 1 to 5 times, in any order, to the real engine; each
 * task must have had one effect. Retries, failures and undos are among them. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "engine/internal.h"
#include "journal/verify.h"

enum { STAGES = 4, AT_ONCE = 400, HELD_BACK = 2000 };

static const char text[] =
	"pipeline: duplicates\n"
	"defaults: {timeout: 1h, in_flight: 300, retry: {attempts: 9, backoff: 1ms, max: 1ms}}\n"
	"stages:\n"
	"  - {name: a, plugin: x, status: at_a, event: did_a, undo_event: undid_a}\n"
	"  - {name: b, plugin: x, status: at_b, event: did_b, undo_event: undid_b}\n"
	"  - {name: c, plugin: x, status: at_c, event: did_c, undo_event: undid_c}\n"
	"  - {name: d, plugin: x, status: at_d, event: did_d, undo_event: undid_d}\n";

struct shuffle {
	uint64_t random;
	struct engine *engine;
	struct task *held[HELD_BACK]; /* verdicts on their way */
	bool is_copy[HELD_BACK];
	size_t n_held;
	long long n_tasks, n_verdicts, n_placed, n_answered;
};

static uint64_t draw(struct shuffle *s, uint64_t n)
{
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random % n;
}

static void fail(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(1);
}

/* --- workers --- */

static void fill_verdict(struct task *t, uint64_t luck)
{
	t->verdict = luck == 0 && !t->undo ? VERDICT_FAIL : luck < 5 ? VERDICT_RETRY : VERDICT_DONE;
	t->message = "played";
	t->delay_ms = -1;
	if (t->verdict != VERDICT_DONE)
		return;
	t->effects = arena_alloc(&t->arena, sizeof *t->effects);
	if (!t->effects)
		fail("no memory");
	t->n_effects = 1;
	*t->effects = (struct effect){.kind = EFFECT_ADD,
		.key = t->undo ? STR("undone") : STR("done"),
		.delta = 1,
		.floor = EFFECT_NO_FLOOR};
}

static struct task *copy_of(const struct task *t, uint64_t luck)
{
	struct task *c = task_new(STR("{}"), STR("{}"), (struct str){0});

	if (!c)
		fail("no memory");
	c->pipeline = t->pipeline;
	c->stage = t->stage;
	c->order_id = t->order_id;
	c->order_seq = t->order_seq;
	c->attempt = t->attempt;
	c->undo = t->undo;
	fill_verdict(c, luck);
	return c;
}

/* One of those on their way arrives. */
static void let_one_arrive(struct shuffle *s)
{
	size_t i = draw(s, s->n_held);
	struct task *t = s->held[i];
	bool is_copy = s->is_copy[i];

	s->n_held--;
	s->held[i] = s->held[s->n_held];
	s->is_copy[i] = s->is_copy[s->n_held];
	s->n_verdicts++;
	if (is_copy)
		queue_push(&s->engine->verdicts, &t->node);
	else
		bus_answer(s->engine->bus, t);
}

static void send(struct shuffle *s, struct task *t, bool is_copy)
{
	while (s->n_held == HELD_BACK)
		let_one_arrive(s);
	t->node.next = NULL;
	s->held[s->n_held] = t;
	s->is_copy[s->n_held++] = is_copy;
}

static void on_tasks(void *arg, struct task *first)
{
	struct shuffle *s = arg;

	while (first) {
		struct task *next = (struct task *)first->node.next;
		uint64_t luck = draw(s, 50), n = draw(s, 5);

		s->n_tasks++;
		fill_verdict(first, luck);
		for (uint64_t i = 0; i < n; i++)
			send(s, copy_of(first, luck), true);
		send(s, first, false);
		first = next;
	}
}

static int subscribe(void *arg, struct bus *bus, const struct pipeline *p, size_t stage)
{
	return bus_subscribe(bus, p, stage, (size_t)p->stages[stage].in_flight,
		&(struct bus_workers){.on_tasks = on_tasks, .arg = arg});
}

/* --- client --- */

static void on_answers(void *arg, struct command *first)
{
	struct shuffle *s = arg;

	while (first) {
		struct command *next = (struct command *)first->node.next;

		if (first->result < 0)
			fail(err_text(&first->err));
		s->n_answered++;
		command_free(first);
		first = next;
	}
}

static void on_commit(void *arg, struct feed_batch *batch)
{
	(void)arg;
	feed_batch_free(batch);
}

static void place(struct shuffle *s)
{
	struct command *c = command_new(COMMAND_PLACE, NULL);

	if (!c)
		fail("no memory");
	c->body = str_dup(STR("{\"customer_email\":\"a@b\",\"items\":[],\"total_amount\":0}"));
	s->n_placed++;
	engine_submit(s->engine, c);
}

static void play(struct shuffle *s, long long n_tasks)
{
	struct engine_stats stats;

	do {
		engine_stats(s->engine, &stats);
		while (s->n_tasks < n_tasks &&
			s->n_placed - stats.accepted + stats.in_flight < AT_ONCE)
			place(s), stats.accepted--;
		for (uint64_t n = draw(s, 200); n && s->n_held; n--)
			let_one_arrive(s);
		engine_step(s->engine);
		engine_stats(s->engine, &stats);
		if (s->n_placed > n_tasks)
			fail("orders end without their tasks");
	} while (stats.in_flight > stats.on_hold || s->n_tasks < n_tasks || s->n_held ||
		 s->n_answered < s->n_placed);
}

/* --- what must have come of it --- */

static long long ask(const char *path, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *q;
	long long n;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
		sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK ||
		sqlite3_step(q) != SQLITE_ROW)
		fail(sqlite3_errmsg(db));
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

static void check(const char *path)
{
	_cleanup_(pipeline_set_fini) struct pipeline_set set = {0};
	struct err e = {0};
	int64_t last;

	if (ask(path, "SELECT count(*) FROM (SELECT 1 FROM events WHERE stage IS NOT NULL"
		      " GROUP BY order_seq, stage, attempt, kind IN (11), "
		      "json_extract(payload, '$.undo') HAVING count(*) > 1)"))
		fail("an attempt has two events");
	if (ask(path, "SELECT count(*) FROM (SELECT 1 FROM events WHERE kind IN (2, 11)"
		      " GROUP BY order_seq, stage, kind HAVING count(*) > 1)"))
		fail("a stage was done or undone twice");
	if (ask(path,
		    "SELECT (SELECT count(*) FROM events WHERE kind = 2) <>"
		    " (SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM state WHERE key = 'done')"))
		fail("the effects of runs are not one each");
	if (ask(path, "SELECT (SELECT count(*) FROM events WHERE kind = 11) <>"
		      " (SELECT CAST(CAST(value AS TEXT) AS INTEGER) FROM state WHERE key = "
		      "'undone')"))
		fail("the effects of undos are not one each");
	if (journal_verify(path, &last, &e) < 0 || journal_compare(path, &set, &e) < 0)
		fail(err_text(&e));
}

int main(int argc, char **argv)
{
	struct shuffle s = {.random = argc > 2 ? strtoull(argv[2], NULL, 10) * 2 + 1 : 1};
	long long n_tasks = argc > 1 ? strtoll(argv[1], NULL, 10) : 10000;
	struct worker_source workers = {subscribe, &s};
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct pipeline_set set = {0};
	static const char *const ends[] = {"", "-wal", "-shm", ".lock"};
	char folder[] = "/dev/shm/stageline-duplicates-XXXXXX", path[128], attempts[128];
	struct engine_options options = {.orders_in_memory = 100,
		.workers = &workers,
		.on_answers = on_answers,
		.on_commit = on_commit,
		.arg = &s};
	struct pipeline *p;
	struct err e = {0};

	if (!mkdtemp(folder) || pipeline_parse(str_of(text), &p, &faults) < 0)
		fail("cannot begin");
	snprintf(path, sizeof path, "%s/journal.sqlite", folder);
	options.journal_path = path;
	snprintf(attempts, sizeof attempts, "%s/attempts", folder);
	options.attempts_path = attempts;
	if (engine_start(&options, &set, p, &s.engine, &e) < 0)
		fail(err_text(&e));
	play(&s, n_tasks);
	engine_free(s.engine);
	pipeline_set_fini(&set);
	check(path);
	printf("%lld tasks, %lld verdicts of %lld orders\n", s.n_tasks, s.n_verdicts, s.n_placed);
	remove(attempts);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(path, sizeof path, "%s/journal.sqlite%s", folder, ends[i]);
		remove(path);
	}
	return rmdir(folder) < 0;
}
