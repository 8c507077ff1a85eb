/* Checkpoints, and the thread for them. */
#include "journal/checkpoint.h"

#include <pthread.h>

#include "base/crash_point.h"
#include "base/mem.h"

enum {
	ROUNDS = 4,
	LEFT_FEW = 200, /* pages; what the writer moves in a millisecond or two */
};

enum checkpointer_state { IDLE, WANTED, DONE };

struct checkpointer {
	sqlite3 *db; /* the thread's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* Under the lock. */
	enum checkpointer_state state;
	bool is_stopping;
	int result, left; /* of the last run */
	struct err why;
};

int checkpoint_run(sqlite3 *db, int *ret_left, struct err *e)
{
	int in_log = 0, moved = 0, r;

	CRASH_POINT("checkpoint");
	*ret_left = 0;
	if (sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved) ==
		SQLITE_OK) {
		*ret_left = in_log - moved;
		return 0;
	}
	r = sql_error(db, e, "checkpoint");
	return r == -ENOSPC || r == -EBUSY || r == -ENOMEM ? 0 : r;
}

/* With the lock held, but not meanwhile. */
static void move_pages(struct checkpointer *c)
{
	struct err why = {0};
	int left = 0, r = 0;

	pthread_mutex_unlock(&c->lock);
	for (int i = 0; i < ROUNDS && r == 0; i++) {
		r = checkpoint_run(c->db, &left, &why);
		if (left <= LEFT_FEW)
			break;
	}
	pthread_mutex_lock(&c->lock);
	c->result = r;
	c->left = left;
	c->why = why;
	c->state = DONE;
	pthread_cond_broadcast(&c->changed);
}

static void *run(void *checkpointer)
{
	struct checkpointer *c = checkpointer;

	pthread_setname_np(pthread_self(), "checkpoint");
	pthread_mutex_lock(&c->lock);
	while (c->state == WANTED || !c->is_stopping) {
		if (c->state == WANTED)
			move_pages(c);
		else
			pthread_cond_wait(&c->changed, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int checkpointer_start(const char *path, struct checkpointer **ret, struct err *e)
{
	_cleanup_(freep) struct checkpointer *c = calloc(1, sizeof *c);
	int r;

	if (!c)
		return err_set(e, -ENOMEM, "out of memory");
	r = sql_open(path, SQL_WRITE, &c->db, e);
	if (r < 0)
		return r;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	r = -pthread_create(&c->thread, NULL, run, c);
	if (r < 0) {
		sqlite3_close(c->db);
		return err_set(e, r, "cannot start the thread for checkpoints: %s", strerror(-r));
	}
	*ret = steal_ptr(c);
	return 0;
}

/* With the lock held: what came of the last run. */
static int take_result(struct checkpointer *c, struct err *e)
{
	c->state = IDLE;
	return c->result < 0 ? err_set(e, c->result, "%s", err_text(&c->why)) : 0;
}

int checkpointer_stop(struct checkpointer *c, struct err *e)
{
	int r;

	if (!c)
		return 0;
	pthread_mutex_lock(&c->lock);
	c->is_stopping = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	r = c->state == DONE ? take_result(c, e) : 0;
	sqlite3_close(c->db);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return r;
}

static void want(struct checkpointer *c)
{
	c->state = WANTED;
	pthread_cond_broadcast(&c->changed);
}

int checkpointer_turn(struct checkpointer *c, int n_pages, struct err *e)
{
	bool is_full = n_pages >= LOG_PAGES_MAX;
	int r = CHECKPOINT_LATER;

	pthread_mutex_lock(&c->lock);
	if (c->state == IDLE)
		want(c);
	while (c->state == WANTED && is_full)
		pthread_cond_wait(&c->changed, &c->lock);
	if (c->state == DONE)
		r = take_result(c, e);
	if (r == 0 && c->state == IDLE && c->left > LEFT_FEW && !is_full)
		want(c);
	if (r == 0 && c->state == IDLE)
		r = CHECKPOINT_YOURS;
	pthread_mutex_unlock(&c->lock);
	return r;
}
