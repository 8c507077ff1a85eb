/* The programs of one exec stage.
 *
 * Under the lock: the calls by ticket, and the line of those that no program has yet. Everything else belongs to the
 * thread of the loop. */
#include "exec_loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

enum { POLL_MAX_MS = 60 * 1000, BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 10 * 1000 };
enum { CLOSED_OUT_MS = 1000, LOG_LINES_PER_SECOND = 100, POLLED = 4, SHOWN_MAX = 120 };

/* A place for one program. */
struct slot {
	struct exec_loop *loop;
	struct exec_process process;
	struct exec_call *call;
	bool is_killed;	     /* by us: its end is no news */
	int64_t start_at_ms; /* when it is down: not before */
	int64_t backoff_ms;  /* before the next start but one that follows an answer */
	int64_t kill_at_ms;  /* 0: not to be */
};

struct exec_loop {
	struct exec_loop_options options;
	pthread_t thread;
	int wake_fd;
	pthread_mutex_t lock;
	bool is_stopping;
	struct pending pending;
	struct exec_call *first, *last; /* the line */
	char why[512];			/* no program could be asked last; "": one could */
	struct {
		int64_t since_ms;
		size_t n, n_left_out;
	} log;
	struct pollfd *fds;
	struct slot slots[];
};

int64_t exec_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void exec_call_free(struct exec_call *call)
{
	if (!call)
		return;
	text_fini(&call->line);
	text_fini(&call->trouble);
	cJSON_Delete(call->answer);
	free(call);
}

/* The call may be taken and freed as soon as the lock is given back. */
static void finish(struct exec_loop *loop, struct exec_call *call)
{
	const struct sl_host *host = loop->options.host;
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

static void finish_slot(struct slot *s)
{
	struct exec_call *call = s->call;

	s->call = NULL;
	finish(s->loop, call);
}

static void log_line(struct exec_loop *loop, int32_t level, const char *words)
{
	struct text line = {0};

	text_fmt(&line, "'%s' %s", loop->options.program.shown, words);
	if (line.p)
		loop->options.host->log(loop->options.host, level, line.p);
	text_fini(&line);
}

/* --- what a program says --- */

/* It broke the agreement: nothing it says can be trusted to belong to a question any more. */
static void kill_slot(struct slot *s, const char *why)
{
	struct text words = {0};

	text_fmt(&words, "%s; it was killed", why);
	if (s->call) {
		text_fmt(&s->call->trouble, "'%s' %s", s->loop->options.program.shown,
			words.p ? words.p : why);
		finish_slot(s);
	} else if (!s->is_killed) {
		log_line(s->loop, 1, words.p ? words.p : why);
	}
	text_fini(&words);
	s->is_killed = true;
	s->kill_at_ms = 0;
	exec_process_signal(&s->process, SIGKILL);
}

static void refuse_line(struct slot *s, const char *what, const char *line, size_t n)
{
	struct text why = {0};

	text_fmt(&why, "%s: ", what);
	text_line(&why, line, n, SHOWN_MAX);
	kill_slot(s, why.p ? why.p : what);
	text_fini(&why);
}

static void kill_long_line(struct slot *s)
{
	char why[96];

	snprintf(why, sizeof why, "wrote a line of more than %zu bytes to its stdout",
		s->loop->options.program.line_max);
	kill_slot(s, why);
}

static void on_answer(void *arg, char *line, size_t n)
{
	struct slot *s = arg;
	cJSON *answer;

	if (s->is_killed)
		return;
	if (n > s->loop->options.program.line_max) {
		kill_long_line(s);
		return;
	}
	if (!s->call) {
		refuse_line(s, "wrote to its stdout without being asked", line, n);
		return;
	}
	answer = answer_parse(line, n);
	if (!cJSON_IsObject(answer)) {
		refuse_line(s, "answered with a line that is no JSON object", line, n);
	} else if (!answer_text(answer, "id") ||
		   strcmp(answer_text(answer, "id"), s->call->id) != 0) {
		refuse_line(s, "answered without the id of the question", line, n);
	} else {
		s->call->answer = answer;
		s->backoff_ms = 0;
		finish_slot(s);
		return;
	}
	cJSON_Delete(answer);
}

static void count_left_out(struct exec_loop *loop, int64_t now_ms)
{
	char words[64];

	if (now_ms - loop->log.since_ms < 1000)
		return;
	if (loop->log.n_left_out) {
		snprintf(words, sizeof words, "wrote %zu more lines to its stderr",
			loop->log.n_left_out);
		log_line(loop, 1, words);
	}
	loop->log.since_ms = now_ms;
	loop->log.n = loop->log.n_left_out = 0;
}

static void on_error_line(void *arg, char *line, size_t n)
{
	struct slot *s = arg;
	struct text clean = {0};

	text_line(&clean, line, n, EXEC_ERROR_LINE_MAX);
	if (clean.n) {
		exec_process_keep_last(&s->process, clean.p);
		count_left_out(s->loop, exec_now_ms());
		if (s->loop->log.n++ < LOG_LINES_PER_SECOND)
			s->loop->options.host->log(s->loop->options.host, 2, clean.p);
		else
			s->loop->log.n_left_out++;
	}
	text_fini(&clean);
}

static void read_out(struct slot *s)
{
	size_t max = s->loop->options.program.line_max;
	int r = s->process.out < 0 ? 0
				   : exec_process_read(s->process.out, &s->process.out_line, max,
					     on_answer, s);

	if (r == 0)
		return;
	if (r == -ENODATA) {
		close(s->process.out);
		s->process.out = -1;
		s->kill_at_ms = exec_now_ms() + CLOSED_OUT_MS; /* if it goes on living */
		return;
	}
	if (r == -EMSGSIZE)
		kill_long_line(s);
	else
		kill_slot(s, "wrote a line there was no memory for");
}

static void read_err(struct slot *s)
{
	struct text *line = &s->process.err_line;
	int r = s->process.err < 0 ? 0
				   : exec_process_read(s->process.err, line, EXEC_ERROR_LINE_MAX,
					     on_error_line, s);

	if (r == 0)
		return;
	if (line->n && line->p)
		on_error_line(s, line->p, line->n);
	line->n = 0;
	if (r == -EMSGSIZE)
		return;
	close(s->process.err);
	s->process.err = -1;
}

/* --- starting and ending --- */

static void back_off(struct slot *s)
{
	int64_t ms = s->backoff_ms;

	s->start_at_ms = exec_now_ms() + ms;
	ms = ms ? ms * 2 : BACKOFF_FIRST_MS;
	s->backoff_ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void keep_why(struct exec_loop *loop, const char *words)
{
	snprintf(loop->why, sizeof loop->why, ": it %s", words);
}

static bool start(struct slot *s)
{
	char words[160];
	int r = exec_process_start(&s->process, &s->loop->options.program);

	s->is_killed = false;
	s->kill_at_ms = 0;
	if (r == 0)
		return true;
	if (!s->backoff_ms)
		s->backoff_ms = BACKOFF_FIRST_MS;
	back_off(s);
	snprintf(words, sizeof words, "could not start: %s", strerror(-r));
	keep_why(s->loop, words);
	log_line(s->loop, 1, words);
	return false;
}

/* What it said before its end still counts. */
static void bury(struct slot *s)
{
	struct text how = {0};

	read_out(s);
	read_err(s);
	if (s->process.err_line.n)
		on_error_line(s, s->process.err_line.p, s->process.err_line.n);
	exec_process_reap(&s->process, &how);
	if (s->call) {
		text_fmt(&s->call->trouble, "'%s' %s", s->loop->options.program.shown,
			how.p ? how.p : "ended");
		finish_slot(s);
	} else if (!s->is_killed) {
		log_line(s->loop, 1, how.p ? how.p : "ended");
	}
	keep_why(s->loop, how.p ? how.p : "ended");
	text_fini(&how);
	back_off(s);
}

/* --- who gets which question --- */

static void ask(struct slot *s, struct exec_call *call)
{
	s->call = call;
	s->loop->why[0] = '\0';
	s->process.request = call->line;
	call->line = (struct text){0};
	s->process.n_written = 0;
	exec_process_write(&s->process);
}

/* A slot that can be asked now: one that waits for a question, else one that is started for it. */
static struct slot *find_free(struct exec_loop *loop)
{
	int64_t now_ms = exec_now_ms();

	for (size_t i = 0; i < loop->options.n_processes; i++) {
		struct slot *s = &loop->slots[i];

		if (s->process.pid && !s->call && !s->is_killed && !s->kill_at_ms)
			return s;
	}
	for (size_t i = 0; i < loop->options.n_processes; i++) {
		struct slot *s = &loop->slots[i];

		if (!s->process.pid && s->start_at_ms <= now_ms && start(s))
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
	pthread_mutex_lock(&loop->lock);
	loop->first = loop->first->next;
	if (!loop->first)
		loop->last = NULL;
	pthread_mutex_unlock(&loop->lock);
}

static void hand_out(struct exec_loop *loop)
{
	struct exec_call *call;
	struct slot *s;

	while ((call = first_in_line(loop))) {
		if (call->deadline_ms <= exec_now_ms()) {
			leave_line(loop);
			text_fmt(&call->trouble, "'%s' could not be asked within %lld ms%s",
				loop->options.program.shown, (long long)loop->options.timeout_ms,
				loop->why);
			finish(loop, call);
			continue;
		}
		s = find_free(loop);
		if (!s)
			return;
		leave_line(loop);
		ask(s, call);
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
	if (loop->log.n_left_out)
		earlier(&at_ms, loop->log.since_ms + 1000);
	for (size_t i = 0; i < loop->options.n_processes; i++) {
		const struct slot *s = &loop->slots[i];

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
	for (size_t i = 0; i < loop->options.n_processes; i++) {
		const struct exec_process *p = &loop->slots[i].process;
		bool is_writing = p->pid && p->request.n;

		loop->fds[n++] = (struct pollfd){.fd = p->pid ? p->pidfd : -1, .events = POLLIN};
		loop->fds[n++] = (struct pollfd){.fd = p->pid ? p->out : -1, .events = POLLIN};
		loop->fds[n++] = (struct pollfd){.fd = p->pid ? p->err : -1, .events = POLLIN};
		loop->fds[n++] = (struct pollfd){.fd = is_writing ? p->in : -1, .events = POLLOUT};
	}
	poll(loop->fds, n, idle_ms(loop));
}

static void look_after(struct slot *s, const struct pollfd fds[POLLED])
{
	int64_t now_ms = exec_now_ms();
	char why[64];

	if (!s->process.pid)
		return;
	if (fds[2].revents)
		read_err(s);
	if (fds[1].revents)
		read_out(s);
	if (fds[3].revents)
		exec_process_write(&s->process);
	if (fds[0].revents) {
		bury(s);
	} else if (s->call && s->call->deadline_ms <= now_ms) {
		snprintf(why, sizeof why, "did not answer within %lld ms",
			(long long)s->loop->options.timeout_ms);
		kill_slot(s, why);
	} else if (s->kill_at_ms && s->kill_at_ms <= now_ms) {
		kill_slot(s, "closed its stdout");
	}
}

static void look_after_all(struct exec_loop *loop)
{
	uint64_t n;

	if (loop->fds[0].revents && read(loop->wake_fd, &n, sizeof n) < 0 && errno != EAGAIN)
		log_line(loop, 1, "cannot be woken");
	for (size_t i = 0; i < loop->options.n_processes; i++)
		look_after(&loop->slots[i], &loop->fds[1 + i * POLLED]);
	count_left_out(loop, exec_now_ms());
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
	for (size_t i = 0; i < loop->options.n_processes; i++)
		if (loop->slots[i].process.pid)
			return true;
	return false;
}

static void end_all(struct exec_loop *loop)
{
	int64_t until_ms = exec_now_ms() + loop->options.grace_ms;

	while (first_in_line(loop))
		leave_line(loop);
	for (size_t i = 0; i < loop->options.n_processes; i++) {
		struct slot *s = &loop->slots[i];

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
	loop->options = *options;
	pthread_mutex_init(&loop->lock, NULL);
	for (size_t i = 0; i < n; i++) {
		loop->slots[i].loop = loop;
		loop->slots[i].process =
			(struct exec_process){.pidfd = -1, .in = -1, .out = -1, .err = -1};
	}
	loop->fds = calloc(1 + n * POLLED, sizeof *loop->fds);
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
