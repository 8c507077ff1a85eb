/* The taker: the thread with the workers' connection for reads. A stage's tasks are taken when a worker has a place
 * for them, and a few more of short ones (redis_ahead.c). */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_room.h"

enum {
	BLOCK_MS = 500,
	PLACES_MS = 2, /* a call that answers later frees its place without a word */
	PLACES_MAX_MS = 16,
	REFUSED_MS = 500,
	ROUND_MAX = 512, /* channels of one round */
	AGAIN_MAX = 256, /* that go back after it */
	EXACT_MS = 1000,
};

/* What one read is for, and what it brought that must not stay. */
struct round {
	struct channel *channels[ROUND_MAX];
	size_t n_places[ROUND_MAX];
	size_t n;
	bool is_any_full;
	bool is_exact; /* what is taken begins at once */
	struct {
		const struct channel *channel;
		char entry[ENTRY_ID_MAX];
	} again[AGAIN_MAX]; /* risky ones */
	size_t n_again;
};

/* --- holding --- */

/* An entry that says what is held already stands for it from now on: the older one is let go. */
static bool hold_again(struct channel *ch, const struct task *t, const char *entry)
{
	struct attempt a = attempt_of(t);
	struct held *h = ch->held, *other;

	while (h && (h->is_over || !attempt_eq(&h->attempt, &a)))
		h = h->next;
	if (!h)
		return false;
	if (strcmp(h->entry, entry) == 0)
		return true;
	other = calloc(1, sizeof *other);
	if (!other)
		return true;
	*other = *h;
	other->has_call = other->is_late = other->is_leaving = false;
	other->is_answered = true;
	redis_held_add(ch, other);
	snprintf(h->is_answered ? other->entry : h->entry, sizeof h->entry, "%s", entry);
	return true;
}

static int hold(struct redis_bus *b, struct channel *ch, struct task *t, const char *entry)
{
	struct held *h = calloc(1, sizeof *h);
	int64_t now_ms = clock_mono_ms();
	const struct task *out;

	if (!h)
		return -ENOMEM;
	*h = (struct held){.attempt = attempt_of(t),
		.has_call = true,
		.renewed_ms = now_ms,
		.deadline_ms = now_ms + ch->pipeline->stages[ch->stage].timeout_ms};
	snprintf(h->entry, sizeof h->entry, "%s", entry);
	redis_held_add(ch, h);
	ch->n_held++;
	ch->n_risky += redis_is_risky(ch, t->attempt);
	t->carrier = h;
	/* The coordinator's own workers say how far they are where its next life finds it. */
	out = b->is_coordinator ? outs_find(b, ch, &h->attempt) : NULL;
	t->mark = out ? out->mark : NULL;
	t->idle_mark = TASK_MARK_BEGUN;
	return 0;
}

/* Whether the task is to go back, to be taken when it begins at once. */
static bool goes_back(struct redis_bus *b, struct round *r, const struct channel *ch,
	const struct task *t, const char *entry)
{
	if (!redis_is_risky(ch, t->attempt))
		return false;
	b->exact_ms = clock_mono_ms() + EXACT_MS;
	if (r->is_exact || r->n_again == AGAIN_MAX)
		return false;
	r->again[r->n_again].channel = ch;
	snprintf(r->again[r->n_again++].entry, ENTRY_ID_MAX, "%s", entry);
	return true;
}

/* Gives the channel's new entries to its workers. Returns how many. */
static size_t take_entries(
	struct redis_bus *b, struct round *r, struct channel *ch, const redisReply *entries)
{
	struct queue_node *first = NULL, **last = &first;
	size_t n = 0;

	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < entries->elements && !ch->is_quiet; i++) {
		const redisReply *e = entries->element[i];
		const char *id = e->elements == 2 ? e->element[0]->str : NULL;
		struct task *t = NULL;
		int result = id ? redis_entry_task(ch, e->element[1], &t) : -EPROTO;

		if (result == 0 && (hold_again(ch, t, id) || goes_back(b, r, ch, t, id)))
			result = -EALREADY;
		else if (result == 0)
			result = hold(b, ch, t, id);
		b->must_reread |= result == -ENOMEM;
		if (result < 0) {
			task_free(t);
			continue;
		}
		t->node.next = NULL;
		*last = &t->node;
		last = &t->node.next;
		n++;
	}
	if (first)
		ch->workers.on_tasks(ch->workers.arg, (struct task *)first);
	ch->wake_at = redis_ahead(ch, 0) ? ch->n_held / 2 : SIZE_MAX / 2;
	pthread_mutex_unlock(&b->lock);
	return n;
}

static void give_back(struct redis_bus *b, const struct round *r)
{
	for (size_t i = 0; i < r->n_again; i++)
		if (!redis_give_back(&b->take, r->again[i].channel, r->again[i].entry))
			b->must_reread = true;
}

/* --- rounds --- */

/* Where lost calls have every thread, tasks only get their timeout. That is for the coordinator to say, so that none
 * waits for ever; another worker leaves them to the others. So does every worker that has no process for them. */
static size_t places_of(const struct redis_bus *b, const struct channel *ch, bool is_exact)
{
	size_t in_flight = (size_t)ch->pipeline->stages[ch->stage].in_flight;
	size_t left = ch->n_held < in_flight ? in_flight - ch->n_held : 0;
	size_t n_waiting, n = ch->workers.places(ch->workers.arg, &n_waiting);

	if (n == BUS_CLOGGED)
		return b->is_coordinator ? left : 0;
	if (n == BUS_STALLED)
		return 0;
	if (!is_exact)
		n += redis_ahead(ch, n_waiting);
	return n < left ? n : left;
}

/* Whether a task that may take its worker with it is here, and whether any waits to begin: where nothing begins any more,
 * none does. */
static void look_around(const struct redis_bus *b, bool *ret_has_risky, bool *ret_has_waiting)
{
	size_t n_waiting;

	*ret_has_risky = *ret_has_waiting = false;
	for (const struct channel *ch = b->channels; ch; ch = ch->next) {
		*ret_has_risky |= ch->n_risky > 0;
		if (!ch->has_workers || ch->is_quiet)
			continue;
		if (ch->workers.places(ch->workers.arg, &n_waiting) < BUS_STALLED)
			*ret_has_waiting |= redis_is_at_risk(ch, n_waiting);
	}
}

static void round_begin(struct redis_bus *b, struct round *r)
{
	int64_t now_ms = clock_mono_ms();
	bool has_risky, has_waiting;

	r->n = r->n_again = 0;
	pthread_mutex_lock(&b->lock);
	look_around(b, &has_risky, &has_waiting);
	r->is_exact = has_risky || now_ms < b->exact_ms;
	r->is_any_full = b->is_exact = r->is_exact && has_waiting;
	for (struct channel *ch = r->is_any_full ? NULL : b->channels; ch && r->n < ROUND_MAX;
		ch = ch->next) {
		if (!ch->has_workers || ch->is_quiet || now_ms < ch->take_ms)
			continue;
		r->n_places[r->n] = places_of(b, ch, r->is_exact);
		if (r->n_places[r->n])
			r->channels[r->n++] = ch;
		else
			r->is_any_full = true;
	}
	pthread_mutex_unlock(&b->lock);
}

static void refused(struct redis_bus *b, struct channel *ch, const char *why)
{
	ch->take_ms = clock_mono_ms() + REFUSED_MS;
	if (strncmp(why, "NOGROUP", 7) != 0) /* else the coordinator sets it up */
		redis_link_refused(&b->take, ch->key, why);
}

/* Entries of one stream of an answer of XREADGROUP; NULL: none. */
static const redisReply *entries_of(const redisReply *reply, size_t i)
{
	const redisReply *stream;

	if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
		return NULL;
	stream = reply->element[i];
	return stream->type == REDIS_REPLY_ARRAY && stream->elements == 2 ? stream->element[1]
									  : NULL;
}

/* All that is there for the places that are free, in one exchange. */
static size_t round_read(struct redis_bus *b, struct round *r, const char *from)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		redis_put(&b->take, "XREADGROUP GROUP " WORKER_GROUP " %s COUNT %d STREAMS %s %s",
			b->consumer, (int)r->n_places[i], r->channels[i]->key, from);
	for (size_t i = 0; i < r->n && b->take.c; i++) {
		_cleanup_(redis_reply_freep) redisReply *reply = redis_get(&b->take);
		const redisReply *entries;

		if (!reply)
			break;
		if (redis_is_error(reply))
			refused(b, r->channels[i], reply->str);
		else if ((entries = entries_of(reply, 0)))
			n += take_entries(b, r, r->channels[i], entries);
	}
	return n;
}

/* Nothing was there: waits for the first entry of any of them. Returns 1: it goes on at once. */
static size_t round_wait(struct redis_bus *b, struct round *r)
{
	const char *argv[ROUND_MAX * 2 + 9] = {"XREADGROUP", "GROUP", WORKER_GROUP, b->consumer,
		"COUNT", "1", "BLOCK", "500", "STREAMS"};
	_cleanup_(redis_reply_freep) redisReply *reply = NULL;
	int n = 9;

	for (size_t i = 0; i < r->n; i++)
		argv[n++] = r->channels[i]->key;
	for (size_t i = 0; i < r->n; i++)
		argv[n++] = ">";
	redis_put_argv(&b->take, n, argv, NULL);
	reply = redis_get(&b->take);
	if (!reply)
		return 1;
	if (redis_is_error(reply))
		for (size_t i = 0; i < r->n; i++)
			refused(b, r->channels[i], reply->str);
	for (size_t k = 0; !redis_is_error(reply) && k < reply->elements; k++) {
		const redisReply *entries = entries_of(reply, k);
		const char *key = entries ? reply->element[k]->element[0]->str : "";

		for (size_t i = 0; i < r->n; i++)
			if (strcmp(r->channels[i]->key, key) == 0)
				take_entries(b, r, r->channels[i], entries);
	}
	return 1;
}

/* What was delivered when the connection broke is this consumer's, and has not begun. */
static void read_again(struct redis_bus *b)
{
	struct round r;

	round_begin(b, &r);
	if (!r.n && r.is_any_full)
		return; /* the places are taken: later */
	for (size_t i = 0; i < r.n; i++)
		r.n_places[i] = ROUND_MAX;
	r.is_exact = false;
	b->must_reread = r.is_any_full;
	round_read(b, &r, "0");
	b->must_reread |= b->take.c == NULL;
	give_back(b, &r);
}

static void wait_for_places(struct redis_bus *b, int64_t ms)
{
	pthread_mutex_lock(&b->lock);
	if (atomic_load(&b->is_taking))
		redis_wait(b, &b->places, clock_mono_ms() + ms);
	pthread_mutex_unlock(&b->lock);
}

/* Returns how long to wait for places next time. */
static int64_t take_round(struct redis_bus *b, int64_t wait_ms)
{
	struct round r;
	size_t n = 0;

	if (b->must_reread)
		read_again(b);
	round_begin(b, &r);
	if (r.n && b->take.c)
		n = round_read(b, &r, ">");
	if (!n && b->take.c && !r.n_again && !r.is_any_full && r.n)
		n = round_wait(b, &r);
	give_back(b, &r);
	if (n || r.n_again || !b->take.c)
		return PLACES_MS;
	wait_for_places(b, r.is_any_full ? wait_ms : BLOCK_MS);
	return wait_ms * 2 < PLACES_MAX_MS ? wait_ms * 2 : PLACES_MAX_MS;
}

void *redis_taker_run(void *bus)
{
	struct redis_bus *b = bus;
	int64_t wait_ms = PLACES_MS;

	pthread_setname_np(pthread_self(), "redis-take");
	while (atomic_load(&b->is_taking)) {
		bool was_up = b->take.c != NULL;

		if (redis_link_up(&b->take) < 0) {
			int64_t left_ms = b->take.again_ms - clock_mono_ms();

			wait_for_places(b, left_ms > 0 ? left_ms : 1);
			continue;
		}
		b->must_reread |= !was_up;
		wait_ms = take_round(b, wait_ms);
	}
	redis_link_down(&b->take);
	return NULL;
}
