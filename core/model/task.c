/* Tasks: making and freeing them, and the key that names their effect to the outside. */
#include "model/task.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"

const char *verdict_word(enum verdict v)
{
	static const char *const words[] = {
		"done", "fail", "retry", "later", "wait", "timeout", "crash"};

	return words[v];
}

enum { VERDICT_ROOM = 1024 };

struct block {
	struct task task;
	alignas(max_align_t) char verdict[VERDICT_ROOM];
	char words[];
};

static const char *put(char **at, struct str text)
{
	char *p = *at;

	if (!text.p)
		return NULL;
	memcpy(p, text.p, text.n);
	p[text.n] = '\0';
	*at += text.n + 1;
	return p;
}

struct task *task_new(struct str order, struct str results, struct str signal)
{
	struct block *b = malloc(sizeof *b + order.n + results.n + signal.n + 3);
	char *at;

	if (!b)
		return NULL;
	b->task = (struct task){
		.idle_mark = TASK_MARK_OUT, .delay_ms = -1, .heap_at = TASK_NOT_IN_HEAP};
	arena_init(&b->task.arena, b->verdict, sizeof b->verdict);
	at = b->words;
	b->task.order = put(&at, order);
	b->task.results = put(&at, results);
	b->task.signal = put(&at, signal);
	return &b->task;
}

void task_free(struct task *t)
{
	if (!t)
		return;
	arena_fini(&t->arena);
	free(CONTAINER_OF(t, struct block, task));
}

void task_clear_verdict(struct task *t)
{
	arena_clear(&t->arena);
	t->message = t->shortage = t->result = NULL;
	t->effects = NULL;
	t->n_effects = 0;
	t->delay_ms = -1;
}

bool task_is_same_attempt(const struct task *a, const struct task *b)
{
	return a->order_seq == b->order_seq && a->attempt == b->attempt && a->undo == b->undo &&
	       id_eq(&a->order_id, &b->order_id);
}

void task_set_mark(struct task *t, enum task_mark mark)
{
	if (t->mark)
		atomic_store_explicit(t->mark, (unsigned char)mark, memory_order_release);
}

void task_unmark(struct task *t)
{
	task_set_mark(t, (enum task_mark)t->idle_mark);
}

const char *task_keep(struct task *t, struct str text)
{
	struct str copy;

	return arena_copy(&t->arena, text, &copy) ? copy.p : NULL;
}

bool task_key_is_valid(const char *key)
{
	size_t n = key ? strlen(key) : 0;

	if (!n || n >= TASK_KEY_MAX || !utf8_valid((struct str){key, n}))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
			return false;
	return true;
}

void task_idempotency_key(const struct task *t, char *out, size_t size)
{
	char id[ID_TEXT_SIZE];

	id_text(&t->order_id, id);
	snprintf(out, size, "%s:%s:%s", id, t->pipeline->stages[t->stage].name,
		t->undo ? "undo" : "run");
}
