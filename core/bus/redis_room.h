/* What the files of the Redis bus share. Not for other rooms. */
#pragma once

#include "base/clock.h"
#include "base/id.h"
#include "bus/redis_link.h"
#include "model/task_pack.h"

enum {
	KEY_MAX = 512,
	TAG_MAX = 200,
	CONSUMER_MAX = 128,
	ENTRY_ID_MAX = 48, /* "MILLISECONDS-NUMBER" */
	TICK_MS = 1000,
	READ_MAX = 256,	     /* entries of one read */
	ACKS_MAX = 256,	     /* entries that one command is about */
	ENTRY_BYTES = 65536, /* verdicts in one entry; one alone may be larger */
};

#define WORKER_GROUP  "workers"
#define COORDINATOR   "coordinator" /* consumer that takes back what a worker lost */
#define SERVE_WORKERS "serve-"	    /* and the run: consumer of the coordinator's own workers */

/* Where a task that is out stands. Under the bus's lock. */
enum out_place {
	OUT_WAITING, /* to be sent */
	OUT_SENDING,
	OUT_SENT,
};

/* Which attempt of which order. The number of an order is given again after a journal was restored from a copy, and
 * Redis and workers may still have to do with the order that had it then. */
struct attempt {
	struct id order_id;
	int64_t order_seq;
	uint32_t number;
	bool undo;
};

/* A task that is out: published and without a verdict. Owns the task. */
struct out {
	struct out *hash_next;
	struct out *next; /* in the line of those to be sent */
	struct task *task;
	struct channel *channel;
	enum out_place place;
	int64_t sent_ms; /* monotonic */
	bool is_gone;	 /* while it was sent its verdict came: whoever sends it frees it */
};

/* A task that a worker of this process holds. Under the bus's lock. */
struct held {
	struct held *next, **slot;
	struct channel *channel;
	char entry[ENTRY_ID_MAX];
	struct attempt attempt;
	bool has_call;	     /* its task is with the workers, and comes back */
	bool is_answered;    /* its verdict is in Redis */
	bool is_leaving;     /* the entry is being acknowledged */
	bool is_late;	     /* it was answered as timed out: what its call says comes too late */
	bool is_over;	     /* the entry is acknowledged */
	int64_t renewed_ms;  /* monotonic */
	int64_t deadline_ms; /* monotonic: its workers are asked */
};

/* One stage of one generation. */
struct channel {
	struct channel *next;
	const struct pipeline *pipeline;
	size_t stage;
	char key[KEY_MAX];
	atomic_bool is_closed; /* unsubscribed; freed when nothing leads here any more */

	/* coordinator */
	size_t max_out;
	atomic_size_t n_out;
	struct out *waiting, **waiting_last;
	bool is_ready, was_searched;
	bool is_sent_to;       /* [publisher] in this round */
	int64_t again_ms;      /* it was refused: not before */
	struct attempt *found; /* that stood in the stream before this coordinator came */
	size_t n_found;
	int n_workers, n_counted; /* that take its tasks; while they are counted */
	bool is_deserted;	  /* nobody takes what is out, and that was said */

	/* workers */
	bool has_workers, is_quiet;
	int64_t mean_us; /* of its last calls; -1: unknown */
	size_t n_risky;	 /* of those held */
	size_t n_unsent; /* verdicts that are not in Redis yet */
	size_t wake_at;	 /* the taker: when so few are held */
	int64_t take_ms; /* [taker] it was refused: not before */
	struct bus_workers workers;
	struct held *held;
	size_t n_held;
	bool has_leaving; /* [answerer] */
};

/* What a verdict came in: to be deleted when all that came in it is on disk. */
struct carrier {
	struct carrier *next, **slot;
	struct channel
		*channel; /* NULL: an entry of the verdicts; else a task that was taken back */
	char entry[ENTRY_ID_MAX];
	size_t n_left;
};

struct redis_bus {
	struct bus bus;
	struct redis_options options;
	struct redis_health health;
	char tag[TAG_MAX];	     /* "PREFIX:{PIPELINE}:"; empty: not known yet */
	char run[ID_TEXT_SIZE];	     /* of this process */
	char consumer[CONSUMER_MAX]; /* of the workers here */
	char host[64];
	_Atomic int64_t lease_ms; /* of the coordinator */
	bool is_coordinator;
	void (*on_verdicts)(void *arg, struct task *first);
	void *arg;

	pthread_mutex_t lock;
	struct channel *channels;
	struct carrier *carriers, *settled;
	struct out **outs; /* hash */
	size_t n_outs, n_buckets;
	char *workers;		 /* members of a JSON array; NULL: not known yet */
	char *report;		 /* JSON array: what the workers here cannot run */
	char last[ENTRY_ID_MAX]; /* verdict that was read last */
	atomic_bool is_stopping, is_draining;

	/* the coordinator's threads */
	struct redis_link publish, verdicts;
	pthread_cond_t to_publish;
	pthread_t publisher, reader;
	bool has_publisher, has_reader;
	atomic_bool is_set_up;
	atomic_bool
		has_caught_up; /* every verdict that stood there when it was first set up has been read */
	bool was_set_up;
	int64_t tick_ms, searched_ms;
	int64_t calm_ms;    /* since when Redis answers, and writes, without a break */
	bool is_writing;    /* at the last look */
	int64_t ahead_ms;   /* then: what its wall clock says beyond the monotonic one here */
	int64_t read_up_ms; /* [reader] the connection that it reads by */

	/* the workers' threads */
	struct redis_link take, answers;
	pthread_cond_t places; /* a place became free, or a stage came */
	pthread_cond_t to_answer;
	pthread_t taker, answerer;
	bool has_taker, has_answerer;
	struct task *answered, **answered_last;
	bool must_reread; /* [taker] what was delivered may not have arrived */
	int64_t exact_ms; /* [taker] until then nothing is read ahead */
	bool is_exact;	  /* it waits until nothing waits */
	bool is_pacing;	  /* the answerer goes on by itself */
	int64_t beat_ms, looked_ms;
	atomic_bool is_taking, is_closing;
};

static inline struct redis_bus *redis_of(struct bus *b)
{
	return (struct redis_bus *)((char *)b - offsetof(struct redis_bus, bus));
}

/* redis.c: the bus is that of the pipeline of this name. */
void redis_tag(struct redis_bus *b, const char *name);
void key_of(const struct redis_bus *b, char out[KEY_MAX], const char *name, const char *rest);
void stream_key(
	const struct redis_bus *b, char out[KEY_MAX], const char *stage, const char *digest);
/* With the lock held. */
struct channel *redis_channel(struct redis_bus *b, const struct pipeline *p, size_t stage);
struct channel *redis_channel_of(struct redis_bus *b, struct str digest, size_t stage);
/* Waits with the lock held; returns at `until_ms` (monotonic) at the latest. */
void redis_wait(struct redis_bus *b, pthread_cond_t *cond, int64_t until_ms);

/* redis_attempt.c */
struct attempt attempt_of(const struct task *t);
bool attempt_eq(const struct attempt *a, const struct attempt *b);
/* A task without its question, for a verdict on it; NULL: no memory. */
struct task *attempt_task(const struct attempt *a, const struct channel *ch);

/* redis_out.c: the table of what is out. With the lock held. */
int outs_add(struct redis_bus *b, struct channel *ch, struct task *t); /* -ENOMEM */
/* Takes it out of the table; NULL: nothing of that attempt is out. */
struct task *outs_take(struct redis_bus *b, const struct channel *ch, const struct attempt *a);
struct task *outs_find(struct redis_bus *b, const struct channel *ch, const struct attempt *a);
/* What was sent until then, and is not only awaited, is to be sent again: all of it, or what was not found in the channel's
 * stream. */
void outs_send_again(struct redis_bus *b, const struct channel *ch, int64_t before_ms);
/* Whether something of the channel was sent so long ago, and is not only awaited. */
bool outs_has_older(struct redis_bus *b, const struct channel *ch, int64_t before_ms);
/* Whether something of the channel is only awaited, since then. */
bool outs_has_awaited(struct redis_bus *b, const struct channel *ch, int64_t before_ms);
/* Takes what is only awaited, since then, and was not found in the channel's stream; the rest is awaited anew. Linked by
 * node. */
struct task *outs_take_lost(struct redis_bus *b, const struct channel *ch, int64_t before_ms);
/* Takes what waits in the channel, at most `max`, as being sent. */
size_t outs_begin(struct channel *ch, struct out **ret, size_t max);
/* It arrived, or is to be sent again. */
void outs_end(struct out *o, bool has_arrived);
/* All that is left of the channel (NULL: of all), linked by node. */
struct task *outs_clear(struct redis_bus *b, const struct channel *ch);

/* redis_setup.c [publisher]: what must be there in Redis. Negative errno: not all of it is. */
int redis_set_up(struct redis_bus *b);
int redis_set_up_channel(struct redis_bus *b, struct channel *ch);
/* Which attempts stand in the channel's stream. Negative errno: what was found before stays. [publisher] */
int redis_search(struct redis_bus *b, struct channel *ch);
/* Whether that attempt was among them when it was searched. With the lock held. */
bool redis_was_found(const struct channel *ch, const struct task *t);
/* redis_tick.c [publisher]: whether Redis still has it; whose lease is over; which workers there are. */
void redis_tick(struct redis_bus *b);

/* Threads: redis_publish.c, redis_verdicts.c, redis_take.c, redis_answer.c */
void *redis_publisher_run(void *bus);
void *redis_reader_run(void *bus);
void *redis_taker_run(void *bus);
void *redis_answerer_run(void *bus);

/* redis_verdicts.c: a carrier of `n_left` verdicts; NULL: no memory. With the lock held. */
struct carrier *carrier_new(
	struct redis_bus *b, struct channel *ch, const char *entry, size_t n_left);

/* redis_ahead.c: how long calls are, and how many tasks are taken that cannot begin at once, beside those that wait
 * already. With the lock held. */
void redis_note_duration(struct channel *ch, int64_t us);
size_t redis_ahead(const struct channel *ch, size_t n_waiting);
/* Whether something of the channel would share the end of what begins now. */
bool redis_is_at_risk(const struct channel *ch, size_t n_waiting);
/* Whether this attempt may end its worker. */
bool redis_is_risky(const struct channel *ch, uint32_t attempt);

/* redis_held.c: puts it into its channel, takes it out. With the lock held. */
void redis_held_add(struct channel *ch, struct held *h);
void redis_held_free(struct held *h);
/* Its call has ended, or is not waited for any more. With the lock held. */
void redis_held_end(struct held *h);
/* The channel's leases that are due are renewed. [answerer] */
void redis_renew(struct redis_bus *b, struct channel *ch);
/* The channel's attempts that have had their time are answered so. [answerer] */
void redis_look_at_deadlines(struct redis_bus *b, struct channel *ch, int64_t now_ms);

/* redis_answer.c: the answer to a command with entries of `key`. Where the group is gone the entry is, too.
 * Negative errno: broken, or refused and said so. [answerer] */
int redis_hear(struct redis_bus *b, const char *key);
/* Takes it, answered; its carrier is what holds it. With the lock held. */
void redis_send_later(struct redis_bus *b, struct task *t);
/* What was delivered and has not begun goes back, in its attempt, for somebody else; false: it could not. */
bool redis_give_back(struct redis_link *l, const struct channel *ch, const char *id);
/* What the worker says of itself, as JSON. With the lock held. */
void redis_describe_self(struct redis_bus *b, struct buf *out);

/* The task of a stage's entry, its channel's; -EPROTO, -ENOMEM. */
int redis_entry_task(const struct channel *ch, const redisReply *fields, struct task **ret);
