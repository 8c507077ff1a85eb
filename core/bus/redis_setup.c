/* What must be there in Redis before a task goes out: the groups, the generations, and the word of which coordinator
 * published last. A coordinator that comes anew finds what the one before it left. [publisher] */
#include "base/log.h"
#include "base/mem.h"
#include "bus/redis_room.h"

enum { SEARCH_MAX = 256, REFUSED_MS = 1000 };

/* --- what stands in a stream --- */

static const redisReply *entry_id(const redisReply *entry)
{
	return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 ? entry->element[0] : NULL;
}

int redis_entry_task(const struct channel *ch, const redisReply *fields, struct task **ret)
{
	struct unpack r;
	int result;

	if (fields->type != REDIS_REPLY_ARRAY || fields->elements != 2 ||
		fields->element[1]->type != REDIS_REPLY_STRING)
		return -EPROTO;
	r = (struct unpack){{fields->element[1]->str, fields->element[1]->len}, false};
	if (unpack_u32(&r) != REDIS_VERSION)
		return -EPROTO;
	result = task_unpack(&r, ret);
	if (result < 0)
		return result;
	(*ret)->pipeline = ch->pipeline;
	(*ret)->stage = ch->stage;
	if (unpack_end(&r) == 0)
		return 0;
	task_free(*ret);
	return -EPROTO;
}

struct found {
	struct attempt *list;
	size_t n;
};

static void found_fini(struct found *f)
{
	free(f->list);
}

/* What this version does not understand is left out. */
static int keep_found(const struct channel *ch, const redisReply *entry, struct found *f)
{
	struct attempt *grown;
	struct task *t;
	int r = entry_id(entry) ? redis_entry_task(ch, entry->element[1], &t) : -EPROTO;

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	grown = realloc(f->list, (f->n + 1) * sizeof *grown);
	if (grown) {
		f->list = grown;
		grown[f->n++] = attempt_of(t);
	}
	task_free(t);
	return grown ? 0 : -ENOMEM;
}

static int compare_found(const void *a, const void *b)
{
	const struct attempt *x = a, *y = b;

	return x->order_seq < y->order_seq ? -1 : x->order_seq > y->order_seq;
}

static int search(struct redis_bus *b, const struct channel *ch, struct found *f)
{
	char after[ENTRY_ID_MAX] = "-";
	size_t n;

	do {
		_cleanup_(redis_reply_freep) redisReply *reply = redis_ask(&b->publish, ch->key,
			"XRANGE %s %s + COUNT %d", ch->key, after, SEARCH_MAX);

		if (!reply || reply->type != REDIS_REPLY_ARRAY)
			return -EIO;
		n = reply->elements;
		for (size_t i = 0; i < n; i++)
			if (keep_found(ch, reply->element[i], f) < 0)
				return -ENOMEM;
		if (n && entry_id(reply->element[n - 1]))
			snprintf(after, sizeof after, "(%.40s",
				entry_id(reply->element[n - 1])->str);
	} while (n == SEARCH_MAX);
	return 0;
}

int redis_search(struct redis_bus *b, struct channel *ch)
{
	_cleanup_(found_fini) struct found f = {0};
	int r = search(b, ch, &f);

	if (r < 0)
		return r;
	if (f.n)
		qsort(f.list, f.n, sizeof *f.list, compare_found);
	free(ch->found);
	ch->found = steal_ptr(f.list);
	ch->n_found = f.n;
	return 0;
}

bool redis_was_found(const struct channel *ch, const struct task *t)
{
	struct attempt a = attempt_of(t);
	size_t low = 0, high = ch->n_found;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ch->found[middle].order_seq < a.order_seq)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < ch->n_found && ch->found[low].order_seq == a.order_seq; low++)
		if (attempt_eq(&ch->found[low], &a))
			return true;
	return false;
}

/* --- what a coordinator before this one left --- */

/* What its own workers held is this one's to publish again: the journal says which of them had begun. */
static int drop_consumer(struct redis_bus *b, const struct channel *ch, const char *consumer)
{
	_cleanup_(redis_reply_freep) redisReply *pending = redis_ask(&b->publish, ch->key,
		"XPENDING %s " WORKER_GROUP " - + 100000 %s", ch->key, consumer);

	if (!pending)
		return -EIO;
	for (size_t i = 0; i < pending->elements; i++) {
		const char *id = pending->element[i]->element[0]->str;
		_cleanup_(redis_reply_freep) redisReply *acked =
			redis_ask(&b->publish, ch->key, "XACK %s " WORKER_GROUP " %s", ch->key, id);
		_cleanup_(redis_reply_freep) redisReply *deleted =
			acked ? redis_ask(&b->publish, ch->key, "XDEL %s %s", ch->key, id) : NULL;

		if (!deleted)
			return -EIO;
	}
	freeReplyObject(redis_ask(&b->publish, ch->key, "XGROUP DELCONSUMER %s " WORKER_GROUP " %s",
		ch->key, consumer));
	return b->publish.c ? 0 : -EIO;
}

static int drop_former_workers(struct redis_bus *b, const struct channel *ch)
{
	_cleanup_(redis_reply_freep) redisReply *consumers =
		redis_ask(&b->publish, ch->key, "XINFO CONSUMERS %s " WORKER_GROUP, ch->key);

	if (!consumers)
		return -EIO;
	for (size_t i = 0; i < consumers->elements; i++) {
		const redisReply *c = consumers->element[i];
		const char *name = c->elements > 1 ? c->element[1]->str : NULL;

		if (!name || strncmp(name, SERVE_WORKERS, strlen(SERVE_WORKERS)) != 0 ||
			strcmp(name, b->consumer) == 0)
			continue;
		if (drop_consumer(b, ch, name) < 0)
			return -EIO;
	}
	return 0;
}

/* The streams of a generation whose file is still there. 1: it is another version's, which knows what it is about. */
static int drop_streams(struct redis_bus *b, const char *digest, const redisReply *said)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;
	const char *end = memchr(said->str, '\n', said->len);
	char key[KEY_MAX];

	if (!end || pipeline_parse((struct str){end + 1, (size_t)(said->str + said->len - end - 1)},
			    &p, &faults) < 0)
		return 1;
	for (size_t i = 0; i < p->n_stages; i++) {
		_cleanup_(redis_reply_freep) redisReply *deleted = NULL;

		stream_key(b, key, p->stages[i].name, digest);
		deleted = redis_ask(&b->publish, key, "DEL %s", key);
		if (!deleted)
			return -EIO;
	}
	return 0;
}

static int drop_generation(struct redis_bus *b, const char *list, const char *digest)
{
	_cleanup_(redis_reply_freep) redisReply *said = NULL, *listed = NULL, *text = NULL;
	char key[KEY_MAX];
	int r = 0;

	key_of(b, key, "generation:", digest);
	said = redis_ask(&b->publish, key, "GET %s", key);
	if (said && said->type == REDIS_REPLY_STRING)
		r = drop_streams(b, digest, said);
	if (r == 1)
		return 0;
	if (said && r == 0)
		listed = redis_ask(&b->publish, list, "SREM %s %s", list, digest);
	if (listed)
		text = redis_ask(&b->publish, key, "DEL %s", key);
	return text ? 0 : -EIO;
}

/* Those that it went on with and no order is on any more: workers would keep stages ready for them for ever. */
static int drop_former_generations(struct redis_bus *b)
{
	_cleanup_(redis_reply_freep) redisReply *digests = NULL;
	char list[KEY_MAX];
	int r = 0;

	key_of(b, list, "generations", "");
	digests = redis_ask(&b->publish, list, "SMEMBERS %s", list);
	if (!digests || digests->type != REDIS_REPLY_ARRAY)
		return -EIO;
	for (size_t i = 0; i < digests->elements && r == 0; i++) {
		const char *digest = digests->element[i]->str;
		bool is_known;

		pthread_mutex_lock(&b->lock);
		is_known = redis_channel_of(b, str_of(digest), 0) != NULL;
		pthread_mutex_unlock(&b->lock);
		if (!is_known)
			r = drop_generation(b, list, digest);
		if (b->publish.c)
			r = 0; /* what Redis refused was said, and stays */
	}
	return r;
}

/* --- setting up --- */

/* Returns 1 when there was none. */
static int make_group(struct redis_bus *b, const struct channel *ch)
{
	_cleanup_(redis_reply_freep) redisReply *reply = NULL;

	redis_put(&b->publish, "XGROUP CREATE %s " WORKER_GROUP " 0 MKSTREAM", ch->key);
	reply = redis_get(&b->publish);
	if (!reply)
		return -EIO;
	if (redis_is_error_of(reply, "BUSYGROUP"))
		return 0;
	return redis_is_error(reply) ? redis_link_refused(&b->publish, ch->key, reply->str) : 1;
}

/* The stream is another one than what was sent went to. */
static int send_lost(struct redis_bus *b, struct channel *ch)
{
	int r = redis_search(b, ch);

	if (r < 0)
		return r;
	pthread_mutex_lock(&b->lock);
	outs_send_again(b, ch, INT64_MAX);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static int publish_generation(struct redis_bus *b, const struct pipeline *p)
{
	_cleanup_(redis_reply_freep) redisReply *set = NULL, *added = NULL;
	_cleanup_(buf_fini) struct buf text = {0};
	char key[KEY_MAX], list[KEY_MAX];

	key_of(b, key, "generation:", p->digest);
	key_of(b, list, "generations", "");
	buf_fmt(&text, "%d %lld\n", REDIS_VERSION, (long long)b->options.lease_ms);
	buf_add(&text, p->document->source, p->document->source_len);
	if (text.failed)
		return -ENOMEM;
	set = redis_ask(&b->publish, key, "SET %s %b", key, text.data, text.len);
	if (set)
		added = redis_ask(&b->publish, list, "SADD %s %s", list, p->digest);
	return added ? 0 : -EIO;
}

int redis_set_up_channel(struct redis_bus *b, struct channel *ch)
{
	int made = make_group(b, ch);
	int r = made < 0 ? made : publish_generation(b, ch->pipeline);

	if (r == 0 && !ch->was_searched) {
		r = drop_former_workers(b, ch);
		if (r == 0)
			r = redis_search(b, ch);
	} else if (r == 0 && made) {
		r = send_lost(b, ch);
	}
	if (r < 0) {
		ch->again_ms = clock_mono_ms() + REFUSED_MS;
		return b->publish.c ? r : -EIO;
	}
	ch->was_searched = ch->is_ready = true;
	return 0;
}

static void lose_everything(struct redis_bus *b)
{
	log_warn("bus=redis Redis has lost the tasks: %zu are published again", b->n_outs);
	for (struct channel *ch = b->channels; ch; ch = ch->next) {
		ch->is_ready = false;
		free(steal_ptr(ch->found));
		ch->n_found = 0;
	}
	outs_send_again(b, NULL, INT64_MAX);
	snprintf(b->last, sizeof b->last, "0-0");
}

/* Whose word it is. */
static int read_run(struct redis_bus *b, bool *ret_is_lost)
{
	_cleanup_(redis_reply_freep) redisReply *run = NULL;
	char key[KEY_MAX];

	key_of(b, key, "run", "");
	run = redis_ask(&b->publish, key, "GET %s", key);
	if (!run)
		return -EIO;
	*ret_is_lost = b->was_set_up && run->type == REDIS_REPLY_NIL;
	if (b->was_set_up && run->type == REDIS_REPLY_STRING && strcmp(run->str, b->run) != 0)
		return redis_link_refused(
			&b->publish, key, "another coordinator publishes under this prefix");
	return 0;
}

static int write_run(struct redis_bus *b)
{
	_cleanup_(redis_reply_freep) redisReply *added = NULL, *set = NULL;
	char run[KEY_MAX], all[KEY_MAX];
	const char *name = strchr(b->tag, '{') + 1;

	key_of(b, run, "run", "");
	snprintf(all, sizeof all, "%s:pipelines", b->options.prefix);
	added = redis_ask(&b->publish, all, "SADD %s %b", all, name, strcspn(name, "}"));
	if (added)
		set = redis_ask(&b->publish, run, "SET %s %s", run, b->run);
	return set ? 0 : -EIO;
}

int redis_set_up(struct redis_bus *b)
{
	struct channel *ch;
	bool is_lost;
	int r = read_run(b, &is_lost);

	if (r < 0)
		return r;
	pthread_mutex_lock(&b->lock);
	if (is_lost)
		lose_everything(b);
	ch = b->channels;
	pthread_mutex_unlock(&b->lock);
	/* Channels come in front, and go on this thread alone. */
	for (; ch; ch = ch->next)
		if (!atomic_load(&ch->is_closed) && !ch->is_ready &&
			redis_set_up_channel(b, ch) == -EIO)
			return -EIO;
	if (!b->was_set_up)
		r = drop_former_generations(b);
	if (r == 0)
		r = write_run(b);
	if (r < 0)
		return r;
	b->was_set_up = true;
	atomic_store(&b->is_set_up, true);
	return 0;
}
