/* A task: one attempt of one stage's run or undo for one order, on its way out to a worker and, with the
 * verdict filled in, on its way back. Self-contained: a worker needs nothing else. */
#pragma once

#include "base/json.h"
#include "base/queue.h"
#include "model/event.h"
#include "model/pipeline.h"

/* How far an attempt is. */
enum task_mark {
	TASK_MARK_FREE,
	TASK_MARK_OUT,	   /* handed out, not started */
	TASK_MARK_RUNNING, /* in the stage's code */
	TASK_MARK_LATER,   /* started, waiting by SL_LATER */
	TASK_MARK_BEGUN, /* may have started: before a stop in good order, or where no mark is set */
	TASK_MARK_AGAIN, /* handed out once more after that */
};

enum verdict {
	VERDICT_DONE,
	VERDICT_FAIL,
	VERDICT_RETRY,
	VERDICT_LATER, /* stays with the worker; never reaches the sequencer */
	VERDICT_WAIT,
	VERDICT_TIMEOUT, /* by the host */
	VERDICT_CRASH,	 /* by the host */
	VERDICT_KINDS
};

const char *verdict_word(enum verdict v);

enum {
	TASK_RESULT_MAX = 64 * 1024,
	TASK_MESSAGE_MAX = 1024,
	TASK_EFFECTS_MAX = 256,
	TASK_VERDICT_BYTES_MAX = 512 * 1024, /* whatever was handed in for it, together */
	TASK_KEY_MAX = 256,
	TASK_JSON_DEPTH = JSON_DEPTH_MAX - 8, /* results are nested once more in what shows them */
};

#define TASK_DELTA_MAX ((int64_t)1 << 53) /* numbers of the state are JSON */

#define TASK_NOT_IN_HEAP SIZE_MAX

struct task {
	struct queue_node node; /* owned by whichever queue it is in */
	const struct pipeline *pipeline;
	size_t stage; /* index in the pipeline */
	struct id order_id;
	int64_t order_seq;
	uint32_t attempt;
	bool undo;
	bool is_only_awaited; /* who has had it since before the last start answers; it is not sent again */
	uint8_t moves; /* [sequencer] of the order when it was made: its stages have that generation's numbers */
	const char *order;   /* JSON object */
	const char *results; /* JSON object: name → result */
	const char *signal;  /* JSON: the answer from outside it waited for; may be NULL */
	/* Where the pool says how far the attempt is, in memory that outlives the process; may be NULL. */
	_Atomic unsigned char *mark;
	unsigned char idle_mark; /* what that says as long as no code of it has run here */
	bool was_out;		 /* engine: this verdict ended an attempt that was out */
	uint32_t probe;		 /* engine: gate_probe() when that went out */
	uint8_t outcome;    /* engine: enum event_kind of what the verdict became; 0: nothing */
	uint32_t turn;	    /* SL_LATER answers so far */
	int32_t home;	    /* pool of processes: the one that ran the turns before; 0: none */
	int64_t due_ms;	    /* monotonic: when a LATER task goes on */
	int64_t started_us; /* monotonic: first call of this attempt */
	int64_t as_of_us;   /* of a confined stage: what the wall clock said then; else 0 */
	uint64_t ticket;    /* pool: names it to whoever wakes it; 0: none */
	size_t heap_at;	    /* pool: where it is in the heap; TASK_NOT_IN_HEAP */
	bool is_ticketed;   /* the plugin has asked for its ticket */
	bool is_woken;	    /* pool: since its last call began */
	void *carrier;	    /* bus: what it, or its verdict, came in; NULL: nothing */

	/* the verdict */
	enum verdict verdict;
	const char *message;  /* may be NULL */
	const char *shortage; /* the message when an effect would go below its floor; may be NULL */
	const char *result;   /* JSON object, may be NULL */
	int64_t delay_ms;     /* -1: none asked for */
	int64_t duration_us;  /* from the first call to the verdict; -1: unknown */
	struct arena arena;   /* owns all that the verdict points to */
	struct effect *effects; /* array of n_effects in the arena */
	size_t n_effects;
};

/* One block of memory with the question copied into it and room for a verdict of usual size, so that no thread
 * frees what another allocated. `signal` may be absent. NULL: no memory. */
struct task *task_new(struct str order, struct str results, struct str signal);
void task_free(struct task *t);
/* Forgets the verdict. */
void task_clear_verdict(struct task *t);
/* Whether both are the same attempt of the same order: at which stage is known elsewhere. */
bool task_is_same_attempt(const struct task *a, const struct task *b);
/* Says how far the attempt is. */
void task_set_mark(struct task *t, enum task_mark mark);
/* It has not begun, as far as this process knows. */
void task_unmark(struct task *t);
/* A copy of the text for the verdict, NULL without memory. */
const char *task_keep(struct task *t, struct str text);
/* Whether an effect may name a key so: UTF-8 without control characters. */
bool task_key_is_valid(const char *key);
/* "ORDER-ID:STAGE:run" or ":undo": the same for every attempt. */
void task_idempotency_key(const struct task *t, char *out, size_t size);
