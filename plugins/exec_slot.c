/* One place for a program of an exec stage: who breaks the agreement is killed, who dies is started again. */
#include "exec_slot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 10 * 1000 };
enum { CLOSED_OUT_MS = 1000, LOG_LINES_PER_SECOND = 100, SHOWN_MAX = 120 };

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

static void finish_slot(struct exec_slot *s)
{
	struct exec_call *call = s->call;

	s->call = NULL;
	s->crew->on_finished(s->crew, call);
}

void exec_crew_log(struct exec_crew *crew, int32_t level, const char *words)
{
	struct text line = {0};

	text_fmt(&line, "'%s' %s", crew->options.program.shown, words);
	if (line.p)
		crew->options.host->log(crew->options.host, level, line.p);
	text_fini(&line);
}

/* --- what a program says --- */

/* It broke the agreement: nothing it says can be trusted to belong to a question any more. */
static void kill_slot(struct exec_slot *s, const char *why)
{
	struct text words = {0};

	text_fmt(&words, "%s; it was killed", why);
	if (s->call) {
		text_fmt(&s->call->trouble, "'%s' %s", s->crew->options.program.shown,
			words.p ? words.p : why);
		finish_slot(s);
	} else if (!s->is_killed) {
		exec_crew_log(s->crew, 1, words.p ? words.p : why);
	}
	text_fini(&words);
	s->is_killed = true;
	s->kill_at_ms = 0;
	exec_process_signal(&s->process, SIGKILL);
}

static void refuse_line(struct exec_slot *s, const char *what, const char *line, size_t n)
{
	struct text why = {0};

	text_fmt(&why, "%s: ", what);
	text_line(&why, line, n, SHOWN_MAX);
	kill_slot(s, why.p ? why.p : what);
	text_fini(&why);
}

static void kill_long_line(struct exec_slot *s)
{
	char why[96];

	snprintf(why, sizeof why, "wrote a line of more than %zu bytes to its stdout",
		s->crew->options.program.line_max);
	kill_slot(s, why);
}

static void on_answer(void *arg, char *line, size_t n)
{
	struct exec_slot *s = arg;
	cJSON *answer;

	if (s->is_killed)
		return;
	if (n > s->crew->options.program.line_max) {
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

void exec_crew_count_left_out(struct exec_crew *crew, int64_t now_ms)
{
	char words[64];

	if (now_ms - crew->log.since_ms < 1000)
		return;
	if (crew->log.n_left_out) {
		snprintf(words, sizeof words, "wrote %zu more lines to its stderr",
			crew->log.n_left_out);
		exec_crew_log(crew, 1, words);
	}
	crew->log.since_ms = now_ms;
	crew->log.n = crew->log.n_left_out = 0;
}

static void on_error_line(void *arg, char *line, size_t n)
{
	struct exec_slot *s = arg;
	struct text clean = {0};

	text_line(&clean, line, n, EXEC_ERROR_LINE_MAX);
	if (clean.n) {
		exec_process_keep_last(&s->process, clean.p);
		exec_crew_count_left_out(s->crew, exec_now_ms());
		if (s->crew->log.n++ < LOG_LINES_PER_SECOND)
			s->crew->options.host->log(s->crew->options.host, 2, clean.p);
		else
			s->crew->log.n_left_out++;
	}
	text_fini(&clean);
}

static void read_out(struct exec_slot *s)
{
	size_t max = s->crew->options.program.line_max;
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

static void read_err(struct exec_slot *s)
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

static void back_off(struct exec_slot *s)
{
	int64_t ms = s->backoff_ms;

	s->start_at_ms = exec_now_ms() + ms;
	ms = ms ? ms * 2 : BACKOFF_FIRST_MS;
	s->backoff_ms = ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void keep_why(struct exec_crew *crew, const char *words)
{
	snprintf(crew->why, sizeof crew->why, ": it %s", words);
}

bool exec_slot_start(struct exec_slot *s)
{
	char words[160];
	int r = exec_process_start(&s->process, &s->crew->options.program);

	s->is_killed = false;
	s->kill_at_ms = 0;
	if (r == 0)
		return true;
	if (!s->backoff_ms)
		s->backoff_ms = BACKOFF_FIRST_MS;
	back_off(s);
	snprintf(words, sizeof words, "could not start: %s", strerror(-r));
	keep_why(s->crew, words);
	exec_crew_log(s->crew, 1, words);
	return false;
}

/* Whatever it ended of, it was not this question. */
static void give_back(struct exec_slot *s)
{
	struct exec_call *call = s->call;

	s->call = NULL;
	call->line = s->process.request;
	s->process.request = (struct text){0};
	s->crew->on_unread(s->crew, call);
}

/* What it said before its end still counts. */
static void bury(struct exec_slot *s)
{
	struct text how = {0};

	read_out(s);
	read_err(s);
	if (s->process.err_line.n)
		on_error_line(s, s->process.err_line.p, s->process.err_line.n);
	if (s->call && !s->is_killed && !exec_process_has_read(&s->process))
		give_back(s);
	exec_process_reap(&s->process, &how);
	if (s->call) {
		text_fmt(&s->call->trouble, "'%s' %s", s->crew->options.program.shown,
			how.p ? how.p : "ended");
		finish_slot(s);
	} else if (!s->is_killed) {
		exec_crew_log(s->crew, 1, how.p ? how.p : "ended");
	}
	keep_why(s->crew, how.p ? how.p : "ended");
	text_fini(&how);
	back_off(s);
}

void exec_slot_ask(struct exec_slot *s, struct exec_call *call)
{
	s->call = call;
	s->crew->why[0] = '\0';
	text_fini(&s->process.request);
	s->process.request = call->line;
	call->line = (struct text){0};
	s->process.n_written = 0;
	exec_process_write(&s->process);
}

void exec_slot_look_after(struct exec_slot *s, const struct pollfd fds[EXEC_POLLED])
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
			(long long)s->crew->options.timeout_ms);
		kill_slot(s, why);
	} else if (s->kill_at_ms && s->kill_at_ms <= now_ms) {
		kill_slot(s, "closed its stdout");
	}
}
