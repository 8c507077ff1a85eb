/* The two kinds of pools. Each defines `struct pool` for itself; it begins with a pointer to its kind, by which
 * isolation.c finds the functions. They keep the promises that stage.h makes for those of the same names. */
#pragma once

#include "stage/stage.h"

struct pool_kind {
	int (*create)(struct instance *in, size_t workers,
		void (*on_verdicts)(void *arg, struct task *first), void *arg, struct pool **ret);
	void (*submit)(struct pool *p, struct task *first);
	int64_t (*ask)(struct pool *p, const struct task *about, int64_t now_ms, struct task **ret);
	void (*destroy)(struct pool *p);
	void (*counts)(struct pool *p, struct pool_counts *ret);
	void (*health)(struct pool *p, struct pool_health *ret); /* NULL: nothing to tell */
};

extern const struct pool_kind pool_of_threads, pool_of_processes;
