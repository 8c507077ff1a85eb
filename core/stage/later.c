/* A list and a binary heap. */
#include "stage/later.h"

#include <errno.h>

#include "base/mem.h"

enum { HEAP_FIRST = 64 };

static struct task *task_next(const struct task *t)
{
	return t->node.next ? CONTAINER_OF(t->node.next, struct task, node) : NULL;
}

void task_list_add(struct task_list *l, struct task *t)
{
	t->node.next = NULL;
	if (l->last)
		l->last->node.next = &t->node;
	else
		l->first = t;
	l->last = t;
	l->n++;
}

void task_list_put_first(struct task_list *l, struct task_list *from)
{
	if (!from->n)
		return;
	from->last->node.next = l->first ? &l->first->node : NULL;
	l->first = from->first;
	if (!l->last)
		l->last = from->last;
	l->n += from->n;
	*from = (struct task_list){0};
}

struct task *task_list_take(struct task_list *l)
{
	struct task *t = l->first;

	if (!t)
		return NULL;
	l->first = task_next(t);
	if (!l->first)
		l->last = NULL;
	l->n--;
	t->node.next = NULL;
	return t;
}

void task_list_free(struct task_list *l)
{
	struct task *t;

	while ((t = task_list_take(l)))
		task_free(t);
}

int64_t later_deadline_ms(const struct later *l, const struct task *t)
{
	return l->timeout_ms > 0 ? t->started_us / 1000 + l->timeout_ms : INT64_MAX;
}

static int64_t wake_ms(const struct later *l, size_t i)
{
	int64_t deadline = later_deadline_ms(l, l->heap[i]);

	return l->heap[i]->due_ms < deadline ? l->heap[i]->due_ms : deadline;
}

static void swap(struct later *l, size_t a, size_t b)
{
	struct task *t = l->heap[a];

	l->heap[a] = l->heap[b];
	l->heap[b] = t;
}

int later_push(struct later *l, struct task *t)
{
	size_t cap = l->cap ? l->cap * 2 : HEAP_FIRST;

	if (l->n == l->cap) {
		struct task **grown = realloc(l->heap, cap * sizeof(struct task *));

		if (!grown)
			return -ENOMEM;
		l->heap = grown;
		l->cap = cap;
	}
	l->heap[l->n] = t;
	for (size_t i = l->n++; i && wake_ms(l, i) < wake_ms(l, (i - 1) / 2); i = (i - 1) / 2)
		swap(l, i, (i - 1) / 2);
	return 0;
}

int64_t later_next_ms(const struct later *l)
{
	return l->n ? wake_ms(l, 0) : INT64_MAX;
}

struct task *later_take(struct later *l)
{
	struct task *top = l->heap[0];
	size_t i = 0;

	l->heap[0] = l->heap[--l->n];
	for (;;) {
		size_t least = i, left = 2 * i + 1;

		if (left < l->n && wake_ms(l, left) < wake_ms(l, least))
			least = left;
		if (left + 1 < l->n && wake_ms(l, left + 1) < wake_ms(l, least))
			least = left + 1;
		if (least == i)
			return top;
		swap(l, i, least);
		i = least;
	}
}

void later_fini(struct later *l)
{
	for (size_t i = 0; i < l->n; i++)
		task_free(l->heap[i]);
	free(l->heap);
	*l = (struct later){0};
}
