/* The processes of one instance: who gets which task, what becomes of it when one dies, and when another starts.
 *
 * One thread, the supervisor, does it all; other threads only leave tasks in its queue. Every process has one thread
 * of its own for tasks, so that a crash is the doing of exactly one call: two calls that die together could not be
 * told apart, and an innocent one would be charged. More calls at once take more processes, up to `workers`.
 *
 * A call of a few microseconds would be spent waiting for the socket, so a process whose stage is that fast gets
 * some tasks ahead. The oldest of them is the one that runs; when the process dies, it is charged with that, and the
 * others go to another process as if nothing had happened.
 *
 * A stage that wakes its tasks keeps in its process what they wait for, so such a process gets nothing ahead that would
 * have to be taken back from it by ending it. When it ends all the same, they go on in another one at once. */
#include "stage/children.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { GOODBYE_MS = 1000 }; /* to end by itself */

size_t children_count(const struct pool *p, enum child_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < p->max_children; i++)
		n += p->children[i].state == state;
	return n;
}

/* --- starting --- */

static void start_one(struct pool *p)
{
	struct child_link *c = p->children;
	struct err e = {0};

	while (c->state != CHILD_NONE)
		c++;
	if (child_link_start(p, c, &e) < 0)
		children_back_off(p, err_text(&e));
	if (!p->n_lost)
		return;
	p->n_lost--;
	pthread_mutex_lock(&p->lock);
	p->health.restarts++;
	pthread_mutex_unlock(&p->lock);
}

/* As many as there are calls that have to wait, one at a time. */
static void start_wanted(struct pool *p, int64_t now_ms)
{
	size_t n = p->max_children - children_count(p, CHILD_NONE);

	if (p->ready.n && n == p->n_wanted && !children_count(p, CHILD_STARTING) &&
		n < p->max_children)
		p->n_wanted++;
	if (n < p->n_wanted && now_ms >= p->next_start_ms && !children_count(p, CHILD_STARTING) &&
		!atomic_load(&p->is_stopping))
		start_one(p);
}

/* --- giving out --- */

static void send_given(struct pool *p)
{
	for (size_t i = 0; i < p->max_children; i++)
		if (p->children[i].process.out.len)
			process_send(&p->children[i].process);
}

/* --- the supervisor --- */

static void deliver(struct pool *p)
{
	struct task *first = p->finished.first;

	for (struct task *t = first; t; t = task_next(t))
		tickets_give_back(&p->tickets, t->ticket);
	p->finished = (struct task_list){0};
	if (first)
		p->on_verdicts(p->arg, first);
}

static void show(struct pool *p)
{
	size_t n_running = 0, n_given = 0, n_ready = children_count(p, CHILD_READY);

	for (size_t i = 0; i < p->max_children; i++) {
		n_running += p->children[i].pipe.n > 0;
		n_given += p->children[i].pipe.n + p->children[i].mine.n;
	}
	pthread_mutex_lock(&p->lock);
	p->counts = (struct pool_counts){.threads = p->max_children - children_count(p, CHILD_NONE),
		.running = n_running,
		.waiting = p->ready.n + n_given - n_running,
		.later = p->later.n,
		.is_stalled = p->n_failures && !n_ready};
	p->health.children = n_ready;
	p->health.starting = children_count(p, CHILD_STARTING);
	if (p->health.children)
		p->health.trouble[0] = '\0';
	pthread_mutex_unlock(&p->lock);
}

static void wait_for_something(struct pool *p, struct pollfd *fds)
{
	int64_t until_ms = children_next_ms(p), now_ms = clock_mono_ms();
	int timeout = until_ms == INT64_MAX	  ? -1
		      : until_ms <= now_ms	  ? 0
		      : until_ms - now_ms > 60000 ? 60000
						  : (int)(until_ms - now_ms);

	fds[0] = (struct pollfd){.fd = p->incoming.event_fd, .events = POLLIN};
	for (size_t i = 0; i < p->max_children; i++) {
		const struct process *q = &p->children[i].process;
		bool is_there = p->children[i].state != CHILD_NONE;

		fds[1 + 2 * i] = (struct pollfd){.fd = is_there ? q->pid_fd : -1, .events = POLLIN};
		fds[2 + 2 * i] = (struct pollfd){.fd = is_there ? q->fd : -1,
			.events = (short)(POLLIN | (q->out.len ? POLLOUT : 0))};
	}
	poll(fds, (nfds_t)(1 + 2 * p->max_children), timeout);
}

static void look_after(struct pool *p, struct child_link *c, const struct pollfd fds[2])
{
	if (c->state == CHILD_NONE)
		return;
	if ((fds[0].revents | fds[1].revents) & (POLLIN | POLLHUP | POLLERR))
		child_link_hear(p, c);
	if (!fds[0].revents || !process_reap(&c->process, &c->autopsy.status, &c->n_begun))
		return;
	children_bury(p, c);
	buf_fini(&c->modules.body);
	c->state = CHILD_NONE;
}

static void take_incoming(struct pool *p)
{
	struct queue_node *node = queue_take(&p->incoming, 0), *next;

	for (; node; node = next) {
		next = node->next;
		task_list_add(&p->ready, CONTAINER_OF(node, struct task, node));
	}
}

static void round_of(struct pool *p, struct pollfd *fds)
{
	int64_t now_ms;

	wait_for_something(p, fds);
	if (fds[0].revents)
		take_incoming(p);
	for (size_t i = 0; i < p->max_children; i++)
		look_after(p, &p->children[i], &fds[1 + 2 * i]);
	now_ms = clock_mono_ms();
	children_take_due(p, now_ms);
	children_end_overdue(p, now_ms);
	children_recall_slow(p, now_ms);
	deliver(p);
	if (!atomic_load(&p->is_stopping)) {
		children_give_out(p);
		start_wanted(p, now_ms);
	}
	send_given(p);
	show(p);
}

static bool has_calls(const struct pool *p)
{
	for (size_t i = 0; i < p->max_children; i++)
		if (p->children[i].pipe.n)
			return true;
	return false;
}

/* What has been given is answered or timed out; then they are told to go. */
static void wind_up(struct pool *p, struct pollfd *fds)
{
	while (has_calls(p))
		round_of(p, fds);
	for (size_t i = 0; i < p->max_children; i++) {
		struct child_link *c = &p->children[i];

		if (c->state == CHILD_NONE)
			continue;
		process_hang_up(&c->process);
		c->state = CHILD_ENDING;
		c->kill_ms = clock_mono_ms() + GOODBYE_MS;
	}
	while (children_count(p, CHILD_NONE) < p->max_children)
		round_of(p, fds);
}

static void *supervise(void *arg)
{
	struct pool *p = arg;
	struct pollfd *fds = p->fds;
	char name[16];

	snprintf(name, sizeof name, "stage-%s", p->instance->spec->name);
	pthread_setname_np(pthread_self(), name);
	start_wanted(p, clock_mono_ms());
	while (!atomic_load(&p->is_stopping))
		round_of(p, fds);
	wind_up(p, fds);
	return NULL;
}

/* --- for the engine --- */

static void children_free(struct pool *p)
{
	pthread_mutex_destroy(&p->lock);
	queue_fini(&p->incoming);
	task_list_free(&p->ready);
	task_list_free(&p->finished);
	later_fini(&p->later);
	tickets_fini(&p->tickets);
	free(p->fds);
	free(p);
}

static int children_create(struct instance *in, size_t workers,
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct pool **ret)
{
	size_t n = workers && instance_is_concurrent(in) ? workers : 1;
	struct pool *p = calloc(1, sizeof *p + n * sizeof p->children[0]);
	int r = -ENOMEM;

	if (!p)
		return r;
	p->fds = calloc(1 + 2 * n, sizeof *p->fds);
	if (p->fds)
		r = queue_init(&p->incoming, true);
	if (r < 0) {
		free(p->fds);
		free(p);
		return r;
	}
	pthread_mutex_init(&p->lock, NULL);
	p->kind = &pool_of_processes;
	p->instance = in;
	p->on_verdicts = on_verdicts;
	p->arg = arg;
	p->max_children = n;
	p->n_wanted = 1;
	p->later.timeout_ms = in->spec->timeout_ms;
	r = -pthread_create(&p->supervisor, NULL, supervise, p);
	if (r < 0) {
		children_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

static void children_submit(struct pool *p, struct task *first)
{
	queue_push_all(&p->incoming, &first->node);
}

/* A process can always be killed: every attempt that began gets its verdict from here. */
static int64_t children_ask(
	struct pool *p, const struct task *about, int64_t now_ms, struct task **ret)
{
	(void)about, (void)ret;
	return now_ms + p->instance->spec->timeout_ms;
}

static void children_destroy(struct pool *p)
{
	atomic_store(&p->is_stopping, true);
	queue_poke(&p->incoming);
	pthread_join(p->supervisor, NULL);
	take_incoming(p);
	children_free(p);
}

static void children_counts(struct pool *p, struct pool_counts *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = p->counts;
	pthread_mutex_unlock(&p->lock);
}

static void children_health(struct pool *p, struct pool_health *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = p->health;
	pthread_mutex_unlock(&p->lock);
}

const struct pool_kind pool_of_processes = {.create = children_create,
	.submit = children_submit,
	.ask = children_ask,
	.destroy = children_destroy,
	.counts = children_counts,
	.health = children_health};
