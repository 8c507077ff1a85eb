/* The rings of the last five minutes. A figure is 32 bits wide: a second has no more of anything. */
#include "net/history.h"

#include <stddef.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine/gate.h"

enum { WINDOW_MARKS = 6, MARK_EVERY = 10 }; /* quantiles look back 50 to 60 seconds */

#define NONE UINT32_MAX /* null */

struct host_sample {
	int64_t at_us;
	uint32_t span_ms, accepted, completed, failed, cancelled, on_hold, in_flight, events,
		commits, commit_p50_us, commit_p99_us, journal_kib, wal_kib, rss_kib;
};

struct stage_sample {
	uint32_t in, out, errors, failed, waiting, running, oldest_ms, p50_us, p99_us;
};

/* Figures by name, and where they are in their sample. */
struct figure {
	const char *name;
	size_t at;
};

#define HOST(name)                                                                                 \
	{                                                                                          \
#name, offsetof(struct host_sample, name)                                          \
	}
static const struct figure order_figures[] = {HOST(accepted), HOST(completed), HOST(failed),
	HOST(cancelled), HOST(on_hold), HOST(in_flight), {0}};
static const struct figure journal_figures[] = {HOST(events), HOST(commits), HOST(commit_p50_us),
	HOST(commit_p99_us), HOST(journal_kib), HOST(wal_kib), {0}};
static const struct figure memory_figures[] = {HOST(rss_kib), {0}};

/* The parts of the host, in the order they are shown. */
static const struct {
	const char *name;
	const struct figure *figures;
} parts[] = {{"orders", order_figures}, {"journal", journal_figures}, {"memory", memory_figures}};

#define STAGE(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct stage_sample, name)                                         \
	}
static const struct figure stage_figures[] = {STAGE(in), STAGE(out), STAGE(errors), STAGE(failed),
	STAGE(waiting), STAGE(running), STAGE(oldest_ms), STAGE(p50_us), STAGE(p99_us), {0}};

/* What a histogram said at some moments of the last minute. */
struct window {
	struct histogram_counts marks[WINDOW_MARKS];
	unsigned n;
};

struct stage_counts {
	int64_t dispatched, returned, errors, failed, waiting;
};

struct stage_ring {
	struct stage_ring *next;
	char *name;
	int64_t from,
		until; /* seconds that it has samples of: those since `from`, before `until` */
	struct stage_counts before;
	struct engine_stage_gauges now;
	struct window run_us;
	struct stage_sample samples[HISTORY_SECONDS];
};

struct history {
	int64_t n; /* seconds so far; the current one is n - 1 */
	struct host_reading before;
	char generation[PIPELINE_DIGEST_SIZE];
	struct window commit_us;
	struct host_sample samples[HISTORY_SECONDS];
	struct stage_ring *stages;
	size_t n_stages;
};

struct history *history_create(void)
{
	return calloc(1, sizeof(struct history));
}

static void ring_free(struct stage_ring *r)
{
	free(r->name);
	free(r);
}

void history_free(struct history *h)
{
	while (h && h->stages) {
		struct stage_ring *next = h->stages->next;

		ring_free(h->stages);
		h->stages = next;
	}
	free(h);
}

/* A figure of 32 bits, below NONE. */
static uint32_t clamp(int64_t v)
{
	return v < 0 ? 0 : v >= NONE ? NONE - 1 : (uint32_t)v;
}

static void window_look(
	struct window *w, const struct histogram *h, int64_t second, uint32_t *p50, uint32_t *p99)
{
	struct histogram_counts now, came;

	histogram_read(h, &now);
	if (w->n == 0 || second % MARK_EVERY == 0) {
		if (w->n == WINDOW_MARKS)
			memmove(w->marks, w->marks + 1, sizeof w->marks - sizeof *w->marks);
		else
			w->n++;
		w->marks[w->n - 1] = now;
	}
	histogram_between(&w->marks[0], &now, &came);
	*p50 = came.n ? clamp((int64_t)histogram_quantile(&came, 0.5)) : NONE;
	*p99 = came.n ? clamp((int64_t)histogram_quantile(&came, 0.99)) : NONE;
}

void history_begin(struct history *h, const struct host_reading *now)
{
	const struct engine_stats *a = &h->before.orders, *b = &now->orders;
	struct host_sample *s = &h->samples[h->n % HISTORY_SECONDS];

	if (h->n == 0)
		a = b; /* what was before the first second belongs to none */
	*s = (struct host_sample){
		.at_us = now->wall_us,
		.span_ms = h->n ? clamp(now->mono_ms - h->before.mono_ms) : 1000,
		.accepted = clamp(b->accepted - a->accepted),
		.completed = clamp(b->completed - a->completed),
		.failed = clamp(b->failed - a->failed),
		.cancelled = clamp(b->cancelled - a->cancelled),
		.on_hold = clamp(b->on_hold),
		.in_flight = clamp(b->in_flight),
		.events = clamp(b->events - a->events),
		.commits = clamp(b->commits - a->commits),
		.journal_kib = clamp(now->journal_bytes / 1024),
		.wal_kib = clamp(now->wal_bytes / 1024),
		.rss_kib = clamp(now->rss_bytes / 1024),
	};
	window_look(&h->commit_us, now->commit_us, h->n, &s->commit_p50_us, &s->commit_p99_us);
	snprintf(h->generation, sizeof h->generation, "%s", now->generation);
	h->before = *now;
	h->n++;
}

static struct stage_counts counts_of(const struct tally *t, const struct engine_stage_gauges *g)
{
	struct stage_counts c = {.waiting = g->waiting};
	struct histogram_counts waits;

	histogram_read(&t->wait_us, &waits);
	c.dispatched = waits.n;
	for (int undo = 0; undo < 2; undo++)
		for (int v = 0; v < VERDICT_KINDS; v++) {
			int64_t n =
				atomic_load_explicit(&t->verdicts[undo][v], memory_order_relaxed);

			c.returned += n;
			if (v == VERDICT_RETRY || v == VERDICT_TIMEOUT || v == VERDICT_CRASH)
				c.errors += n;
			if (v == VERDICT_FAIL)
				c.failed += n;
		}
	return c;
}

static struct stage_ring *ring_of(struct history *h, const struct tally *t,
	const struct engine_stage_gauges *g, const struct stage_counts *now)
{
	struct stage_ring *r = h->stages;

	while (r && strcmp(r->name, t->name) != 0)
		r = r->next;
	if (r || h->n_stages == HISTORY_STAGES_MAX || !(g->is_current || g->waiting || g->out))
		return r;
	r = calloc(1, sizeof *r);
	if (r)
		r->name = str_dup(str_of(t->name));
	if (!r || !r->name) {
		free(r);
		return NULL;
	}
	r->from = h->n - 1;
	r->before = *now;
	r->next = h->stages;
	h->stages = r;
	h->n_stages++;
	return r;
}

void history_stage(struct history *h, const struct tally *t, const struct engine_stage_gauges *g)
{
	struct stage_counts now = counts_of(t, g);
	struct stage_ring *r = ring_of(h, t, g, &now);
	struct stage_sample *s;

	if (!r)
		return;
	s = &r->samples[(h->n - 1) % HISTORY_SECONDS];
	*s = (struct stage_sample){
		/* What came in is what went out to workers and what waits more than before. */
		.in = clamp(
			now.dispatched - r->before.dispatched + now.waiting - r->before.waiting),
		.out = clamp(now.returned - r->before.returned),
		.errors = clamp(now.errors - r->before.errors),
		.failed = clamp(now.failed - r->before.failed),
		.waiting = clamp(g->waiting),
		.running = clamp(g->out),
		.oldest_ms = clamp(g->oldest_ms),
	};
	window_look(&r->run_us, &t->run_us, h->n - 1, &s->p50_us, &s->p99_us);
	r->before = now;
	r->now = *g;
	if (g->is_current || g->waiting || g->out || s->out)
		r->until = h->n;
}

void history_end(struct history *h)
{
	struct stage_ring **slot = &h->stages;

	while (*slot) {
		struct stage_ring *r = *slot;

		if (r->until > h->n - HISTORY_SECONDS) {
			slot = &r->next;
			continue;
		}
		*slot = r->next;
		ring_free(r);
		h->n_stages--;
	}
}

size_t history_stages(const struct history *h)
{
	return h->n_stages;
}

/* --- as JSON --- */

static void write_figure(struct json_writer *w, const void *sample, const struct figure *f)
{
	uint32_t v;

	memcpy(&v, (const char *)sample + f->at, sizeof v);
	if (v == NONE)
		json_null(w);
	else
		json_int(w, v);
}

static int64_t oldest(const struct history *h)
{
	return h->n > HISTORY_SECONDS ? h->n - HISTORY_SECONDS : 0;
}

/* A list per figure, of samples that are `size` bytes; null for seconds before `from`. */
static void write_lists(const struct history *h, struct json_writer *w, const void *samples,
	size_t size, int64_t from, const struct figure *figures)
{
	json_open(w, '{');
	for (const struct figure *f = figures; f->name; f++) {
		json_key(w, f->name);
		json_open(w, '[');
		for (int64_t i = oldest(h); i < h->n; i++)
			if (i < from)
				json_null(w);
			else
				write_figure(w,
					(const char *)samples +
						size * (size_t)(i % HISTORY_SECONDS),
					f);
		json_close(w, ']');
	}
	json_close(w, '}');
}

static void write_seconds(const struct history *h, struct json_writer *w)
{
	json_key(w, "at_ms");
	json_open(w, '[');
	for (int64_t i = oldest(h); i < h->n; i++)
		json_int(w, h->samples[i % HISTORY_SECONDS].at_us / 1000);
	json_close(w, ']');
	json_key(w, "span_ms");
	json_open(w, '[');
	for (int64_t i = oldest(h); i < h->n; i++)
		json_int(w, h->samples[i % HISTORY_SECONDS].span_ms);
	json_close(w, ']');
}

void history_json(const struct history *h, struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "seconds");
	json_int(w, HISTORY_SECONDS);
	write_seconds(h, w);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		json_key(w, parts[i].name);
		write_lists(h, w, h->samples, sizeof *h->samples, 0, parts[i].figures);
	}
	json_key(w, "stages");
	json_open(w, '{');
	for (const struct stage_ring *r = h->stages; r; r = r->next) {
		json_key(w, r->name);
		write_lists(h, w, r->samples, sizeof *r->samples, r->from, stage_figures);
	}
	json_close(w, '}');
	json_close(w, '}');
}

static void write_last(struct json_writer *w, const void *sample, const struct figure *figures)
{
	for (const struct figure *f = figures; f->name; f++) {
		json_key(w, f->name);
		write_figure(w, sample, f);
	}
}

static void write_stage_now(
	const struct history *h, const struct stage_ring *r, struct json_writer *w)
{
	const struct engine_stage_gauges *g = &r->now;

	json_key(w, r->name);
	json_open(w, '{');
	write_last(w, &r->samples[(h->n - 1) % HISTORY_SECONDS], stage_figures);
	json_key(w, "current");
	json_bool(w, g->is_current);
	json_key(w, "paused");
	json_bool(w, g->is_paused);
	json_key(w, "breaker");
	json_text(w, breaker_word((enum breaker_state)g->breaker));
	json_key(w, "served_by");
	if (g->served_by < 0)
		json_null(w);
	else
		json_int(w, g->served_by);
	json_key(w, "busy");
	json_int(w, g->running);
	json_key(w, "crashes");
	json_int(w, g->crashes);
	json_key(w, "restarts");
	json_int(w, g->restarts);
	json_key(w, "unhealthy");
	json_bool(w, g->has_trouble);
	json_close(w, '}');
}

void history_sample_json(const struct history *h, struct json_writer *w)
{
	const struct host_sample *s = &h->samples[(h->n - 1) % HISTORY_SECONDS];

	json_open(w, '{');
	json_key(w, "type");
	json_text(w, "sample");
	json_key(w, "at");
	json_time(w, s->at_us);
	json_key(w, "span_ms");
	json_int(w, s->span_ms);
	json_key(w, "generation");
	json_text(w, h->generation);
	json_key(w, "reloaded_at");
	if (h->before.reloaded_us)
		json_time(w, h->before.reloaded_us);
	else
		json_null(w);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		json_key(w, parts[i].name);
		json_open(w, '{');
		write_last(w, s, parts[i].figures);
		json_close(w, '}');
	}
	json_key(w, "stages");
	json_open(w, '{');
	for (const struct stage_ring *r = h->stages; r; r = r->next)
		if (r->until == h->n)
			write_stage_now(h, r, w);
	json_close(w, '}');
	json_close(w, '}');
}
