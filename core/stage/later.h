/* Tasks in lists, and tasks that wait for their time: what both kinds of pools keep of them. Not locked. */
#pragma once

#include "model/task.h"

struct task_list {
	struct task *first, *last;
	size_t n;
};

/* The next in its list; NULL: it is the last. */
struct task *task_next(const struct task *t);
void task_list_add(struct task_list *l, struct task *t);
/* Moves all of `from` to the front of `l`. */
void task_list_put_first(struct task_list *l, struct task_list *from);
/* NULL: it is empty. */
struct task *task_list_take(struct task_list *l);
/* Takes that one out, which is in it. */
void task_list_remove(struct task_list *l, struct task *t);
/* The task of the attempt that `about` names; NULL: it is not in it. */
struct task *task_list_find(const struct task_list *l, const struct task *about);
void task_list_free(struct task_list *l);

/* A heap of tasks by the time they go on, or by their deadline when that is sooner. */
struct later {
	struct task **heap;
	size_t n, cap;
	int64_t timeout_ms; /* of an attempt; 0: none */
};

/* When the attempt has had its time (monotonic). */
int64_t later_deadline_ms(const struct later *l, const struct task *t);
int later_push(struct later *l, struct task *t); /* -ENOMEM */
/* When the first one is to be taken; INT64_MAX: there is none. */
int64_t later_next_ms(const struct later *l);
struct task *later_take(struct later *l);
/* Takes that one out, which is in it. */
void later_remove(struct later *l, struct task *t);
/* The task of the attempt that `about` names; NULL: it is not in it. */
struct task *later_find(const struct later *l, const struct task *about);
/* Whether a task that was taken goes on: it was woken, or its attempt has time left. */
bool later_goes_on(const struct later *l, const struct task *t, int64_t now_ms);
/* Fills in the verdict of one that does not. */
void later_time_out(const struct later *l, struct task *t);
/* What the task waits for has happened: it goes on at once, or as soon as it is pushed. */
void later_wake(struct later *l, struct task *t);
/* Those that are to be woken by the process `home` are due at once: it has ended. */
void later_orphaned(struct later *l, int32_t home);
void later_fini(struct later *l);
