/* The course of one played case: the engine's turns, and the time between them. */
#include "kit/play.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"

/* 2026-01-05T09:00:00Z, so that what is printed looks like a day in a shop. */
#define START_WALL_US INT64_C(1767603600000000)
#define START_MONO_US INT64_C(1000000000)

/* The clocks and the ids of the process; it plays one case. */
static int64_t virtual_us = START_MONO_US;
static uint64_t virtual_random = 1;

static int64_t mono_us(void)
{
	return virtual_us;
}

static int64_t wall_us(void)
{
	return START_WALL_US + virtual_us - START_MONO_US;
}

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators). */
static void random_bytes(void *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t x = virtual_random += 0x9e3779b97f4a7c15;

		x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
		x = (x ^ x >> 27) * 0x94d049bb133111eb;
		((uint8_t *)out)[i] = (uint8_t)(x ^ x >> 31);
	}
}

static const struct clock_source clocks = {wall_us, mono_us};

static void on_answers(void *arg, struct command *first)
{
	while (first) {
		struct command *next = (struct command *)first->node.next;

		play_people_heard(arg, first);
		first = next;
	}
}

static bool keep_event(struct play *p, const struct event *ev)
{
	size_t cap = p->events_cap ? p->events_cap * 2 : 64;

	if (p->n_events == p->events_cap) {
		const struct event **grown = realloc(p->events, cap * sizeof *grown);

		if (!grown)
			return false;
		p->events = grown;
		p->events_cap = cap;
	}
	p->events[p->n_events++] = ev;
	return true;
}

static void on_commit(void *arg, struct feed_batch *batch)
{
	struct play *p = arg;

	for (const struct event *ev = batch->events.first; ev; ev = ev->next) {
		if (!ev->order_seq)
			continue;
		if (!keep_event(p, ev))
			p->has_no_memory = true;
		play_people_saw(p, ev);
	}
	batch->node.next = p->batches ? &p->batches->node : NULL;
	p->batches = batch;
}

static bool is_over(const struct play *p)
{
	return p->n_events && event_kind_info(p->events[p->n_events - 1]->kind)->is_terminal &&
	       play_people_next_us(p) == INT64_MAX && !p->n_unanswered;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* From the first turn to the last. */
static int go(struct play *p, struct err *e)
{
	for (int turns = 0; turns < PLAY_TURNS_MAX; turns++) {
		int64_t turn_ms = engine_step(p->engine), next_us;
		struct err why = {0};

		if (p->has_no_memory)
			return err_set(e, -ENOMEM, "no memory to play the case");
		if (!engine_is_accepting(p->engine, &why))
			return err_set(e, -EIO, "the journal of the case: %s", err_text(&why));
		if (play_people_act(p) ||
			play_stages_deliver(p)) /* people first: "after" is at once */
			continue;
		next_us = least(play_stages_next_us(p), play_people_next_us(p));
		if (turn_ms < next_us / 1000)
			next_us = turn_ms * 1000;
		if (is_over(p) || (next_us == INT64_MAX && !p->n_unanswered))
			return 0;
		if (next_us > virtual_us && next_us != INT64_MAX)
			virtual_us = next_us;
	}
	yaml_fault_key(
		p->faults, p->c->node, "it goes on and on: %d turns of the engine", PLAY_TURNS_MAX);
	return 0;
}

static int look_at_the_end(struct play *p, const char *journal, struct err *e)
{
	int64_t seq;
	int r = reader_open(journal, &p->set, &p->reader, e);

	if (r == 0 && p->is_placed)
		r = reader_find_order(p->reader, &p->order_id, &seq);
	if (r == 0 && p->is_placed)
		r = reader_order(p->reader, seq, INT64_MAX, &p->order, NULL, e);
	return r;
}

int play_run(struct play *p, struct pipeline *pipeline, const char *folder, struct err *e)
{
	_cleanup_(buf_fini) struct buf journal = {0}, attempts = {0};
	struct engine_options options = {.orders_in_memory = 16,
		.workers = &p->workers,
		.folders = p->folders,
		.on_answers = on_answers,
		.on_commit = on_commit,
		.arg = p};
	int r;

	buf_fmt(&journal, "%s/journal.sqlite", folder);
	buf_fmt(&attempts, "%s/attempts", folder);
	p->workers = (struct worker_source){play_subscribe, p};
	p->pipeline = pipeline;
	clock_set_source(&clocks);
	id_set_random(random_bytes);
	r = journal.failed || attempts.failed ? -ENOMEM : play_stages_open(p, pipeline, e);
	if (r < 0) {
		pipeline_free(pipeline);
		return r;
	}
	options.journal_path = journal.data;
	options.attempts_path = attempts.data;
	r = engine_start(&options, &p->set, pipeline, &p->engine, e);
	if (r == 0)
		r = play_people_begin(p);
	if (r == 0)
		r = go(p, e);
	if (r == 0)
		r = look_at_the_end(p, journal.data, e);
	if (r == 0)
		play_people_end(p);
	return r;
}

void play_fini(struct play *p)
{
	order_free(p->order);
	reader_close(p->reader);
	engine_free(p->engine);
	play_stages_fini(p);
	while (p->batches) {
		struct feed_batch *next = (struct feed_batch *)p->batches->node.next;

		feed_batch_free(p->batches);
		p->batches = next;
	}
	free(p->events);
	pipeline_set_fini(&p->set);
	clock_set_source(NULL);
	id_set_random(NULL);
}
