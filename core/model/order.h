/* An order: what a fold of its events gives. `apply` is the only thing that changes one. */
#pragma once

#include "model/event.h"
#include "model/pipeline.h"

enum order_phase {
	ORDER_RUNNING,
	ORDER_COMPENSATING,
	ORDER_COMPLETED,
	ORDER_FAILED,
	ORDER_CANCELLED,
};

enum stage_status {
	STAGE_IDLE,
	STAGE_QUEUED, /* may be out with a worker; with `undo`: its undo is queued */
	STAGE_RETRYING,
	STAGE_WAITING,
	STAGE_HELD,
	STAGE_DONE,
	STAGE_SKIPPED,
	STAGE_FAILED,
	STAGE_UNDONE,
	STAGE_STATUSES
};

struct stage_state {
	uint8_t status;	  /* enum stage_status */
	bool undo;	  /* what is queued, retrying or held is the undo */
	bool unsure;	  /* an attempt ended without an answer: it may have happened */
	bool suspect;	  /* its code ran when a process died: tried alone first */
	bool is_lost;	  /* queued by what a recovery counted: not out without a mark on disk */
	uint32_t attempt; /* the current one, from 1; 0 before the first */
	uint32_t n_used;  /* attempts that count against the policy */
	uint32_t probe;	  /* live only, not folded: the breaker's opening that it probes; 0: none */
	uint32_t
		begun; /* likewise: the attempt that is not out, but may have begun before; 0: none */
	int64_t due_us;	  /* STAGE_RETRYING, STAGE_WAITING */
	int64_t since_us; /* likewise: when that was decided, by the same clock */
	int64_t done_seq; /* event that made it done: the order of undoing */
	char *error;	  /* last error, owned; may be NULL */
	char *result;	  /* JSON object, owned; may be NULL */
	char *signal;	  /* body of the answer it waited for, owned; may be NULL */
	bool signal_undo; /* `signal` came to the undo */
	char *signal_key; /* the Idempotency-Key it came with, owned; may be NULL */
};

/* Its current attempt is that of `begun`. */
static inline bool stage_has_begun(const struct stage_state *s)
{
	return s->begun && s->begun == s->attempt && !s->undo &&
	       (s->status == STAGE_QUEUED || s->status == STAGE_RETRYING);
}

struct order {
	struct id id;
	int64_t seq; /* of its order_created */
	int64_t last_seq;
	const struct pipeline *pipeline; /* borrowed from a pipeline_set */
	enum order_phase phase;
	bool is_cancelling; /* compensation ends in cancelled, not in failed */
	int64_t created_us, updated_us;
	int64_t completed_us; /* 0 until terminal */
	char *body;	      /* as placed: JSON object, owned */
	char *error;	      /* why it failed, owned; may be NULL */
	const char *
		removed; /* what became of what its events said: "erased", "archived"; NULL: it is there */
	int64_t removed_us; /* when; 0: not yet, as far as this order is folded */
	char *archive;	    /* ORDER_ARCHIVED: where it is, JSON object, owned; else NULL */
	uint8_t n_moves;    /* from generation to generation; wraps */
	uint64_t out;	    /* live only, not folded: stages with an attempt out with a worker */
	struct stage_state stages[]; /* pipeline->n_stages */
};

/* An empty order of that pipeline, ready for its order_created. Returns owned; NULL: no memory. */
struct order *order_new(const struct pipeline *p);
void order_free(struct order *o);

static inline void order_freep(struct order **o)
{
	order_free(*o);
}

static inline bool order_is_terminal(const struct order *o)
{
	return o->phase >= ORDER_COMPLETED;
}

bool order_is_on_hold(const struct order *o);

/* Stages whose current run may be happening, or have happened, without a word of it: it is out, or had begun before
 * the last start. */
uint64_t order_unknown(const struct order *o);

/* Neither on hold nor terminal: under way by itself. */
static inline bool order_is_moving(const struct order *o)
{
	return !order_is_terminal(o) && !order_is_on_hold(o);
}

/* The status as the API shows it: terminal words, on_hold, compensating, or the label of its stage. */
const char *order_status(const struct order *o);
/* Why it failed or is on hold; NULL when it is neither. Borrowed. */
const char *order_error(const struct order *o);
/* The first stage that holds it; NULL when none does. Borrowed. */
const char *order_held_stage(const struct order *o);
/* The word for one stage. A queued stage that is `out` is "running". */
const char *order_stage_word(const struct order *o, size_t stage);

/* The order as the API shows it. */
void order_json(const struct order *o, struct json_writer *w);
/* The answer to its placement: as order_json() at the moment of order_created, status "pending". */
void order_created_json(
	const struct id *id, int64_t created_us, struct str body, struct json_writer *w);
/* What a stage reads: id, created_at and the body; and the results of finished stages. */
void order_task_json(const struct order *o, struct buf *order, struct buf *results);
