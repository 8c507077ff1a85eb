/* The programs of one exec stage.
 *
 * Under the lock: the calls by ticket, and the line of those that no program has yet. Everything else belongs to the
 * thread of the loop. */
#include "exec_loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { POLL_MAX_MS = 60 * 1000 };

struct exec_loop {
	struct exec_crew crew; /* first: on_finished() finds the loop by it */
	pthread_t thread;
	int wake_fd;
	pthread_mutex_t lock;
	bool is_stopping;
	struct pending pending;
	struct exec_call *first, *last; /* the line */
	struct pollfd *fds;
	struct exec_slot slots[];
};

/* The call may be taken and freed as soon as the lock is given back. */
static void finish(struct exec_loop *loop, struct exec_call *call)
{
	const struct sl_host *host = loop->crew.options.host;
	uint64_t ticket = call->pending.ticket;
	struct exec_call *dropped;

	pthread_mutex_lock(&loop->lock);
	call->is_finished = true;
	pthread_mutex_unlock(&loop->lock);
	if (host->wake(host, ticket) == 0)
		return;
	pthread_mutex_lock(&loop->lock);
	dropped = (struct exec_call *)pending_take(&loop->pending, ticket);
	pthread_mutex_unlock(&loop->lock);
	exec_call_free(dropped);
}

/* --- who gets which question --- */

static void on_finished(struct exec_crew *crew, struct exec_call *call)
{
	finish((struct exec_loop *)crew, call);
}

/* It keeps its time: whoever cannot be asked at all is found out by it. */
static void on_unread(struct exec_crew *crew, struct exec_call *call)
{
	struct exec_loop *loop = (struct exec_loop *)crew;

	pthread_mutex_lock(&loop->lock);
	call->next = loop->first;
	loop->first = call;
	if (!loop->last)
		loop->last = call;
	pthread_mutex_unlock(&loop->lock);
}

/* A slot that can be asked now: one that waits for a question, else one that is started for it. */
static struct exec_slot *find_free(struct exec_loop *loop)
{
	int64_t now_ms = exec_now_ms();

	for (size_t i = 0; i < loop->crew.options.n_processes; i++) {
		struct exec_slot *s = &loop->slots[i];

		if (s->process.pid && !s->call && !s->is_killed && !s->kill_at_ms)
			return s;
	}
	for (size_t i = 0; i < loop->crew.options.n_processes; i++) {
		struct exec_slot *s = &loop->slots[i];

		if (!s->process.pid && s->start_at_ms <= now_ms && exec_slot_start(s))
			return s;
	}
	return NULL;
}

static struct exec_call *first_in_line(struct exec_loop *loop)
{
	struct exec_call *call;

	pthread_mutex_lock(&loop->lock);
	call = loop->first;
	pthread_mutex_unlock(&loop->lock);
	return call;
}

static void leave_line(struct exec_loop *loop)
{
	struct exec_call *call;

	pthread_mutex_lock(&loop->lock);
	call = loop->first;
	loop->first = call->next;
	call->next = NULL;
	if (!loop->first)
		loop->last = NULL;
	pthread_mutex_unlock(&loop->lock);
}

static void hand_out(struct exec_loop *loop)
{
	struct exec_call *call;
	struct exec_slot *s;

	while ((call = first_in_line(loop))) {
		if (call->deadline_ms <= exec_now_ms()) {
			leave_line(loop);
			text_fmt(&call->trouble, "'%s' could not be asked within %lld ms%s",
				loop->crew.options.program.shown,
				(long long)loop->crew.options.timeout_ms, loop->crew.why);
			finish(loop, call);
			continue;
		}
		s = find_free(loop);
		if (!s)
			return;
		leave_line(loop);
		exec_slot_ask(s, call);
	}
}

/* --- the thread --- */

static void earlier(int64_t *at_ms, int64_t candidate_ms)
{
	if (candidate_ms < *at_ms)
		*at_ms = candidate_ms;
}

static int idle_ms(struct exec_loop *loop)
{
	const struct exec_call *waits = first_in_line(loop);
	int64_t now_ms = exec_now_ms(), at_ms = now_ms + POLL_MAX_MS;

	if (waits)
		earlier(&at_ms, waits->deadline_ms);
	if (loop->crew.log.n_left_out)
		earlier(&at_ms, loop->crew.log.since_ms + 1000);
	for (size_t i = 0; i < loop->crew.options.n_processes; i++) {
		const struct exec_slot *s = &loop->slots[i];

		if (s->call)
			earlier(&at_ms, s->call->deadline_ms);
		if (s->process.pid && s->kill_at_ms)
			earlier(&at_ms, s->kill_at_ms);
		if (waits && !s->process.pid)
			earlier(&at_ms, s->start_at_ms);
	}
	return at_ms > now_ms ? (int)(at_ms - now_ms) : 0;
}

static void wait_for_news(struct exec_loop *loop)
{
	size_t n = 0;

	loop->fds[n++] = (struct pollfd){.fd = loop->wake_fd, .events = POLLIN};
	for (size_t i = 0; i < loop->crew.options.n_processes; i++) {
		const struct exec_process *p = &loop->slots[i].process;
		bool is_writing = p->pid && p->n_written < p->request.n;

		loop->fds[n++] = (struct pollfd){.fd = p->pid ? p->pidfd : -1, .events = POLLIN};
		loop->fds[n++] = (struct pollfd){.fd = p->pid ? p->out : -1, .events = POLLIN};
		loop->fds[n++] = (struct pollfd){.fd = p->pid ? p->err : -1, .events = POLLIN};
		loop->fds[n++] = (struct pollfd){.fd = is_writing ? p->in : -1, .events = POLLOUT};
	}
	poll(loop->fds, n, idle_ms(loop));
}

static void look_after_all(struct exec_loop *loop)
{
	uint64_t n;

	if (loop->fds[0].revents && read(loop->wake_fd, &n, sizeof n) < 0 && errno != EAGAIN)
		exec_crew_log(&loop->crew, 1, "cannot be woken");
	for (size_t i = 0; i < loop->crew.options.n_processes; i++)
		exec_slot_look_after(&loop->slots[i], &loop->fds[1 + i * EXEC_POLLED]);
	exec_crew_count_left_out(&loop->crew, exec_now_ms());
}

static bool is_stopping(struct exec_loop *loop)
{
	bool stops;

	pthread_mutex_lock(&loop->lock);
	stops = loop->is_stopping;
	pthread_mutex_unlock(&loop->lock);
	return stops;
}

static bool is_any_running(const struct exec_loop *loop)
{
	for (size_t i = 0; i < loop->crew.options.n_processes; i++)
		if (loop->slots[i].process.pid)
			return true;
	return false;
}

static void end_all(struct exec_loop *loop)
{
	int64_t until_ms = exec_now_ms() + loop->crew.options.grace_ms;

	while (first_in_line(loop))
		leave_line(loop);
	for (size_t i = 0; i < loop->crew.options.n_processes; i++) {
		struct exec_slot *s = &loop->slots[i];

		s->is_killed = true;
		s->call = NULL; /* destroy frees it */
		s->kill_at_ms = until_ms;
		exec_process_close_in(&s->process);
		exec_process_signal(&s->process, SIGTERM);
	}
	while (is_any_running(loop)) {
		wait_for_news(loop);
		look_after_all(loop);
	}
}

static void *loop_run(void *arg)
{
	struct exec_loop *loop = arg;

	pthread_setname_np(pthread_self(), "exec-programs");
	while (!is_stopping(loop)) {
		hand_out(loop);
		wait_for_news(loop);
		look_after_all(loop);
	}
	end_all(loop);
	return NULL;
}

/* Signals are for the threads of the daemon. */
static int start_thread(struct exec_loop *loop)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&loop->thread, NULL, loop_run, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void loop_free(struct exec_loop *loop)
{
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	free(loop->fds);
	free(loop);
}

int exec_loop_create(const struct exec_loop_options *options, struct exec_loop **ret)
{
	size_t n = options->n_processes;
	struct exec_loop *loop = calloc(1, sizeof *loop + n * sizeof loop->slots[0]);
	int r;

	if (!loop)
		return -ENOMEM;
	loop->crew.options = *options;
	loop->crew.on_finished = on_finished;
	loop->crew.on_unread = on_unread;
	pthread_mutex_init(&loop->lock, NULL);
	for (size_t i = 0; i < n; i++) {
		loop->slots[i].crew = &loop->crew;
		loop->slots[i].process =
			(struct exec_process){.pidfd = -1, .in = -1, .out = -1, .err = -1};
	}
	loop->fds = calloc(1 + n * EXEC_POLLED, sizeof *loop->fds);
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = !loop->fds ? -ENOMEM : loop->wake_fd < 0 ? -errno : start_thread(loop);
	if (r < 0) {
		loop_free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

static void wake(struct exec_loop *loop)
{
	uint64_t one = 1;

	while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

void exec_loop_destroy(struct exec_loop *loop)
{
	struct exec_call *call;

	if (!loop)
		return;
	pthread_mutex_lock(&loop->lock);
	loop->is_stopping = true;
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
	pthread_join(loop->thread, NULL);
	while ((call = (struct exec_call *)pending_take_any(&loop->pending)))
		exec_call_free(call);
	loop_free(loop);
}

void exec_loop_start(struct exec_loop *loop, struct exec_call *call)
{
	pthread_mutex_lock(&loop->lock);
	pending_add(&loop->pending, &call->pending);
	if (loop->last)
		loop->last->next = call;
	else
		loop->first = call;
	loop->last = call;
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
}

struct exec_call *exec_loop_take(struct exec_loop *loop, uint64_t ticket, bool *ret_is_under_way)
{
	struct exec_call *call;

	pthread_mutex_lock(&loop->lock);
	call = (struct exec_call *)*pending_find(&loop->pending, ticket);
	*ret_is_under_way = call != NULL;
	if (call && call->is_finished)
		pending_take(&loop->pending, ticket);
	else
		call = NULL;
	pthread_mutex_unlock(&loop->lock);
	return call;
}
