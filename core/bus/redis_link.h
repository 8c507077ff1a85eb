/* One connection to Redis: made again with backoff, and what Redis refuses said in words that help. One thread. */
#pragma once

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "bus/redis.h"

enum { REDIS_TROUBLES = 20 };

/* What all connections of one bus share. Any thread. */
struct redis_health {
	pthread_mutex_t lock;
	char text[256];
	int64_t logged_ms[REDIS_TROUBLES]; /* per kind of trouble */
	bool was_down;
	_Atomic int64_t turned_ms; /* monotonic: one of them was found to lead to a replica */
	atomic_int n_up;	   /* connections that work */
};

struct redis_link {
	const struct redis_options *options;
	struct redis_health *health;
	const char *what; /* it is for; a name that CLIENT LIST shows */
	redisContext *c;  /* NULL: not connected */
	struct buf out;	  /* what is sent next */
	bool is_up;
	unsigned n_failures;
	int64_t again_ms; /* monotonic: not to be tried before */
	int64_t up_ms;	  /* monotonic: since when it is up */
};

void redis_link_init(struct redis_link *l, const struct redis_options *o, struct redis_health *h,
	const char *what);
/* Connects and logs in, when it is time to. -EAGAIN: it is not; else what stood in the way, which was said. */
int redis_link_up(struct redis_link *l);
/* It is lost, or of no use any more. */
void redis_link_down(struct redis_link *l);
/* Redis refused a command that concerns `key`: says so with a remedy, at most every ten seconds. -EPROTO. */
int redis_link_refused(struct redis_link *l, const char *key, const char *error);

/* Adds a command to what is sent next; the format is hiredis's, with %b for bytes. Without a connection these do
 * nothing, and the answer is NULL. */
void redis_put(struct redis_link *l, const char *format, ...);
void redis_put_argv(struct redis_link *l, int n, const char **argv, const size_t *lengths);
/* There is no memory for what would be next: nothing is sent, and the connection breaks at the next answer. */
void redis_put_nothing(struct redis_link *l);
/* The next answer, owned by the caller; NULL: broken and said so. Errors of Redis are answers, too. */
redisReply *redis_get(struct redis_link *l);
/* Sends one command and takes its answer; NULL also when Redis refused it, which was said. */
redisReply *redis_ask(struct redis_link *l, const char *key, const char *format, ...);

static inline void redis_reply_freep(redisReply **r)
{
	if (*r)
		freeReplyObject(*r);
}

static inline bool redis_is_error(const redisReply *r)
{
	return r->type == REDIS_REPLY_ERROR;
}

static inline bool redis_is_error_of(const redisReply *r, const char *word)
{
	return redis_is_error(r) && strncmp(r->str, word, strlen(word)) == 0;
}
