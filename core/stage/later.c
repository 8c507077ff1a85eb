/* A list and a binary heap. */
#include "stage/later.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

enum { HEAP_FIRST = 64 };

struct task *task_next(const struct task *t)
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

void task_list_remove(struct task_list *l, struct task *t)
{
	struct task *before = l->first;

	if (before == t) {
		task_list_take(l);
		return;
	}
	while (task_next(before) != t)
		before = task_next(before);
	before->node.next = t->node.next;
	if (l->last == t)
		l->last = before;
	l->n--;
	t->node.next = NULL;
}

struct task *task_list_find(const struct task_list *l, const struct task *about)
{
	struct task *t = l->first;

	while (t && !task_is_same_attempt(t, about))
		t = task_next(t);
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
	l->heap[a]->heap_at = a;
	l->heap[b]->heap_at = b;
}

static void rise(struct later *l, size_t i)
{
	for (; i && wake_ms(l, i) < wake_ms(l, (i - 1) / 2); i = (i - 1) / 2)
		swap(l, i, (i - 1) / 2);
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
	if (t->is_woken)
		t->due_ms = clock_mono_ms();
	l->heap[l->n] = t;
	t->heap_at = l->n++;
	rise(l, t->heap_at);
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
	l->heap[0]->heap_at = 0;
	top->heap_at = TASK_NOT_IN_HEAP;
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

void later_remove(struct later *l, struct task *t)
{
	t->due_ms = INT64_MIN;
	rise(l, t->heap_at);
	later_take(l);
}

struct task *later_find(const struct later *l, const struct task *about)
{
	for (size_t i = 0; i < l->n; i++)
		if (task_is_same_attempt(l->heap[i], about))
			return l->heap[i];
	return NULL;
}

bool later_goes_on(const struct later *l, const struct task *t, int64_t now_ms)
{
	return t->is_woken || later_deadline_ms(l, t) > now_ms;
}

void later_time_out(const struct later *l, struct task *t)
{
	char text[64];

	snprintf(text, sizeof text, "no answer within %lld ms", (long long)l->timeout_ms);
	task_clear_verdict(t);
	t->message = task_keep(t, str_of(text));
	t->verdict = VERDICT_TIMEOUT;
	t->duration_us = clock_mono_us() - t->started_us;
}

void later_wake(struct later *l, struct task *t)
{
	if (t->is_woken)
		return;
	t->is_woken = true;
	if (t->heap_at == TASK_NOT_IN_HEAP)
		return;
	t->due_ms = clock_mono_ms();
	rise(l, t->heap_at);
}

void later_orphaned(struct later *l, int32_t home)
{
	int64_t now_ms = clock_mono_ms();

	for (size_t i = 0; i < l->n; i++)
		if (l->heap[i]->home == home && l->heap[i]->is_ticketed)
			l->heap[i]->due_ms = now_ms;
	for (size_t i = 1; i < l->n; i++)
		rise(l, i);
}

void later_fini(struct later *l)
{
	for (size_t i = 0; i < l->n; i++)
		task_free(l->heap[i]);
	free(l->heap);
	*l = (struct later){0};
}
