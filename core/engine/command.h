/* Commands: what people ask of the engine. A command is lent to the engine and comes back with an answer. */
#pragma once

#include "base/queue.h"
#include "model/order.h"

enum command_kind { COMMAND_PLACE };

struct command {
	struct queue_node node;
	enum command_kind kind;
	void *context; /* the sender's */

	/* COMMAND_PLACE */
	char *body; /* canonical JSON object, owned by the command */
	char *key;  /* Idempotency-Key, owned; may be NULL */

	/* the answer */
	int result; /* 0, or negative errno: -EEXIST the key was used for another body; -ENOSPC, -EIO, -ENOMEM */
	struct err err;
	struct id id;
	int64_t created_us;
};

struct command *command_new(enum command_kind kind, void *context);
void command_free(struct command *c);
