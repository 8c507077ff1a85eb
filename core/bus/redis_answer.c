/* The answerer: the thread with the workers' connection for commands. A verdict is written first and its task's
 * entry acknowledged and deleted after that, so that no moment has neither. Beside that it looks after what is held
 * (redis_held.c) and says that the worker lives. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_room.h"
#include "version.h"

enum {
	ANSWERS_MAX = 512,
	LOOK_MS = 50,
	BEAT_MS = 1000,
	REFUSED_MS = 250,
	PACE_MS = 1, /* between exchanges: what comes meanwhile goes together */
};

static struct channel *first_channel(struct redis_bus *b)
{
	struct channel *ch;

	pthread_mutex_lock(&b->lock);
	ch = b->channels;
	pthread_mutex_unlock(&b->lock);
	return ch;
}

/* --- verdicts --- */

/* Takes up to ANSWERS_MAX of what was answered. */
static struct task *take_answered(struct redis_bus *b)
{
	struct task *first, *t;
	size_t n = 1;

	pthread_mutex_lock(&b->lock);
	first = t = b->answered;
	while (t && t->node.next && n++ < ANSWERS_MAX)
		t = (struct task *)t->node.next;
	if (t) {
		b->answered = (struct task *)t->node.next;
		t->node.next = NULL;
	}
	if (!b->answered)
		b->answered_last = &b->answered;
	pthread_mutex_unlock(&b->lock);
	return first;
}

static void put_back(struct redis_bus *b, struct task *first)
{
	struct queue_node *last = &first->node;

	while (last->next)
		last = last->next;
	pthread_mutex_lock(&b->lock);
	last->next = b->answered ? &b->answered->node : NULL;
	if (!b->answered)
		b->answered_last = (struct task **)&last->next;
	b->answered = first;
	pthread_mutex_unlock(&b->lock);
}

static void pack_verdict(struct buf *out, const struct task *t)
{
	pack_u32(out, (uint32_t)t->stage);
	pack_u64(out, (uint64_t)t->order_seq);
	buf_add(out, t->order_id.bytes, sizeof t->order_id.bytes);
	pack_u32(out, t->attempt);
	pack_u32(out, t->undo);
	pack_u64(out, (uint64_t)t->duration_us);
	task_answer_pack(out, t);
}

/* Packs verdicts of one generation into one entry; returns the first that is not in it. */
static struct task *put_entry(struct redis_bus *b, const char *key, struct task *first)
{
	_cleanup_(buf_fini) struct buf body = {0};
	const struct pipeline *p = first->pipeline;
	struct task *t = first;

	pack_u32(&body, REDIS_VERSION);
	pack_text(&body, p->digest);
	for (; t && t->pipeline == p && body.len < ENTRY_BYTES; t = (struct task *)t->node.next)
		pack_verdict(&body, t);
	if (body.failed)
		redis_put_nothing(&b->answers);
	else
		redis_put(&b->answers, "XADD %s * v %b", key, body.data, body.len);
	return t;
}

void redis_send_later(struct redis_bus *b, struct task *t)
{
	struct held *h = t->carrier;

	h->channel->n_unsent++;
	t->node.next = NULL;
	*b->answered_last = t;
	b->answered_last = (struct task **)&t->node.next;
}

/* Their verdicts are in Redis: the entries can go. */
static void mark_answered(struct redis_bus *b, struct task *first)
{
	pthread_mutex_lock(&b->lock);
	while (first) {
		struct task *t = first;
		struct held *h = t->carrier;

		first = (struct task *)t->node.next;
		h->is_answered = true;
		h->channel->n_unsent--;
		task_free(t);
	}
	if (b->is_exact)
		pthread_cond_signal(&b->places);
	pthread_mutex_unlock(&b->lock);
}

/* All of them, in as few entries as they fit into; returns how many. */
static size_t put_answers(struct redis_bus *b, const char *key, struct task *first)
{
	size_t n = 0;

	for (struct task *t = first; t; n++)
		t = put_entry(b, key, t);
	return n;
}

static int hear_of_answers(struct redis_bus *b, const char *key, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && b->answers.c; i++) {
		_cleanup_(redis_reply_freep) redisReply *reply = redis_get(&b->answers);

		if (reply && redis_is_error(reply))
			r = redis_link_refused(&b->answers, key, reply->str);
	}
	return b->answers.c ? r : -EIO;
}

/* --- acknowledging --- */

/* What of the channel has its verdict in Redis; a verdict must be there before its entry goes. */
static void put_leaving(struct redis_bus *b, struct channel *ch)
{
	const char *argv[ACKS_MAX + 3];
	int n = 3;

	pthread_mutex_lock(&b->lock);
	for (struct held *h = ch->held; h && n < (int)ARRAY_LEN(argv); h = h->next) {
		if (!h->is_answered || h->is_over)
			continue;
		h->is_leaving = true;
		argv[n++] = h->entry; /* nobody changes it any more */
	}
	pthread_mutex_unlock(&b->lock);
	ch->has_leaving = n > 3;
	if (!ch->has_leaving)
		return;
	argv[0] = "XACK", argv[1] = ch->key, argv[2] = WORKER_GROUP;
	redis_put_argv(&b->answers, n, argv, NULL);
	argv[1] = "XDEL", argv[2] = ch->key;
	redis_put_argv(&b->answers, n - 1, argv + 1, NULL);
}

int redis_hear(struct redis_bus *b, const char *key)
{
	_cleanup_(redis_reply_freep) redisReply *reply = redis_get(&b->answers);

	if (!reply)
		return -EIO;
	if (redis_is_error(reply) && !redis_is_error_of(reply, "NOGROUP"))
		return redis_link_refused(&b->answers, key, reply->str);
	return 0;
}

static int hear_of_leaving(struct redis_bus *b, struct channel *ch)
{
	int acked = redis_hear(b, ch->key), deleted = redis_hear(b, ch->key);
	bool is_done = acked == 0 && deleted == 0;
	struct held *next;

	pthread_mutex_lock(&b->lock);
	for (struct held *h = ch->held; h; h = next) {
		next = h->next;
		if (!h->is_leaving)
			continue;
		h->is_leaving = false;
		h->is_over = is_done;
		if (is_done && !h->has_call)
			redis_held_free(h);
	}
	pthread_mutex_unlock(&b->lock);
	return acked < 0 ? acked : deleted;
}

/* One exchange: verdicts go out, and the entries of those that went before. Returns whether there was something. */
static int send_some(struct redis_bus *b)
{
	struct channel *channels = first_channel(b);
	struct task *first = take_answered(b);
	bool is_any = first != NULL;
	char key[KEY_MAX];
	int answered, r;
	size_t n;

	key_of(b, key, "verdicts", "");
	n = put_answers(b, key, first);
	for (struct channel *ch = channels; ch; ch = ch->next)
		put_leaving(b, ch);
	answered = r = hear_of_answers(b, key, n);
	for (struct channel *ch = channels; ch; ch = ch->next) {
		is_any |= ch->has_leaving;
		if (ch->has_leaving && hear_of_leaving(b, ch) < 0)
			r = -EPROTO;
	}
	if (answered < 0 && first)
		put_back(b, first);
	else
		mark_answered(b, first);
	return r < 0 ? r : is_any;
}

/* --- saying that it lives --- */

static void describe_stage(const struct channel *ch, struct json_writer *w)
{
	size_t n_waiting, n_places = ch->workers.places(ch->workers.arg, &n_waiting);

	json_open(w, '{');
	json_key(w, "name");
	json_text(w, ch->pipeline->stages[ch->stage].name);
	json_key(w, "generation");
	json_text(w, ch->pipeline->digest);
	json_key(w, "running");
	json_int(w, ch->n_held > n_waiting ? (int64_t)(ch->n_held - n_waiting) : 0);
	json_key(w, "clogged");
	json_bool(w, n_places == BUS_CLOGGED);
	json_key(w, "stalled");
	json_bool(w, n_places == BUS_STALLED);
	json_close(w, '}');
}

void redis_describe_self(struct redis_bus *b, struct buf *out)
{
	struct json_writer w = {out, false};

	json_open(&w, '{');
	json_key(&w, "name");
	json_text(&w, b->consumer);
	json_key(&w, "host");
	json_text(&w, b->host);
	json_key(&w, "pid");
	json_int(&w, getpid());
	json_key(&w, "version");
	json_text(&w, STAGELINE_VERSION);
	json_key(&w, "format");
	json_int(&w, REDIS_VERSION);
	json_key(&w, "coordinator");
	json_bool(&w, b->is_coordinator);
	json_key(&w, "stages");
	json_open(&w, '[');
	for (const struct channel *ch = b->channels; ch; ch = ch->next)
		if (ch->has_workers && !ch->is_quiet)
			describe_stage(ch, &w);
	json_close(&w, ']');
	json_key(&w, "cannot");
	json_raw(&w, b->report ? str_of(b->report) : STR("[]"));
	json_close(&w, '}');
}

static void beat(struct redis_bus *b)
{
	_cleanup_(redis_reply_freep) redisReply *added = NULL, *set = NULL;
	_cleanup_(buf_fini) struct buf self = {0};
	char key[KEY_MAX], list[KEY_MAX];

	pthread_mutex_lock(&b->lock);
	redis_describe_self(b, &self);
	pthread_mutex_unlock(&b->lock);
	key_of(b, key, "worker:", b->consumer);
	key_of(b, list, "workers", "");
	if (self.failed)
		return;
	set = redis_ask(&b->answers, key, "SET %s %b PX %d", key, self.data, self.len, 4 * BEAT_MS);
	if (set)
		added = redis_ask(&b->answers, list, "SADD %s %s", list, b->consumer);
	b->beat_ms = clock_mono_ms() + BEAT_MS;
}

/* --- the end --- */

bool redis_give_back(struct redis_link *l, const struct channel *ch, const char *id)
{
	_cleanup_(redis_reply_freep) redisReply *read = NULL, *added = NULL, *acked = NULL,
						*deleted = NULL;
	const redisReply *fields;

	read = redis_ask(l, ch->key, "XRANGE %s %s %s", ch->key, id, id);
	if (!read)
		return false;
	fields = read->elements == 1 ? read->element[0]->element[1] : NULL;
	if (fields && fields->elements == 2)
		added = redis_ask(l, ch->key, "XADD %s NOMKSTREAM * t %b", ch->key,
			fields->element[1]->str, fields->element[1]->len);
	if (fields && !added)
		return false;
	acked = redis_ask(l, ch->key, "XACK %s " WORKER_GROUP " %s", ch->key, id);
	if (acked)
		deleted = redis_ask(l, ch->key, "XDEL %s %s", ch->key, id);
	return deleted != NULL;
}

/* A consumer that still has something must stay: with it, Redis would forget who has it. */
static bool give_all_back(struct redis_bus *b, const struct channel *ch)
{
	_cleanup_(redis_reply_freep) redisReply *pending = redis_ask(&b->answers, ch->key,
		"XPENDING %s " WORKER_GROUP " - + 100000 %s", ch->key, b->consumer);

	if (!pending || pending->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i < pending->elements; i++)
		if (!redis_give_back(&b->answers, ch, pending->element[i]->element[0]->str))
			return false;
	return true;
}

/* The workers and the taker have ended: nobody else looks at this. */
static void leave(struct redis_bus *b)
{
	char key[KEY_MAX], list[KEY_MAX];

	if (redis_link_up(&b->answers) < 0)
		return;
	while (b->answers.c && send_some(b) > 0)
		;
	for (struct channel *ch = b->channels; ch && b->answers.c; ch = ch->next) {
		if (ch->has_workers && !atomic_load(&ch->is_closed) && give_all_back(b, ch))
			freeReplyObject(redis_ask(&b->answers, ch->key,
				"XGROUP DELCONSUMER %s " WORKER_GROUP " %s", ch->key, b->consumer));
	}
	key_of(b, key, "worker:", b->consumer);
	key_of(b, list, "workers", "");
	if (b->answers.c)
		freeReplyObject(redis_ask(&b->answers, key, "DEL %s", key));
	if (b->answers.c)
		freeReplyObject(redis_ask(&b->answers, list, "SREM %s %s", list, b->consumer));
}

/* --- the thread --- */

static void look(struct redis_bus *b, int64_t now_ms)
{
	for (struct channel *ch = first_channel(b); ch && b->answers.c; ch = ch->next) {
		if (!ch->has_workers)
			continue;
		redis_renew(b, ch);
		redis_look_at_deadlines(b, ch, now_ms);
	}
	b->looked_ms = now_ms;
}

enum pace {
	IDLE,
	BUSY,  /* there was something, and more may have come meanwhile */
	STUCK, /* whatever is answered has to wait */
};

static enum pace work(struct redis_bus *b, int64_t *ret_again_ms)
{
	int64_t now_ms = clock_mono_ms();
	int r = 0;

	if (redis_link_up(&b->answers) == 0) {
		if (now_ms >= b->looked_ms + LOOK_MS)
			look(b, now_ms);
		if (b->answers.c && now_ms >= b->beat_ms)
			beat(b);
		if (b->answers.c)
			r = send_some(b);
	}
	*ret_again_ms = !b->answers.c ? b->answers.again_ms
				      : now_ms + (r < 0		 ? REFUSED_MS
							 : r > 0 ? PACE_MS
								 : LOOK_MS);
	return !b->answers.c || r < 0 ? STUCK : r > 0 ? BUSY : IDLE;
}

void *redis_answerer_run(void *bus)
{
	struct redis_bus *b = bus;
	bool is_last = false;

	pthread_setname_np(pthread_self(), "redis-answer");
	while (!is_last) {
		bool is_closing = atomic_load(&b->is_closing);
		int64_t again_ms;
		enum pace pace = work(b, &again_ms);

		pthread_mutex_lock(&b->lock);
		is_last = is_closing && (!b->answered || pace == STUCK);
		b->is_pacing = pace == BUSY;
		if (!is_last && (!b->answered || pace != IDLE))
			redis_wait(b, &b->to_answer, again_ms);
		b->is_pacing = false;
		pthread_mutex_unlock(&b->lock);
	}
	leave(b);
	redis_link_down(&b->answers);
	return NULL;
}
