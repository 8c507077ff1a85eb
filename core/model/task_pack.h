/* A task and its verdict in packed form (base/pack.h), the same for a stage's processes and for workers on other
 * machines.
 *
 *   task     order_seq 8 · order id 16 · attempt 4 · turn 4 · undo 4 · order, results, signal: 3 texts
 *   verdict  verdict 4 · delay_ms 8 · message, shortage, result: 3 texts · number of effects 4, then of each:
 *            kind 4 · delta 8 · floor 8 · key, json: 2 texts */
#pragma once

#include "base/pack.h"
#include "model/task.h"

void task_pack(struct buf *out, const struct task *t);
/* Returns owned; -EPROTO, -ENOMEM. Its pipeline and stage are the caller's to set. */
int task_unpack(struct unpack *r, struct task **ret);

/* A verdict whose lengths are right and whose texts end; what it says is still the sender's word. Borrows. */
struct task_answer {
	enum verdict verdict;
	int64_t delay_ms;
	const char *message, *shortage, *result; /* NULL: absent */
	size_t n_effects;
	struct str effects; /* for task_effect_unpack() */
};

struct task_effect {
	enum effect_kind kind;
	int64_t delta, floor;
	const char *key;
	struct str json;
};

void task_answer_pack(struct buf *out, const struct task *t);
int task_answer_unpack(struct unpack *r, struct task_answer *ret); /* -EPROTO */
/* Takes the next effect from `effects`. */
int task_effect_unpack(struct str *effects, struct task_effect *ret);
/* Copies the verdict into the task, when all of it is what an instance would have given: sizes, UTF-8, compact
 * JSON. -EPROTO, -ENOMEM: the task has no verdict then. */
int task_answer_take(struct task *t, const struct task_answer *a);
