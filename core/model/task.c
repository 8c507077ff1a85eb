/* Tasks: making and freeing them, and the key that names their effect to the outside. */
#include "model/task.h"

#include <stdio.h>

const char *verdict_word(enum verdict v)
{
	static const char *const words[] = {
		"done", "fail", "retry", "later", "wait", "timeout", "crash"};

	return words[v];
}

struct task *task_new(void)
{
	struct task *t = calloc(1, sizeof *t);

	if (t)
		t->delay_ms = -1;
	return t;
}

void task_free(struct task *t)
{
	if (!t)
		return;
	free(t->order);
	free(t->results);
	free(t->signal);
	free(t->message);
	free(t->shortage);
	free(t->result);
	arena_fini(&t->arena);
	free(t);
}

void task_idempotency_key(const struct task *t, char *out, size_t size)
{
	char id[ID_TEXT_SIZE];

	id_text(&t->order_id, id);
	snprintf(out, size, "%s:%s:%s", id, t->pipeline->stages[t->stage].name,
		t->undo ? "undo" : "run");
}
