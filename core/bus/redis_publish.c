/* The publisher: the thread with the coordinator's connection for commands. Sends tasks in batches, deletes what is
 * settled, and looks after Redis once a second. */
#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_room.h"

enum {
	SEND_MAX = 512,	 /* tasks of one exchange */
	SEND_EACH = 128, /* of them of one channel */
	SETTLE_MAX = 256,
	RETRY_MS = 250,
};

/* --- tasks out --- */

static void put_task(struct redis_bus *b, const struct channel *ch, const struct task *t)
{
	_cleanup_(buf_fini) struct buf body = {0};
	const char *argv[] = {"XADD", ch->key, "NOMKSTREAM", "*", "t", NULL};
	size_t lengths[] = {4, strlen(ch->key), 10, 1, 1, 0};

	pack_u32(&body, REDIS_VERSION);
	task_pack(&body, t);
	argv[5] = buf_view(&body).p;
	lengths[5] = body.len;
	if (body.failed)
		redis_put_nothing(&b->publish);
	else
		redis_put_argv(&b->publish, ARRAY_LEN(argv), argv, lengths);
}

/* Takes some of the channel's tasks and writes them into the connection. */
static size_t put_some(struct redis_bus *b, struct channel *ch, struct out **outs)
{
	struct out *begun[SEND_EACH];
	size_t n = 0, n_begun;

	pthread_mutex_lock(&b->lock);
	n_begun = outs_begin(ch, begun, SEND_EACH);
	for (size_t i = 0; i < n_begun; i++) {
		/* It stands there from an earlier life; or somebody has it, or nobody (redis_tick.c). */
		if (begun[i]->task->is_only_awaited ||
			(ch->n_found && redis_was_found(ch, begun[i]->task))) {
			outs_end(begun[i], true);
			continue;
		}
		put_task(b, ch, begun[i]->task);
		outs[n++] = begun[i];
	}
	pthread_mutex_unlock(&b->lock);
	return n;
}

/* Nil: the stream is gone. */
static bool has_arrived(struct redis_bus *b, struct channel *ch, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_STRING)
		return true;
	if (redis_is_error(reply))
		redis_link_refused(&b->publish, ch->key, reply->str);
	ch->is_ready = false;
	ch->again_ms = redis_is_error(reply) ? clock_mono_ms() + RETRY_MS : 0;
	return false;
}

static void hear_about(struct redis_bus *b, struct out **outs, size_t n)
{
	bool arrived[SEND_MAX] = {0};

	for (size_t i = 0; i < n; i++) {
		_cleanup_(redis_reply_freep) redisReply *reply = redis_get(&b->publish);

		arrived[i] = reply && has_arrived(b, outs[i]->channel, reply);
	}
	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < n; i++)
		outs_end(outs[i], arrived[i]);
	pthread_mutex_unlock(&b->lock);
}

/* A channel that is refused does not keep the others. */
static bool is_open(struct redis_bus *b, struct channel *ch)
{
	if (atomic_load(&ch->is_closed) || clock_mono_ms() < ch->again_ms)
		return false;
	return ch->is_ready || redis_set_up_channel(b, ch) == 0;
}

/* --- what is settled --- */

static struct channel *first_channel(struct redis_bus *b)
{
	struct channel *ch;

	pthread_mutex_lock(&b->lock);
	ch = b->channels;
	pthread_mutex_unlock(&b->lock);
	return ch;
}

/* Commands with many ids each: one key after the other. */
static void delete_entries(
	struct redis_bus *b, const struct channel *ch, const struct carrier *list, const char *key)
{
	const char *argv[SETTLE_MAX + 3] = {"XDEL", key};
	int n = 2;

	for (const struct carrier *c = list; c; c = c->next)
		if (c->channel == ch)
			argv[n++] = c->entry;
	if (n == 2)
		return;
	redis_put_argv(&b->publish, n, argv, NULL);
	freeReplyObject(redis_get(&b->publish));
	if (!ch || !b->publish.c)
		return;
	memmove(argv + 3, argv + 2, (size_t)(n - 2) * sizeof *argv);
	argv[0] = "XACK";
	argv[2] = WORKER_GROUP;
	redis_put_argv(&b->publish, n + 1, argv, NULL);
	freeReplyObject(redis_get(&b->publish));
}

static struct carrier *take_settled(struct redis_bus *b)
{
	struct carrier *first, *last;
	size_t n = 1;

	pthread_mutex_lock(&b->lock);
	first = last = b->settled;
	while (last && last->next && n++ < SETTLE_MAX)
		last = last->next;
	if (last) {
		b->settled = last->next;
		last->next = NULL;
	}
	pthread_mutex_unlock(&b->lock);
	return first;
}

/* What is not deleted now comes again at the next start, and changes nothing. */
static void settle(struct redis_bus *b)
{
	struct carrier *list;
	char key[KEY_MAX];

	key_of(b, key, "verdicts", "");
	while (b->publish.c && (list = take_settled(b))) {
		delete_entries(b, NULL, list, key);
		for (struct channel *ch = first_channel(b); ch && b->publish.c; ch = ch->next)
			delete_entries(b, ch, list, ch->key);
		while (list) {
			struct carrier *next = list->next;

			free(list);
			list = next;
		}
	}
}

/* --- the thread --- */

/* Of each channel some, in as few exchanges as they fit into. */
static void publish_all(struct redis_bus *b)
{
	struct channel *first = first_channel(b);
	struct out *outs[SEND_MAX];
	size_t n = 0;

	for (struct channel *ch = first; ch && b->publish.c; ch = ch->next)
		ch->is_sent_to = is_open(b, ch);
	for (struct channel *ch = first; ch && b->publish.c; ch = ch->next) {
		if (!ch->is_sent_to)
			continue;
		if (n + SEND_EACH > SEND_MAX) {
			hear_about(b, outs, n);
			n = 0;
		}
		n += put_some(b, ch, outs + n);
	}
	hear_about(b, outs, n);
}

/* When there is work; until then it sleeps. With the lock held. */
static int64_t work_ms(struct redis_bus *b)
{
	int64_t next_ms = b->tick_ms;

	if (b->settled)
		return 0;
	for (struct channel *ch = b->channels; ch; ch = ch->next)
		if ((ch->waiting || !ch->is_ready) && !atomic_load(&ch->is_closed) &&
			ch->again_ms < next_ms)
			next_ms = ch->again_ms;
	return next_ms;
}

/* Connected, with everything there. */
static bool is_fit(struct redis_bus *b)
{
	bool was_up = b->publish.c != NULL;

	if (!was_up)
		atomic_store(&b->is_set_up, false);
	if (redis_link_up(&b->publish) < 0)
		return false;
	if (!was_up)
		b->calm_ms = clock_mono_ms();
	if (atomic_load(&b->is_set_up))
		return true;
	if (redis_set_up(b) == 0)
		return true;
	if (b->publish.c) {
		redis_link_down(&b->publish);
		b->publish.again_ms = clock_mono_ms() + RETRY_MS;
	}
	return false;
}

static void work(struct redis_bus *b)
{
	publish_all(b);
	settle(b);
	if (b->publish.c && clock_mono_ms() >= b->tick_ms) {
		redis_tick(b);
		b->tick_ms = clock_mono_ms() + TICK_MS;
	}
}

void *redis_publisher_run(void *bus)
{
	struct redis_bus *b = bus;

	pthread_setname_np(pthread_self(), "redis-publish");
	while (!atomic_load(&b->is_stopping)) {
		bool is_there = is_fit(b);

		if (is_there)
			work(b);
		pthread_mutex_lock(&b->lock);
		if (!atomic_load(&b->is_stopping))
			redis_wait(
				b, &b->to_publish, b->publish.c ? work_ms(b) : b->publish.again_ms);
		pthread_mutex_unlock(&b->lock);
	}
	redis_link_down(&b->publish);
	return NULL;
}
