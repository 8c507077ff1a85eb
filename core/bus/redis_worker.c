/* What a worker without a coordinator beside it reads in Redis: which pipeline, which generations, which lease. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "bus/redis_room.h"

int redis_worker_find(struct bus *bus, struct err *e)
{
	struct redis_bus *b = redis_of(bus);
	_cleanup_(redis_reply_freep) redisReply *names = NULL;
	_cleanup_(buf_fini) struct buf all = {0};
	char key[KEY_MAX];

	if (b->tag[0])
		return 0;
	snprintf(key, sizeof key, "%s:pipelines", b->options.prefix);
	if (redis_link_up(&b->publish) < 0)
		return -EAGAIN;
	names = redis_ask(&b->publish, key, "SMEMBERS %s", key);
	if (!names || names->type != REDIS_REPLY_ARRAY || !names->elements)
		return -EAGAIN;
	if (names->elements == 1) {
		redis_tag(b, names->element[0]->str);
		return 0;
	}
	for (size_t i = 0; i < names->elements; i++)
		buf_fmt(&all, "%s%s", i ? ", " : "", names->element[i]->str);
	return err_set(e, -EINVAL, "there are several pipelines: say which with --pipeline: %s",
		buf_view(&all).p);
}

/* The text behind version and lease; absent when it is of another version. The lease is the coordinator's word. */
static struct str text_of(struct redis_bus *b, const redisReply *said)
{
	const char *end = memchr(said->str, '\n', said->len);
	char *rest = NULL;
	long long lease_ms = 0;

	if (end && strtol(said->str, &rest, 10) == REDIS_VERSION && *rest == ' ')
		lease_ms = strtoll(rest, &rest, 10);
	if (rest != end || lease_ms < 1)
		return (struct str){0};
	atomic_store(&b->lease_ms, lease_ms);
	return (struct str){end + 1, said->len - (size_t)(end + 1 - said->str)};
}

int redis_worker_generations(struct bus *bus,
	void (*on_generation)(void *arg, struct str digest, struct str text), void *arg,
	struct err *e)
{
	struct redis_bus *b = redis_of(bus);
	_cleanup_(redis_reply_freep) redisReply *run = NULL, *list = NULL;
	char key[KEY_MAX];

	key_of(b, key, "run", "");
	if (redis_link_up(&b->publish) < 0 || !(run = redis_ask(&b->publish, key, "GET %s", key)))
		return err_set(e, -EIO, "Redis cannot be read");
	if (run->type != REDIS_REPLY_STRING)
		return err_set(e, -EAGAIN, "the coordinator is not done publishing");
	key_of(b, key, "generations", "");
	if (!(list = redis_ask(&b->publish, key, "SMEMBERS %s", key)))
		return err_set(e, -EIO, "Redis cannot be read");
	for (size_t i = 0; list->type == REDIS_REPLY_ARRAY && i < list->elements; i++) {
		const redisReply *digest = list->element[i];
		_cleanup_(redis_reply_freep) redisReply *said = NULL;

		key_of(b, key, "generation:", digest->str);
		said = redis_ask(&b->publish, key, "GET %s", key);
		if (!said)
			return err_set(e, -EIO, "Redis cannot be read");
		if (said->type == REDIS_REPLY_STRING)
			on_generation(
				arg, (struct str){digest->str, digest->len}, text_of(b, said));
	}
	return 0;
}

void redis_worker_report(struct bus *bus, struct str json)
{
	struct redis_bus *b = redis_of(bus);
	char *copy = str_dup(json);

	pthread_mutex_lock(&b->lock);
	free(b->report);
	b->report = copy;
	pthread_mutex_unlock(&b->lock);
}
