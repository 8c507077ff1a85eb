/* The processes of one instance: who gets which task, what becomes of it when one dies, and when another starts.
 *
 * One thread, the supervisor, does it all; other threads only leave tasks in its queue. Every process has one thread
 * of its own for tasks, so that a crash is the doing of exactly one call: two calls that die together could not be
 * told apart, and an innocent one would be charged. More calls at once take more processes, up to `workers`.
 *
 * A call of a few microseconds would be spent waiting for the socket, so a process whose stage is that fast gets
 * some tasks ahead. The oldest of them is the one that runs; when the process dies, it is charged with that, and the
 * others go to another process as if nothing had happened. */
#include "stage/children.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	AHEAD_MAX = 32,		 /* tasks in a process */
	AHEAD_US = 1000,	 /* and as many as take this long */
	UNSENT_MAX = 256 * 1024, /* bytes */
	BACKOFF_FIRST_MS = 100,
	BACKOFF_MAX_MS = 30000,
	RECALL_MS = 20,
	START_MS = 10000,  /* from START to READY */
	GOODBYE_MS = 1000, /* to end by itself */
};

static const char *name_of(const struct pool *p)
{
	return p->instance->spec->name;
}

static size_t count(const struct pool *p, enum child_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < p->max_children; i++)
		n += p->children[i].state == state;
	return n;
}

/* --- deaths --- */

static void convict(struct pool *p, struct task *t, enum verdict verdict, const char *text)
{
	task_clear_verdict(t);
	t->verdict = verdict;
	t->message = task_keep(t, str_of(text));
	t->duration_ms = (clock_mono_us() - t->started_us) / 1000;
	task_list_add(&p->finished, t);
}

/* The call that was going on is charged; those that waited behind it are not. */
static void share_out(struct pool *p, struct child_link *c, const char *why)
{
	/* A process that leaves has begun nothing more; one that never did anything else is not believed. */
	bool is_free = c->is_leaving && c->n_answered && !c->is_timed_out && !c->autopsy.has_crash;
	struct task *t = is_free ? NULL : task_list_take(&c->pipe);
	struct task_list back = {0};
	char text[POOL_TEXT_MAX];

	snprintf(text, sizeof text, "%s%s", c->is_timed_out ? "" : "its process crashed: ", why);
	if (t)
		convict(p, t, c->is_timed_out ? VERDICT_TIMEOUT : VERDICT_CRASH, text);
	while ((t = task_list_take(&c->pipe))) {
		child_link_untouched(t);
		task_list_add(&back, t);
	}
	task_list_put_first(&p->ready, &c->mine);
	task_list_put_first(&p->ready, &back);
}

/* The next one starts later and later while none gets anywhere. */
static void back_off(struct pool *p, const char *why)
{
	int64_t ms = BACKOFF_FIRST_MS;

	for (unsigned i = 0; i < p->n_failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
	p->n_failures++;
	p->next_start_ms = clock_mono_ms() + ms;
	log_error("stage=%s no process can be started: %s; tried again in %lld ms", name_of(p), why,
		(long long)ms);
	pthread_mutex_lock(&p->lock);
	snprintf(p->health.trouble, sizeof p->health.trouble, "%s", why);
	pthread_mutex_unlock(&p->lock);
}

static void note_crash(struct pool *p, const struct child_link *c, const char *why)
{
	log_error("stage=%s process=%d crashed: %s", name_of(p), (int)c->pid, why);
	pthread_mutex_lock(&p->lock);
	p->health.crashes++;
	p->health.last_crash_us = clock_wall_us();
	snprintf(p->health.last_crash, sizeof p->health.last_crash, "%s", why);
	pthread_mutex_unlock(&p->lock);
}

static void find_out(const struct pool *p, const struct child_link *c, char *why, size_t size)
{
	_cleanup_(buf_fini) struct buf text = {0};

	if (c->last_words[0]) {
		snprintf(why, size, "%.*s", (int)size - 1, c->last_words);
	} else if (c->is_timed_out) {
		buf_fmt(&text, "no answer within %lld ms; its process was killed",
			(long long)p->later.timeout_ms);
		autopsy_trace(&c->autopsy, &text);
		snprintf(why, size, "%s", buf_view(&text).p);
	} else {
		autopsy_text(&c->autopsy, why, size);
	}
}

static void bury(struct pool *p, struct child_link *c)
{
	char why[POOL_TEXT_MAX - 64];

	find_out(p, c, why, sizeof why);
	p->n_lost++;
	if (!c->pipe.n && !c->autopsy.has_crash &&
		(c->is_recalled || atomic_load(&p->is_stopping))) {
		log_debug("stage=%s process=%d ended", name_of(p), (int)c->pid);
	} else if (c->is_new) {
		back_off(p, why);
	} else if (c->is_leaving) {
		log_info("stage=%s process=%d makes room: %s", name_of(p), (int)c->pid, why);
	} else {
		note_crash(p, c, why);
		if (!c->n_given) /* it does that without being asked anything */
			back_off(p, why);
	}
	share_out(p, c, why);
}

/* --- starting --- */

static void start_one(struct pool *p)
{
	struct child_link *c = p->children;
	struct err e = {0};

	while (c->state != CHILD_NONE)
		c++;
	if (child_link_start(p, c, &e) < 0)
		back_off(p, err_text(&e));
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
	size_t n = p->max_children - count(p, CHILD_NONE);

	if (p->ready.n && n == p->n_wanted && !count(p, CHILD_STARTING) && n < p->max_children)
		p->n_wanted++;
	if (n < p->n_wanted && now_ms >= p->next_start_ms && !count(p, CHILD_STARTING) &&
		!atomic_load(&p->is_stopping))
		start_one(p);
}

/* --- giving out --- */

static bool may_take(const struct pool *p, const struct child_link *c, int64_t now_us)
{
	if (c->state != CHILD_READY || c->is_leaving || c->is_recalled)
		return false;
	if (!c->pipe.n)
		return true;
	return c->pipe.n < AHEAD_MAX && (int64_t)c->pipe.n * p->call_us < AHEAD_US &&
	       now_us - c->head_since_us < AHEAD_US &&
	       c->process.out.len - c->process.out_at < UNSENT_MAX;
}

static struct child_link *least_busy(struct pool *p, int64_t now_us)
{
	struct child_link *best = NULL;

	for (size_t i = 0; i < p->max_children; i++) {
		struct child_link *c = &p->children[i];

		if (may_take(p, c, now_us) && (!best || c->pipe.n < best->pipe.n))
			best = c;
	}
	return best;
}

static void give_out(struct pool *p)
{
	int64_t now_us = clock_mono_us();
	struct child_link *c;

	for (c = p->children; c < p->children + p->max_children; c++)
		while (c->mine.n && may_take(p, c, now_us))
			child_link_give(p, c, task_list_take(&c->mine));
	while (p->ready.n && (c = least_busy(p, now_us)))
		child_link_give(p, c, task_list_take(&p->ready));
}

static void send_given(struct pool *p)
{
	for (size_t i = 0; i < p->max_children; i++)
		if (p->children[i].process.out.len)
			process_send(&p->children[i].process);
}

/* --- time --- */

/* A further turn goes to the process of the one before, as long as it is there. */
static struct task_list *line_for(struct pool *p, const struct task *t)
{
	for (size_t i = 0; i < p->max_children; i++) {
		struct child_link *c = &p->children[i];

		if (c->state == CHILD_READY && c->pid == (pid_t)t->home && !c->is_recalled &&
			!c->is_leaving)
			return &c->mine;
	}
	return &p->ready;
}

static void take_due(struct pool *p, int64_t now_ms)
{
	while (later_next_ms(&p->later) <= now_ms) {
		struct task *t = later_take(&p->later);

		if (later_goes_on(&p->later, t, now_ms)) {
			task_list_add(line_for(p, t), t);
			continue;
		}
		later_time_out(&p->later, t);
		task_list_add(&p->finished, t);
	}
}

static int64_t deadline_of(const struct pool *p, const struct child_link *c)
{
	if (c->kill_ms != INT64_MAX)
		return c->kill_ms;
	if (c->state == CHILD_STARTING)
		return c->started_ms + START_MS;
	return c->state == CHILD_READY && c->pipe.n ? later_deadline_ms(&p->later, c->pipe.first)
						    : INT64_MAX;
}

static void end_overdue(struct pool *p, int64_t now_ms)
{
	for (size_t i = 0; i < p->max_children; i++) {
		struct child_link *c = &p->children[i];

		if (c->state == CHILD_NONE || deadline_of(p, c) > now_ms)
			continue;
		if (c->state == CHILD_STARTING && !c->last_words[0])
			snprintf(c->last_words, sizeof c->last_words,
				"it was not ready within %d ms", START_MS);
		if (c->kill_ms == INT64_MAX)
			c->is_timed_out = c->state == CHILD_READY;
		child_link_end(c, c->kill_ms == INT64_MAX);
	}
}

/* Its call takes longer than expected: nobody shall wait behind it who could be elsewhere. */
static int64_t recall_ms(const struct pool *p, const struct child_link *c)
{
	return c->state == CHILD_READY && c->pipe.n > 1 && p->max_children > 1 && !c->is_recalled
		       ? c->head_since_us / 1000 + RECALL_MS
		       : INT64_MAX;
}

static void recall_slow(struct pool *p, int64_t now_ms)
{
	for (size_t i = 0; i < p->max_children; i++)
		if (recall_ms(p, &p->children[i]) <= now_ms)
			child_link_recall(p, &p->children[i]);
}

static int64_t next_ms(const struct pool *p)
{
	int64_t next = later_next_ms(&p->later);

	if (p->max_children - count(p, CHILD_NONE) < p->n_wanted && !count(p, CHILD_STARTING) &&
		p->next_start_ms < next)
		next = p->next_start_ms;
	for (size_t i = 0; i < p->max_children; i++) {
		int64_t at = deadline_of(p, &p->children[i]);
		int64_t recall = recall_ms(p, &p->children[i]);

		at = recall < at ? recall : at;
		if (p->children[i].state != CHILD_NONE && at < next)
			next = at;
	}
	return next;
}

/* --- the supervisor --- */

static void deliver(struct pool *p)
{
	struct task *first = p->finished.first;

	p->finished = (struct task_list){0};
	if (first)
		p->on_verdicts(p->arg, first);
}

static void show(struct pool *p)
{
	size_t n_running = 0, n_given = 0;

	for (size_t i = 0; i < p->max_children; i++) {
		n_running += p->children[i].pipe.n > 0;
		n_given += p->children[i].pipe.n + p->children[i].mine.n;
	}
	pthread_mutex_lock(&p->lock);
	p->counts = (struct pool_counts){.threads = p->max_children - count(p, CHILD_NONE),
		.running = n_running,
		.waiting = p->ready.n + n_given - n_running,
		.later = p->later.n};
	p->health.children = count(p, CHILD_READY);
	p->health.starting = count(p, CHILD_STARTING);
	if (p->health.children)
		p->health.trouble[0] = '\0';
	pthread_mutex_unlock(&p->lock);
}

static void wait_for_something(struct pool *p, struct pollfd *fds)
{
	int64_t until_ms = next_ms(p), now_ms = clock_mono_ms();
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
	if (!fds[0].revents || !process_reap(&c->process, &c->autopsy.status))
		return;
	bury(p, c);
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
	take_due(p, now_ms);
	end_overdue(p, now_ms);
	recall_slow(p, now_ms);
	deliver(p);
	if (!atomic_load(&p->is_stopping)) {
		give_out(p);
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
		if (c->process.fd >= 0)
			close(c->process.fd);
		c->process.fd = -1;
		c->state = CHILD_ENDING;
		c->kill_ms = clock_mono_ms() + GOODBYE_MS;
	}
	while (count(p, CHILD_NONE) < p->max_children)
		round_of(p, fds);
}

static void *supervise(void *arg)
{
	struct pool *p = arg;
	struct pollfd *fds = p->fds;
	char name[16];

	snprintf(name, sizeof name, "stage-%s", name_of(p));
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
	struct pool *p, int64_t order_seq, uint32_t attempt, bool undo, int64_t now_ms)
{
	(void)order_seq, (void)attempt, (void)undo;
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
