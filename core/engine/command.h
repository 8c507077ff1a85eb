/* Commands: what people ask of the engine. A command is lent to the engine and comes back with an answer. */
#pragma once

#include "base/queue.h"
#include "model/order.h"

enum command_kind {
	COMMAND_PLACE,	 /* body, key → id, created_us */
	COMMAND_CANCEL,	 /* id, reason */
	COMMAND_RELEASE, /* id, action, reason, stage and held_error (absent: any),
			  * body (edited; may be NULL) */
	COMMAND_SIGNAL,	 /* id, stage, body, key (may be NULL) */
	COMMAND_PAUSE,	 /* stage, reason */
	COMMAND_RESUME,	 /* stage, reason */
	COMMAND_ADJUST,	 /* effect (its strings owned by the command as `key` and `body`), reason */
	COMMAND_MIGRATE, /* id, digest (that it is on; "": any), reason: to the current generation */
	COMMAND_ERASE,	 /* id, reason: what the order says, when it has ended */
	COMMAND_RELOAD,	 /* → digest, is_unchanged, errors */
	COMMAND_KINDS
};

struct generation;

struct command {
	struct queue_node node;
	enum command_kind kind;
	void *owner, *context; /* the sender's */
	void (*on_answer)(
		struct command *c); /* the sender's: takes the command; nobody here calls it */

	/* the question: owned strings, NULL where the kind has no use for them */
	char *body;		   /* canonical JSON */
	struct order_facts *facts; /* of the body of COMMAND_PLACE; may be NULL */
	char *key;		   /* Idempotency-Key, or the key of the state */
	char *stage, *reason;
	char *held_error;   /* only stages that are held with exactly this error */
	const char *action; /* "retry", "skip", "discard"; static */
	struct effect effect;
	char digest[PIPELINE_DIGEST_SIZE]; /* of a generation */

	/* the answer; `id` is part of the question for all but COMMAND_PLACE */
	struct id id;
	int64_t created_us;
	bool is_unchanged; /* the file is the current generation already */
	char *errors; /* what is wrong with the file: JSON array of {file, line, column, detail} */
	struct generation *generation; /* the engine's own business: becomes current; borrowed */
	/* 0, or negative errno with the reason in `err`. -ENOENT: no such order or stage. -EALREADY, -EINVAL, -EAGAIN: the
	 * order does not stand so (now). -EEXIST: the key was used for something else. -ERANGE: below the floor.
	 * -ENOSPC, -EIO, -ENOMEM: nothing can be journaled now. -ESHUTDOWN: the daemon is stopping.
	 * -EPROTO, -E2BIG: it cannot be journaled; the order may be damaged. */
	int result;
	struct err err;
};

struct command *command_new(enum command_kind kind, void *context);
void command_free(struct command *c);
