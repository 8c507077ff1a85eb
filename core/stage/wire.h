/* What the daemon and a stage's process say to each other over their socket.
 *
 * A frame: length of the body 4 · type 2 · version 2, then the body. Numbers of the head are in the machine's byte
 * order, since both ends are the same binary on the same machine; those of the body are packed (base/pack.h), and so
 * are texts. Frames are at most WIRE_TASK_MAX bytes long to the process, WIRE_ANSWER_MAX to the daemon.
 *
 *   to the process
 *   START   once, first: stage 4 · log level 4 · process id of the daemon 4 · sanitizer 4 · confined 4 · path and
 *           name of the plugin, text of the pipeline: 3 texts
 *   TASK    number 8 · ticket 8 · began 8 (microseconds, monotonic; 0: begins now) · wall clock of a
 *           confined stage 8 · a packed task (model/task_pack.h)
 *
 *   to the daemon
 *   MODULES the mapped objects, when they are others than before: number 4, then of each: bias 8 · start 8 ·
 *           end 8 · path: 1 text
 *   READY   once: what the kernel lacks for the sandbox: 1 text
 *   LEAVE   why it ends itself, having begun no other task: 1 text. Instead of READY: why it cannot start
 *   ANSWER  to the oldest task without one: its number 8 · whether its ticket was asked for 4 · a packed verdict
 *   WAKE    what the task of this ticket waits for has happened: ticket 8
 *   LOG     level 4 · 1 text
 *   CRASH   why it ends: signal 4 (0: exit) · code 4 · address 8 · system call 4 · in a call 4 · bytes of memory 8
 *   TRACE   after CRASH: addresses, the innermost first: 8 each, up to the end of the body
 *
 * Tasks are worked on one after the other, in their order; answers come in that order. Whatever does not fit this
 * makes the daemon kill the process. The other way round the process ends itself. */
#pragma once

#include "base/buf.h"
#include "model/task_pack.h"

enum {
	WIRE_VERSION = 3,
	WIRE_HEAD = 8,
	WIRE_TASK_MAX = 16 << 20,
	WIRE_ANSWER_MAX = 2 << 20,
	WIRE_MODULES_MAX = 256,
	WIRE_TRACE_MAX = 48,
};

enum wire_type {
	WIRE_START = 1,
	WIRE_TASK,
	WIRE_MODULES,
	WIRE_READY,
	WIRE_LEAVE,
	WIRE_ANSWER,
	WIRE_LOG,
	WIRE_CRASH,
	WIRE_TRACE,
	WIRE_WAKE,
};

struct wire_frame {
	enum wire_type type;
	struct str body; /* borrowed from what it was taken of */
};

/* Takes one frame from the front of `in`: 1; 0: it is not complete yet; -EPROTO: it is none. */
int wire_take(struct str *in, size_t max, struct wire_frame *ret);

struct wire_start {
	uint32_t stage, log_level, parent, is_sanitized, is_confined;
	const char *path, *name;
	struct str pipeline;
};

struct wire_module {
	uint64_t bias, start, end; /* bias: what was added to the addresses in its file */
	const char *path;
};

struct wire_crash {
	uint32_t signal; /* 0: it called exit() */
	int32_t code;
	uint64_t address;
	int32_t system_call;
	uint32_t is_in_call; /* of run or undo */
	uint64_t memory;
};

struct wire_answer {
	uint64_t number;
	bool is_ticketed;
	struct task_answer said; /* verdict up to VERDICT_WAIT */
};

/* Each adds one frame; a failure stays in the buffer. */
void wire_put_start(struct buf *out, const struct wire_start *s);
void wire_put_task(struct buf *out, uint64_t number, const struct task *t);
void wire_put_modules(struct buf *out, const struct wire_module *modules, size_t n);
void wire_put_text(struct buf *out, enum wire_type type, const char *text); /* READY, LEAVE */
void wire_put_log(struct buf *out, uint32_t level, const char *text);
void wire_put_wake(struct buf *out, uint64_t ticket);
void wire_put_answer(struct buf *out, uint64_t number, const struct task *t);
/* The head of a frame, for who may not allocate. */
void wire_head(char out[WIRE_HEAD], enum wire_type type, uint32_t length);

/* Each reads one body, all of it: 0 or -EPROTO. Texts are borrowed from the body. */
int wire_get_start(struct str body, struct wire_start *ret);
/* Returns owned; -ENOMEM. The task's pipeline and stage are the caller's to set. */
int wire_get_task(struct str body, uint64_t *ret_number, struct task **ret);
/* `modules` holds WIRE_MODULES_MAX. */
int wire_get_modules(struct str body, struct wire_module *modules, size_t *ret_n);
int wire_get_text(struct str body, const char **ret);
int wire_get_log(struct str body, uint32_t *ret_level, const char **ret);
int wire_get_wake(struct str body, uint64_t *ret_ticket);
int wire_get_answer(struct str body, struct wire_answer *ret);
int wire_get_crash(struct str body, struct wire_crash *ret);
/* `trace` holds WIRE_TRACE_MAX. */
int wire_get_trace(struct str body, uint64_t *trace, size_t *ret_n);
