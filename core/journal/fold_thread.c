/* A folding with a thread of its own, which decodes and folds what the walk along the chain has read and checked: each
 * is about half of the work. A fixed number of batches goes round between the two. */
#include "journal/fold_thread.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "base/queue.h"
#include "journal/walk.h"

enum { BATCHES = 4, BATCH_ROWS = 256, BATCH_MEMORY = 256 << 10, EVENT_MEMORY = 8 << 10 };

struct fold_row {
	struct fold_row *next;
	struct chain_row row; /* without what only the chain needs */
};

struct fold_batch {
	struct queue_node node;
	struct arena arena; /* of the rows */
	struct fold_row *first, **last;
	size_t n;
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

static int fold_row(struct fold_thread *t, const struct chain_row *row)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	_Alignas(max_align_t) char memory[EVENT_MEMORY];
	struct event_list list;
	struct event *ev;
	int r;

	arena_init(&arena, memory, sizeof memory);
	event_list_init(&list, &arena);
	r = chain_row_event(row, &list, &ev, &t->e);
	return r == 0 ? folding_event(t->f, ev, &t->e) : r;
}

static void fold_batch(struct fold_thread *t, const struct fold_batch *b)
{
	int r = 0;

	if (b->is_after_gap)
		folding_break(t->f);
	for (const struct fold_row *f = b->first; f && r == 0; f = f->next)
		r = fold_row(t, &f->row);
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
	b->first = NULL;
	b->last = &b->first;
	b->n = 0;
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

static struct fold_row *copy_row(struct arena *arena, const struct chain_row *row)
{
	struct fold_row *f = arena_alloc(arena, sizeof *f);

	if (!f)
		return NULL;
	f->row = (struct chain_row){.ev = row->ev, .kind = row->kind};
	if (!arena_copy(arena, row->ev.type, &f->row.ev.type) ||
		!arena_copy(arena, row->ev.stage, &f->row.ev.stage) ||
		!arena_copy(arena, row->payload, &f->row.payload))
		return NULL;
	return f;
}

static int hand_row(
	void *fold_thread, const struct chain_row *row, bool is_after_gap, struct err *e)
{
	struct fold_thread *t = fold_thread;
	struct fold_batch *b;
	struct fold_row *f;

	if (atomic_load(&t->has_failed))
		return -ECANCELED;
	if (!t->current)
		take_batch(t);
	b = t->current;
	b->is_after_gap |= is_after_gap;
	f = copy_row(&b->arena, row);
	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	*b->last = f;
	b->last = &f->next;
	if (++b->n == BATCH_ROWS)
		hand_over(t);
	return 0;
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
