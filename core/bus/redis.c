/* The Redis bus: its life, its stages, and what the engine asks of it. The talking is done by four threads, two for
 * the coordinator and two for the workers of this process. */
#include "bus/redis.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_room.h"

enum { BUCKETS = 4096, TROUBLE_MS = 15000 };

void key_of(const struct redis_bus *b, char out[KEY_MAX], const char *name, const char *rest)
{
	snprintf(out, KEY_MAX, "%s%s%.200s", b->tag, name, rest);
}

void stream_key(const struct redis_bus *b, char out[KEY_MAX], const char *stage, const char *digest)
{
	snprintf(out, KEY_MAX, "%sstage:%.64s:%.64s", b->tag, stage, digest);
}

void redis_wait(struct redis_bus *b, pthread_cond_t *cond, int64_t until_ms)
{
	struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};

	pthread_cond_timedwait(cond, &b->lock, &until);
}

/* --- channels --- */

struct channel *redis_channel(struct redis_bus *b, const struct pipeline *p, size_t stage)
{
	struct channel *ch = b->channels;

	while (ch && (ch->pipeline != p || ch->stage != stage || atomic_load(&ch->is_closed)))
		ch = ch->next;
	return ch;
}

struct channel *redis_channel_of(struct redis_bus *b, struct str digest, size_t stage)
{
	struct channel *ch = b->channels;

	while (ch && (ch->stage != stage || atomic_load(&ch->is_closed) ||
			     !str_is(digest, ch->pipeline->digest)))
		ch = ch->next;
	return ch;
}

/* A stage whose generation came back, or that can run here at last, gets its place again: nothing that a thread may look
 * at goes away. */
static struct channel *known_channel(struct redis_bus *b, const struct pipeline *p, size_t stage)
{
	struct channel *ch = b->channels;

	while (ch && (ch->pipeline != p || ch->stage != stage))
		ch = ch->next;
	return ch;
}

static int redis_subscribe(struct bus *bus, const struct pipeline *p, size_t stage, size_t max_out,
	const struct bus_workers *workers)
{
	struct redis_bus *b = redis_of(bus);
	struct channel *ch, *made = calloc(1, sizeof *made);

	(void)max_out; /* of one process; here it is of all workers together */
	if (!made)
		return -ENOMEM;
	pthread_mutex_lock(&b->lock);
	ch = known_channel(b, p, stage);
	if (!ch) {
		ch = steal_ptr(made);
		ch->pipeline = p;
		ch->stage = stage;
		ch->waiting_last = &ch->waiting;
		ch->max_out = (size_t)b->options.out_max;
		ch->mean_us = -1;
		ch->wake_at = SIZE_MAX / 2;
		stream_key(b, ch->key, p->stages[stage].name, p->digest);
		ch->next = b->channels;
		b->channels = ch;
	}
	ch->has_workers = workers != NULL;
	ch->is_quiet = false;
	if (workers)
		ch->workers = *workers;
	atomic_store(&ch->is_closed, false);
	pthread_cond_broadcast(&b->places);
	pthread_cond_broadcast(&b->to_publish);
	pthread_mutex_unlock(&b->lock);
	free(made);
	return 0;
}

static void redis_quiet(struct bus *bus, const struct pipeline *p)
{
	struct redis_bus *b = redis_of(bus);

	pthread_mutex_lock(&b->lock);
	for (struct channel *ch = b->channels; ch; ch = ch->next)
		if (ch->pipeline == p)
			ch->is_quiet = true;
	pthread_mutex_unlock(&b->lock);
}

/* Its workers have ended: no call comes back any more. What they held and did not start is left to its lease. */
static void let_go(struct channel *ch)
{
	for (struct held *h = ch->held; h; h = h->next) {
		if (!h->has_call)
			continue;
		h->has_call = false;
		h->is_over = true;
		if (!h->is_late)
			redis_held_end(h);
	}
}

static void redis_unsubscribe(struct bus *bus, const struct pipeline *p)
{
	struct redis_bus *b = redis_of(bus);

	pthread_mutex_lock(&b->lock);
	for (struct channel *ch = b->channels; ch; ch = ch->next) {
		struct task *left;

		if (ch->pipeline != p || atomic_load(&ch->is_closed))
			continue;
		atomic_store(&ch->is_closed, true);
		left = b->is_coordinator ? outs_clear(b, ch) : NULL;
		let_go(ch);
		for (struct queue_node *q = left ? &left->node : NULL; q; q = q->next)
			((struct task *)q)->verdict =
				VERDICT_RETRY; /* nobody's: to be given back */
		if (left)
			b->on_verdicts(b->arg, left);
	}
	pthread_cond_broadcast(&b->to_publish);
	pthread_mutex_unlock(&b->lock);
}

/* --- tasks and verdicts --- */

static size_t redis_room(struct bus *bus, const struct pipeline *p, size_t stage)
{
	struct redis_bus *b = redis_of(bus);
	struct channel *ch;
	size_t n = 0;

	pthread_mutex_lock(&b->lock);
	ch = redis_channel(b, p, stage);
	if (ch && atomic_load(&ch->n_out) < ch->max_out)
		n = ch->max_out - atomic_load(&ch->n_out);
	pthread_mutex_unlock(&b->lock);
	return n;
}

/* Without memory for its place it is answered as a try that failed. */
static void redis_publish(struct bus *bus, struct task *first)
{
	struct redis_bus *b = redis_of(bus);
	struct queue_node *failed = NULL;
	struct channel *ch;

	pthread_mutex_lock(&b->lock);
	ch = redis_channel(b, first->pipeline, first->stage);
	while (first) {
		struct task *t = first;

		first = (struct task *)t->node.next;
		if (ch && outs_add(b, ch, t) == 0)
			continue;
		t->verdict = VERDICT_RETRY;
		t->node.next = failed;
		failed = &t->node;
	}
	pthread_cond_broadcast(&b->to_publish);
	pthread_mutex_unlock(&b->lock);
	if (failed)
		b->on_verdicts(b->arg, (struct task *)failed);
}

/* Whether its verdict counts; else it was answered as timed out, and its call came back at last. */
static bool comes_in_time(struct held *h)
{
	h->has_call = false;
	if (!h->is_late) {
		redis_held_end(h);
		return true;
	}
	if (h->is_over)
		redis_held_free(h);
	return false;
}

static void redis_answer(struct bus *bus, struct task *first)
{
	struct redis_bus *b = redis_of(bus);
	bool has_places = false;

	pthread_mutex_lock(&b->lock);
	while (first) {
		struct task *t = first;
		struct channel *ch = ((struct held *)t->carrier)->channel;

		first = (struct task *)t->node.next;
		redis_note_duration(ch, t->duration_us);
		has_places |= ch->n_held <= ch->wake_at + 1;
		if (!comes_in_time(t->carrier)) {
			task_free(t);
			continue;
		}
		redis_send_later(b, t);
	}
	if (!b->is_pacing)
		pthread_cond_signal(&b->to_answer);
	if (has_places)
		pthread_cond_signal(&b->places);
	pthread_mutex_unlock(&b->lock);
}

static void redis_settle(struct bus *bus, struct task *t)
{
	struct redis_bus *b = redis_of(bus);
	struct carrier *c = steal_ptr(t->carrier);

	pthread_mutex_lock(&b->lock);
	if (--c->n_left == 0) {
		*c->slot = c->next;
		if (c->next)
			c->next->slot = c->slot;
		if (!b->settled)
			pthread_cond_broadcast(&b->to_publish);
		c->next = b->settled;
		b->settled = c;
	}
	pthread_mutex_unlock(&b->lock);
}

/* Its worker counts its time, and the lease stands behind that. */
static int64_t redis_ask_engine(struct bus *bus, const struct task *t, int64_t now_ms)
{
	struct redis_bus *b = redis_of(bus);
	int64_t timeout_ms = t->pipeline->stages[t->stage].timeout_ms;
	struct attempt a = attempt_of(t);
	struct channel *ch;
	bool is_out;

	pthread_mutex_lock(&b->lock);
	ch = redis_channel(b, t->pipeline, t->stage);
	is_out = ch && outs_find(b, ch, &a);
	pthread_mutex_unlock(&b->lock);
	return is_out ? now_ms + (timeout_ms > TICK_MS ? timeout_ms : TICK_MS) : 0;
}

/* --- how it fares --- */

static int n_links(const struct redis_bus *b)
{
	return 2 * b->is_coordinator + 2 * b->options.has_worker; /* those of its threads */
}

static bool redis_has_caught_up(struct bus *bus)
{
	return atomic_load(&redis_of(bus)->has_caught_up);
}

static void redis_state(struct bus *bus, struct bus_state *ret)
{
	struct redis_bus *b = redis_of(bus);
	int64_t now_ms = clock_mono_ms(), said_ms = 0;

	*ret = (struct bus_state){.kind = "redis"};
	ret->is_connected = atomic_load(&b->health.n_up) == n_links(b) &&
			    (!b->is_coordinator || atomic_load(&b->is_set_up));
	pthread_mutex_lock(&b->health.lock);
	for (size_t i = 0; i < REDIS_TROUBLES; i++)
		if (b->health.logged_ms[i] > said_ms)
			said_ms = b->health.logged_ms[i];
	if (!ret->is_connected || (said_ms && now_ms - said_ms < TROUBLE_MS))
		snprintf(ret->trouble, sizeof ret->trouble, "%s", b->health.text);
	pthread_mutex_unlock(&b->health.lock);
}

static void redis_describe_workers(struct bus *bus, struct buf *out)
{
	struct redis_bus *b = redis_of(bus);

	pthread_mutex_lock(&b->lock);
	if (b->workers)
		buf_text(out, b->workers);
	pthread_mutex_unlock(&b->lock);
}

static int redis_n_workers(struct bus *bus, const struct pipeline *p, size_t stage)
{
	struct redis_bus *b = redis_of(bus);
	struct channel *ch;
	int n = -1;

	if (!atomic_load(&b->is_set_up))
		return n;
	pthread_mutex_lock(&b->lock);
	ch = redis_channel(b, p, stage);
	if (ch && b->workers)
		n = ch->n_workers;
	pthread_mutex_unlock(&b->lock);
	return n;
}

/* --- life --- */

static int start_thread(pthread_t *thread, bool *has, void *(*run)(void *), struct redis_bus *b)
{
	int r = -pthread_create(thread, NULL, run, b);

	*has = r == 0;
	return r;
}

static int redis_start(struct bus *bus)
{
	struct redis_bus *b = redis_of(bus);
	int r = 0;

	if (b->is_coordinator) {
		r = start_thread(&b->publisher, &b->has_publisher, redis_publisher_run, b);
		if (r == 0)
			r = start_thread(&b->reader, &b->has_reader, redis_reader_run, b);
	}
	if (r == 0 && b->options.has_worker) {
		r = start_thread(&b->taker, &b->has_taker, redis_taker_run, b);
		if (r == 0)
			r = start_thread(&b->answerer, &b->has_answerer, redis_answerer_run, b);
	}
	return r;
}

static void join(struct redis_bus *b, pthread_t thread, bool *has)
{
	pthread_mutex_lock(&b->lock);
	pthread_cond_broadcast(&b->places);
	pthread_cond_broadcast(&b->to_answer);
	pthread_cond_broadcast(&b->to_publish);
	pthread_mutex_unlock(&b->lock);
	if (*has)
		pthread_join(thread, NULL);
	*has = false;
}

/* The workers' verdicts are written, then the coordinator reads what there is. */
static void redis_stop(struct bus *bus)
{
	struct redis_bus *b = redis_of(bus);

	if (b->publish.c && !b->is_coordinator)
		redis_link_down(&b->publish);
	atomic_store(&b->is_taking, false);
	join(b, b->taker, &b->has_taker);
	atomic_store(&b->is_closing, true);
	join(b, b->answerer, &b->has_answerer);
	atomic_store(&b->is_draining, true);
	join(b, b->reader, &b->has_reader);
	atomic_store(&b->is_stopping, true);
	join(b, b->publisher, &b->has_publisher);
}

static void free_tasks(struct task *t)
{
	while (t) {
		struct task *next = (struct task *)t->node.next;

		task_free(t);
		t = next;
	}
}

static void free_carriers(struct carrier *c)
{
	while (c) {
		struct carrier *next = c->next;

		free(c);
		c = next;
	}
}

static void free_channel(struct channel *ch)
{
	while (ch->held)
		redis_held_free(ch->held);
	free(ch->found);
	free(ch);
}

static void redis_destroy(struct bus *bus)
{
	struct redis_bus *b = redis_of(bus);

	redis_stop(bus);
	free_tasks(outs_clear(b, NULL));
	free_tasks(b->answered);
	free_carriers(b->carriers);
	free_carriers(b->settled);
	while (b->channels) {
		struct channel *next = b->channels->next;

		free_channel(b->channels);
		b->channels = next;
	}
	pthread_cond_destroy(&b->places);
	pthread_cond_destroy(&b->to_answer);
	pthread_cond_destroy(&b->to_publish);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->health.lock);
	free(b->outs);
	free(b->workers);
	free(b->report);
	free(b);
}

static const struct bus_ops redis_ops = {
	.start = redis_start,
	.stop = redis_stop,
	.destroy = redis_destroy,
	.subscribe = redis_subscribe,
	.quiet = redis_quiet,
	.unsubscribe = redis_unsubscribe,
	.room = redis_room,
	.publish = redis_publish,
	.answer = redis_answer,
	.settle = redis_settle,
	.ask = redis_ask_engine,
	.has_caught_up = redis_has_caught_up,
	.state = redis_state,
	.describe_workers = redis_describe_workers,
	.n_workers = redis_n_workers,
};

static void init_locks(struct redis_bus *b)
{
	pthread_cond_t *const conds[] = {&b->places, &b->to_answer, &b->to_publish};
	pthread_condattr_t attr;

	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->health.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	for (size_t i = 0; i < ARRAY_LEN(conds); i++)
		pthread_cond_init(conds[i], &attr);
	pthread_condattr_destroy(&attr);
}

static void name_self(struct redis_bus *b)
{
	struct id id;

	id_create(&id, clock_wall_us());
	id_text(&id, b->run);
	if (gethostname(b->host, sizeof b->host - 1) < 0)
		snprintf(b->host, sizeof b->host, "unknown");
	for (char *p = b->host; *p; p++)
		if (*p <= ' ' || *p == '{' || *p == '}' || *p > '~')
			*p = '-';
	if (b->is_coordinator)
		snprintf(b->consumer, sizeof b->consumer, SERVE_WORKERS "%s", b->run);
	else
		snprintf(b->consumer, sizeof b->consumer, "%s-%d-%s", b->host, (int)getpid(),
			b->run + ID_TEXT_SIZE - 7);
}

static void init_links(struct redis_bus *b)
{
	redis_link_init(&b->publish, &b->options, &b->health, "publish");
	redis_link_init(&b->verdicts, &b->options, &b->health, "verdicts");
	redis_link_init(&b->take, &b->options, &b->health, "take");
	redis_link_init(&b->answers, &b->options, &b->health, "answers");
}

static struct redis_bus *redis_new(const struct redis_options *options, bool is_coordinator)
{
	struct redis_bus *b = calloc(1, sizeof *b);

	if (!b)
		return NULL;
	b->bus.ops = &redis_ops;
	b->options = *options;
	b->is_coordinator = is_coordinator;
	atomic_store(&b->lease_ms, options->lease_ms);
	b->n_buckets = BUCKETS;
	b->outs = calloc(b->n_buckets, sizeof(struct out *));
	if (!b->outs) {
		free(b);
		return NULL;
	}
	init_locks(b);
	init_links(b);
	name_self(b);
	snprintf(b->last, sizeof b->last, "0-0");
	b->answered_last = &b->answered;
	atomic_store(&b->is_taking, true);
	return b;
}

void redis_tag(struct redis_bus *b, const char *name)
{
	snprintf(b->tag, sizeof b->tag, "%.64s:{%.64s}:", b->options.prefix, name);
}

int bus_create_redis(const struct redis_options *options, const char *name,
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct bus **ret)
{
	struct redis_bus *b = redis_new(options, true);

	if (!b)
		return -ENOMEM;
	redis_tag(b, name);
	b->on_verdicts = on_verdicts;
	b->arg = arg;
	*ret = &b->bus;
	return 0;
}

int bus_create_redis_worker(const struct redis_options *options, const char *name, struct bus **ret)
{
	struct redis_bus *b = redis_new(options, false);

	if (!b)
		return -ENOMEM;
	b->options.has_worker = true;
	if (name)
		redis_tag(b, name);
	*ret = &b->bus;
	return 0;
}
