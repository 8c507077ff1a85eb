/* A folding with a thread of its own. A fixed number of batches goes round between the two. */
#include "journal/fold_thread.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "base/queue.h"
#include "journal/walk.h"

enum { BATCHES = 4, BATCH_EVENTS = 256, BATCH_MEMORY = 256 << 10 };

struct fold_batch {
	struct queue_node node;
	struct arena arena;
	struct event_list list;
	bool is_last;
	bool is_after_gap;
	_Alignas(max_align_t) char memory[BATCH_MEMORY];
};

struct fold_thread {
	struct folding *f;
	struct queue full, empty;
	struct queue_node *spare;   /* taken from `empty` */
	struct fold_batch *current; /* being filled; NULL: none */
	pthread_t thread;
	atomic_bool has_failed;
	struct err e; /* the thread's; read after its end */
	struct fold_batch batches[BATCHES];
};

static void fold_batch(struct fold_thread *t, const struct fold_batch *b)
{
	int r = 0;

	if (b->is_after_gap)
		folding_break(t->f);
	for (const struct event *ev = b->list.first; ev && r == 0; ev = ev->next)
		r = folding_event(t->f, ev, &t->e);
	if (r == 0)
		return;
	if (!t->e.code)
		err_set(&t->e, r, "%s", strerror(-r));
	atomic_store(&t->has_failed, true);
}

static void *run(void *fold_thread)
{
	struct fold_thread *t = fold_thread;

	for (bool is_last = false; !is_last;) {
		struct queue_node *n = queue_take(&t->full, INT64_MAX);

		while (n) {
			struct fold_batch *b = CONTAINER_OF(n, struct fold_batch, node);

			n = n->next;
			if (!atomic_load(&t->has_failed))
				fold_batch(t, b);
			is_last |= b->is_last;
			queue_push(&t->empty, &b->node);
		}
	}
	return NULL;
}

static void take_batch(struct fold_thread *t)
{
	struct fold_batch *b;

	while (!t->spare)
		t->spare = queue_take(&t->empty, INT64_MAX);
	b = CONTAINER_OF(t->spare, struct fold_batch, node);
	t->spare = t->spare->next;
	arena_fini(&b->arena);
	arena_init(&b->arena, b->memory, sizeof b->memory);
	event_list_init(&b->list, &b->arena);
	b->is_last = false;
	b->is_after_gap = false;
	t->current = b;
}

static void hand_over(struct fold_thread *t)
{
	queue_push(&t->full, &steal_ptr(t->current)->node);
}

static int start(struct folding *f, struct fold_thread **ret, struct err *e)
{
	struct fold_thread *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	t->f = f;
	r = queue_init(&t->full, false);
	if (r == 0)
		r = queue_init(&t->empty, false);
	for (size_t i = 0; i < BATCHES && r == 0; i++)
		queue_push(&t->empty, &t->batches[i].node);
	if (r == 0)
		r = -pthread_create(&t->thread, NULL, run, t);
	if (r < 0) {
		free(t);
		return err_set(e, r, "cannot start a thread: %s", strerror(-r));
	}
	*ret = t;
	return 0;
}

static int hand_row(
	void *fold_thread, const struct chain_row *row, bool is_after_gap, struct err *e)
{
	struct fold_thread *t = fold_thread;
	struct event *ev;
	int r;

	if (atomic_load(&t->has_failed))
		return -ECANCELED;
	if (!t->current)
		take_batch(t);
	t->current->is_after_gap |= is_after_gap;
	r = chain_row_event(row, &t->current->list, &ev, e);
	if (r == 0 && t->current->list.n == BATCH_EVENTS)
		hand_over(t);
	return r;
}

static int end(struct fold_thread *t, struct err *e)
{
	int r = 0;

	if (!t->current)
		take_batch(t);
	t->current->is_last = true;
	hand_over(t);
	pthread_join(t->thread, NULL);
	if (atomic_load(&t->has_failed))
		r = err_set(e, t->e.code, "%s", err_text(&t->e));
	for (size_t i = 0; i < BATCHES; i++)
		arena_fini(&t->batches[i].arena);
	queue_fini(&t->full);
	queue_fini(&t->empty);
	free(t);
	return r;
}

int fold_chain(sqlite3 *db, struct folding *f, const struct journal_watch *watch,
	struct verify_report *ret, struct err *e)
{
	const struct verify_request request = {.watch = watch};
	struct fold_thread *thread = NULL;
	int ended, r = start(f, &thread, e);

	if (r < 0)
		return r;
	r = chain_walk(db, &request, &(struct chain_visitor){hand_row, thread}, ret, e);
	ended = end(thread, r == 0 || r == -ECANCELED ? e : NULL);
	return r == 0 || r == -ECANCELED ? ended : r;
}
