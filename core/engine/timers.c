/* Timers: a binary heap by due time. */
#include "engine/timers.h"

#include <errno.h>
#include <stdlib.h>

static void swap(struct timer *a, struct timer *b)
{
	struct timer t = *a;

	*a = *b;
	*b = t;
}

int timers_add(struct timers *t, struct timer timer)
{
	size_t i = t->n;

	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 64;
		struct timer *heap = realloc(t->heap, cap * sizeof *heap);

		if (!heap)
			return -ENOMEM;
		t->heap = heap;
		t->cap = cap;
	}
	t->heap[t->n++] = timer;
	while (i && t->heap[(i - 1) / 2].due_ms > t->heap[i].due_ms) {
		swap(&t->heap[i], &t->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	return 0;
}

int64_t timers_next(const struct timers *t)
{
	return t->n ? t->heap[0].due_ms : INT64_MAX;
}

static void sink(struct timers *t)
{
	size_t i = 0;

	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < t->n; child++)
			if (t->heap[child].due_ms < t->heap[least].due_ms)
				least = child;
		if (least == i)
			return;
		swap(&t->heap[i], &t->heap[least]);
		i = least;
	}
}

bool timers_take(struct timers *t, int64_t now_ms, struct timer *ret)
{
	if (!t->n || t->heap[0].due_ms > now_ms)
		return false;
	*ret = t->heap[0];
	t->heap[0] = t->heap[--t->n];
	sink(t);
	return true;
}

void timers_fini(struct timers *t)
{
	free(t->heap);
	*t = (struct timers){0};
}
