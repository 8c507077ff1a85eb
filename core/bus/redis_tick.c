/* Looking after Redis once a second: whether it still has what it was given, whose lease is over, and which workers
 * there are. [publisher] */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_room.h"

enum {
	EXPIRED_MAX = 64,
	WORKERS_MAX = 1000,
	WORKER_BYTES = 64 * 1024,
	FORGET_AT_ONCE = 16, /* each takes an exchange per channel */
	SLOW_MS = 500,
	OLD_MS = 60000,
};

/* --- whether it is all there --- */

static bool has_streams(struct redis_bus *b)
{
	const char *argv[PIPELINE_STAGES_MAX * 8 + 1] = {"EXISTS"};
	_cleanup_(redis_reply_freep) redisReply *reply = NULL;
	int n = 1;

	pthread_mutex_lock(&b->lock);
	for (struct channel *ch = b->channels; ch && n < (int)ARRAY_LEN(argv); ch = ch->next)
		if (ch->is_ready && !atomic_load(&ch->is_closed))
			argv[n++] = ch->key;
	pthread_mutex_unlock(&b->lock);
	if (n == 1)
		return true;
	redis_put_argv(&b->publish, n, argv, NULL);
	reply = redis_get(&b->publish);
	return !reply || reply->type != REDIS_REPLY_INTEGER || reply->integer == n - 1;
}

/* Anything that is missing is taken for the loss of everything: what is published twice is fenced. */
static void look_for_losses(struct redis_bus *b)
{
	_cleanup_(redis_reply_freep) redisReply *run = NULL, *deleted = NULL;
	char key[KEY_MAX];
	bool is_there;

	key_of(b, key, "run", "");
	run = redis_ask(&b->publish, key, "GET %s", key);
	if (!run)
		return;
	is_there = run->type == REDIS_REPLY_STRING && strcmp(run->str, b->run) == 0;
	if (is_there && has_streams(b))
		return;
	if (is_there)
		deleted = redis_ask(&b->publish, key, "DEL %s", key);
	atomic_store(&b->is_set_up, false);
}

/* The last order of its generation has ended. */
static void take_down(struct redis_bus *b, struct channel *ch)
{
	_cleanup_(redis_reply_freep) redisReply *stream = NULL, *listed = NULL, *text = NULL;
	const char *digest = ch->pipeline->digest;
	char key[KEY_MAX], list[KEY_MAX];

	key_of(b, key, "generation:", digest);
	key_of(b, list, "generations", "");
	listed = redis_ask(&b->publish, list, "SREM %s %s", list, digest);
	if (listed)
		text = redis_ask(&b->publish, key, "DEL %s", key);
	if (text)
		stream = redis_ask(&b->publish, ch->key, "DEL %s", ch->key);
	if (stream)
		ch->is_ready = false;
}

/* --- whose lease is over --- */

struct expired {
	char entry[ENTRY_ID_MAX], consumer[CONSUMER_MAX];
	long long n_deliveries;
};

static size_t read_expired(struct redis_bus *b, const struct channel *ch, struct expired *ret)
{
	_cleanup_(redis_reply_freep) redisReply *reply =
		redis_ask(&b->publish, ch->key, "XPENDING %s " WORKER_GROUP " IDLE %lld - + %d",
			ch->key, (long long)b->options.lease_ms, EXPIRED_MAX);
	size_t n = 0;

	for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		const redisReply *e = reply->element[i];

		if (e->elements < 4 || n == EXPIRED_MAX)
			continue;
		snprintf(ret[n].entry, sizeof ret[n].entry, "%s", e->element[0]->str);
		snprintf(ret[n].consumer, sizeof ret[n].consumer, "%s", e->element[1]->str);
		ret[n++].n_deliveries = e->element[3]->integer;
	}
	return n;
}

/* The attempt is over, as its stage's process died with it. Takes `t`. */
static void crash(struct redis_bus *b, struct channel *ch, struct task *t, const struct expired *x)
{
	struct attempt a = attempt_of(t);
	struct task *out;
	char text[TASK_MESSAGE_MAX];

	pthread_mutex_lock(&b->lock);
	out = outs_take(b, ch, &a);
	if (out) {
		task_free(t);
		t = out;
	}
	t->carrier = carrier_new(b, ch, x->entry, 1);
	pthread_mutex_unlock(&b->lock);
	task_clear_verdict(t);
	snprintf(text, sizeof text, "worker %.100s died or was cut off during the attempt",
		x->consumer);
	t->message = task_keep(t, str_of(text));
	t->verdict = VERDICT_CRASH;
	t->delay_ms = -1;
	t->node.next = NULL;
	log_warn("bus=redis order_seq=%lld stage=%s attempt=%u %s", (long long)t->order_seq,
		ch->pipeline->stages[ch->stage].name, t->attempt, text);
	b->on_verdicts(b->arg, t);
}

static void take_back(struct redis_bus *b, struct channel *ch, const struct expired *x)
{
	_cleanup_(redis_reply_freep) redisReply *reply = redis_ask(&b->publish, ch->key,
		"XCLAIM %s " WORKER_GROUP " " COORDINATOR " %lld %s", ch->key,
		(long long)b->options.lease_ms, x->entry);
	const redisReply *entry;
	struct task *t;

	/* It was renewed meanwhile, or it is gone. */
	if (!reply || reply->type != REDIS_REPLY_ARRAY || !reply->elements)
		return;
	entry = reply->element[0];
	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2)
		return;
	if (redis_entry_task(ch, entry->element[1], &t) == 0)
		crash(b, ch, t, x);
}

/* Whether Redis writes: workers renew what they hold by that. */
static bool is_writing(struct redis_bus *b)
{
	_cleanup_(redis_reply_freep) redisReply *reply = NULL;
	char key[KEY_MAX];

	key_of(b, key, "run", "");
	reply = redis_ask(&b->publish, key, "PERSIST %s", key); /* it has no end as it is */
	return reply != NULL;
}

/* Whether the clock of Redis was set, by which it counts how long an entry has been left alone. */
static bool has_jumped(struct redis_bus *b)
{
	_cleanup_(redis_reply_freep) redisReply *time = redis_ask(&b->publish, "TIME", "TIME");
	int64_t before_ms = b->ahead_ms;

	if (!time || time->type != REDIS_REPLY_ARRAY || time->elements != 2)
		return false;
	b->ahead_ms = strtoll(time->element[0]->str, NULL, 10) * 1000 +
		      strtoll(time->element[1]->str, NULL, 10) / 1000 - clock_mono_ms();
	return llabs(b->ahead_ms - before_ms) > SLOW_MS;
}

/* A Redis that just came back, writes again or was given another time has not heard yet who is alive. */
static bool is_calm(struct redis_bus *b, int64_t began_ms)
{
	bool was_writing = b->is_writing, jumped;
	int64_t now_ms;

	b->is_writing = is_writing(b);
	jumped = has_jumped(b);
	now_ms = clock_mono_ms();
	if (jumped || now_ms - began_ms > SLOW_MS || now_ms - b->tick_ms > TICK_MS + SLOW_MS ||
		!was_writing || !b->is_writing)
		b->calm_ms = now_ms;
	return now_ms - b->calm_ms >= b->options.lease_ms / 2;
}

static void take_back_expired(struct redis_bus *b, struct channel *ch)
{
	struct expired expired[EXPIRED_MAX];
	size_t n = read_expired(b, ch, expired);

	for (size_t i = 0; i < n && b->publish.c; i++)
		take_back(b, ch, &expired[i]);
}

/* --- what has been out for long --- */

/* An entry that somebody deleted, or whose verdict made no sense, comes again. */
static void look_for_lost_entries(struct redis_bus *b, struct channel *ch, int64_t before_ms)
{
	bool is_old;

	pthread_mutex_lock(&b->lock);
	is_old = outs_has_older(b, ch, before_ms);
	pthread_mutex_unlock(&b->lock);
	if (!is_old || redis_search(b, ch) < 0)
		return;
	pthread_mutex_lock(&b->lock);
	outs_send_again(b, ch, before_ms);
	pthread_mutex_unlock(&b->lock);
}

/* What is not sent, since its order turns round, but may be with a worker since an earlier life of the coordinator, even
 * when Redis has lost it: who had it has answered when its time is over, and its lease. */
static void look_for_lost_runs(struct redis_bus *b, struct channel *ch, int64_t now_ms)
{
	int64_t time_ms = ch->pipeline->stages[ch->stage].timeout_ms + b->options.lease_ms;
	struct task *first;
	bool is_due;

	pthread_mutex_lock(&b->lock);
	is_due = outs_has_awaited(b, ch, now_ms - time_ms);
	pthread_mutex_unlock(&b->lock);
	if (!is_due || redis_search(b, ch) < 0)
		return;
	pthread_mutex_lock(&b->lock);
	first = outs_take_lost(b, ch, now_ms - time_ms);
	pthread_mutex_unlock(&b->lock);
	for (struct task *t = first; t; t = (struct task *)t->node.next) {
		t->message = task_keep(t, STR("no worker has the attempt any more"));
		t->verdict = VERDICT_CRASH;
		t->duration_us = -1;
	}
	if (first)
		b->on_verdicts(b->arg, first);
}

/* --- workers --- */

static int read_names(struct redis_bus *b, redisReply **ret, char list[KEY_MAX])
{
	key_of(b, list, "workers", "");
	*ret = redis_ask(&b->publish, list, "SMEMBERS %s", list);
	return *ret && (*ret)->type == REDIS_REPLY_ARRAY ? 0 : -EIO;
}

/* Counts the worker for each stage that it says it takes tasks of. */
static void count_worker(struct redis_bus *b, const cJSON *worker)
{
	const cJSON *s;

	pthread_mutex_lock(&b->lock);
	cJSON_ArrayForEach (s, cJSON_GetObjectItemCaseSensitive(worker, "stages")) {
		struct str name = json_member(s, "name"), digest = json_member(s, "generation");

		if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(s, "clogged")) ||
			cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(s, "stalled")))
			continue;
		for (struct channel *ch = b->channels; ch; ch = ch->next)
			if (str_is(digest, ch->pipeline->digest) &&
				str_is(name, ch->pipeline->stages[ch->stage].name))
				ch->n_counted++;
	}
	pthread_mutex_unlock(&b->lock);
}

static void add_worker(struct redis_bus *b, struct buf *out, const redisReply *said)
{
	_cleanup_(json_freep) cJSON *worker = NULL;
	struct str json = {said->str, said->len};

	if (said->len > WORKER_BYTES || json_parse(json, JSON_DEPTH_MAX / 2, &worker, NULL) < 0 ||
		!cJSON_IsObject(worker))
		return;
	count_worker(b, worker);
	if (out->len)
		buf_char(out, ',');
	buf_str(out, json);
}

/* Says it once when tasks are out and nobody takes them, at two looks in a row. With the lock held. */
static void judge_count(struct channel *ch)
{
	const char *stage = ch->pipeline->stages[ch->stage].name;
	bool is_deserted = !ch->n_counted && !ch->n_workers && atomic_load(&ch->n_out);

	if (is_deserted && !ch->is_deserted)
		log_warn("bus=redis stage=%s generation=%s has no worker: %zu of its tasks wait "
			 "in Redis",
			stage, ch->pipeline->digest, atomic_load(&ch->n_out));
	else if (ch->is_deserted && ch->n_counted)
		log_info("bus=redis stage=%s generation=%s has a worker again", stage,
			ch->pipeline->digest);
	ch->is_deserted = is_deserted || (ch->is_deserted && !ch->n_counted);
	ch->n_workers = ch->n_counted;
}

static void begin_count(struct redis_bus *b)
{
	pthread_mutex_lock(&b->lock);
	for (struct channel *ch = b->channels; ch; ch = ch->next)
		ch->n_counted = 0;
	pthread_mutex_unlock(&b->lock);
}

/* It has said nothing for long. What it holds is first taken back from it; false: there is such. */
static bool forget_consumer(struct redis_bus *b, struct channel *ch, const char *name)
{
	_cleanup_(redis_reply_freep) redisReply *pending = NULL, *lost = NULL;

	pending = redis_ask(
		&b->publish, ch->key, "XPENDING %s " WORKER_GROUP " - + 1 %s", ch->key, name);
	if (!pending || pending->type != REDIS_REPLY_ARRAY || pending->elements)
		return false;
	lost = redis_ask(
		&b->publish, ch->key, "XGROUP DELCONSUMER %s " WORKER_GROUP " %s", ch->key, name);
	if (!lost || !lost->integer)
		return lost != NULL;
	/* It lived after all, and took something at this very moment, which nobody knows of now. */
	pthread_mutex_lock(&b->lock);
	ch->n_found = 0;
	outs_send_again(b, ch, INT64_MAX);
	pthread_mutex_unlock(&b->lock);
	return true;
}

static void forget_worker(struct redis_bus *b, const char *list, const char *name)
{
	struct channel *ch;
	bool is_clear = true;

	pthread_mutex_lock(&b->lock);
	ch = b->channels;
	pthread_mutex_unlock(&b->lock);
	for (; ch && b->publish.c; ch = ch->next)
		if (ch->is_ready && !atomic_load(&ch->is_closed))
			is_clear &= forget_consumer(b, ch, name);
	if (is_clear)
		freeReplyObject(redis_ask(&b->publish, list, "SREM %s %s", list, name));
}

/* What nobody says is believed when all who live had the time to say it; `calm`. */
static void read_workers(struct redis_bus *b, bool calm)
{
	_cleanup_(redis_reply_freep) redisReply *names = NULL;
	_cleanup_(buf_fini) struct buf all = {0};
	char list[KEY_MAX], key[KEY_MAX];
	int n_forgotten = 0;

	if (read_names(b, &names, list) < 0)
		return;
	begin_count(b);
	for (size_t i = 0; i < names->elements && i < WORKERS_MAX && b->publish.c; i++) {
		const char *name = names->element[i]->str;
		_cleanup_(redis_reply_freep) redisReply *said = NULL;

		key_of(b, key, "worker:", name);
		said = redis_ask(&b->publish, key, "GET %s", key);
		if (said && said->type == REDIS_REPLY_STRING)
			add_worker(b, &all, said);
		else if (said && calm && n_forgotten++ < FORGET_AT_ONCE)
			forget_worker(b, list, name);
	}
	buf_text(&all, "");
	if (!b->publish.c || all.failed)
		return;
	pthread_mutex_lock(&b->lock);
	for (struct channel *ch = b->channels; ch; ch = ch->next)
		if (!atomic_load(&ch->is_closed))
			judge_count(ch);
	free(b->workers);
	b->workers = all.data ? buf_steal(&all, NULL) : str_dup(STR(""));
	pthread_mutex_unlock(&b->lock);
}

/* --- all of it --- */

void redis_tick(struct redis_bus *b)
{
	int64_t began_ms = clock_mono_ms(), old_ms = 2 * b->options.lease_ms;
	bool calm, is_searching;
	struct channel *ch;

	look_for_losses(b);
	if (!b->publish.c || !atomic_load(&b->is_set_up))
		return;
	calm = is_calm(b, began_ms);
	old_ms = old_ms > OLD_MS ? old_ms : OLD_MS;
	is_searching = began_ms - b->searched_ms >= old_ms / 2;
	if (is_searching)
		b->searched_ms = began_ms;
	pthread_mutex_lock(&b->lock);
	ch = b->channels;
	pthread_mutex_unlock(&b->lock);
	for (; ch && b->publish.c; ch = ch->next) {
		if (!ch->is_ready)
			continue;
		if (atomic_load(&ch->is_closed)) {
			take_down(b, ch);
			continue;
		}
		if (calm)
			take_back_expired(b, ch);
		if (calm && b->publish.c)
			look_for_lost_runs(b, ch, began_ms);
		if (is_searching && b->publish.c)
			look_for_lost_entries(b, ch, began_ms - old_ms);
	}
	if (b->publish.c)
		read_workers(b, calm);
}
