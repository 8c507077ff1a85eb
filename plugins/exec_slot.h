/* One place for a program of an exec stage. Everything here belongs to one thread. */
#pragma once

#include <cjson/cJSON.h>
#include <poll.h>

#include "exec_process.h"
#include "pending.h"
#include "stageline/stage.h"

/* A question and what came of it: an answer, or the reason why there is none. */
struct exec_call {
	struct pending_call pending;
	struct exec_call *next; /* loop: in the line */
	char id[24];
	struct text line; /* with its newline */
	int64_t deadline_ms;
	bool is_finished;
	cJSON *answer;	     /* an object with that id */
	struct text trouble; /* for people */
};

struct exec_loop_options {
	const struct sl_host *host;
	struct exec_program program;
	size_t n_processes;
	int64_t timeout_ms, grace_ms;
};

void exec_call_free(struct exec_call *call);
/* Monotonic. */
int64_t exec_now_ms(void);

/* What the places of one stage have in common. */
struct exec_crew {
	struct exec_loop_options options;
	void (*on_finished)(struct exec_crew *crew, struct exec_call *call); /* takes the call */
	/* The program ended before it looked at the question. Takes the call. */
	void (*on_unread)(struct exec_crew *crew, struct exec_call *call);
	char why[512]; /* no program could be asked last; "": one could */
	struct {
		int64_t since_ms;
		size_t n, n_left_out;
	} log;
};

/* "'PROGRAM' WORDS" to the log. */
void exec_crew_log(struct exec_crew *crew, int32_t level, const char *words);
/* Says once a second how much of stderr did not go to the log. */
void exec_crew_count_left_out(struct exec_crew *crew, int64_t now_ms);

struct exec_slot {
	struct exec_crew *crew;
	struct exec_process process;
	struct exec_call *call;
	bool is_killed;	     /* by us: its end is no news */
	int64_t start_at_ms; /* when it is down: not before */
	int64_t backoff_ms;  /* before the next start but one that follows an answer */
	int64_t kill_at_ms;  /* 0: not to be */
};

enum { EXEC_POLLED = 4 }; /* its pidfd, out, err and in */

/* False and a line to the log when it cannot be. */
bool exec_slot_start(struct exec_slot *s);
/* Hands the question to its program, which has none. Borrows the call until on_finished. */
void exec_slot_ask(struct exec_slot *s, struct exec_call *call);
/* What poll() saw of it, and what its time has come for. */
void exec_slot_look_after(struct exec_slot *s, const struct pollfd fds[EXEC_POLLED]);
