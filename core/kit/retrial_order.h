/* One order of a retrial: what it met then, waiting to be met again, and how it stands with the other pipeline.
 * retrial_order.c decides it, retrial_answer.c keeps what it met, retrial_compare.c tells how it ends. */
#pragma once

#include "journal/history.h"
#include "kit/retrial.h"
#include "kit/retrial_stage.h"
#include "model/decide.h"

/* What the orders of a retrial share. */
struct retrial {
	const struct retrial_request *request;
	const struct pipeline *pipeline;
	struct retrial_stage *stages[PIPELINE_STAGES_MAX]; /* those that run again */
	struct retrial_report *report;
	void *orders; /* tsearch() tree of struct retrial_order, by seq */
	struct history *history;
};

/* What a stage heard or answered then. */
struct retrial_answer {
	struct retrial_answer *next;
	enum { ANSWER_VERDICT, ANSWER_LOST, ANSWER_SIGNAL } kind;
	enum verdict verdict;
	int64_t delay_ms;
	struct str message, result, key; /* result: of a signal its body */
	struct effect *effects;
	size_t n_effects;
};

struct retrial_memory {
	struct retrial_answer *answers[2]; /* of run and undo, the oldest first */
	bool is_due[2];			   /* the moment has come at which it was decided then */
	bool was_lost[2];      /* the last that was heard of it is that an attempt was lost */
	bool was_there;	       /* the pipeline had it then */
	bool is_missing;       /* it has no answer, and does not need one any more */
	struct str was_result; /* absent: none */
	uint32_t n_calls;
};

/* What one order has added to a key, then and now. */
struct retrial_sum {
	struct retrial_sum *next;
	struct str key;
	int64_t then, now;
};

struct retrial_order {
	int64_t seq; /* of its order_created */
	struct retrial *all;
	struct order *order;
	struct arena arena; /* owns the texts below */
	int64_t last_seq;   /* of its events now */
	int64_t now_us;
	struct retrial_sum *sums;
	struct retrial_fate was, would; /* status: of `was`, once it has ended */
	char *missing;			/* owned: why it is not known how it ends; NULL: it is */
	struct retrial_memory stages[];
};

/* Its order_created. Returns owned. -ENOMEM; -EIO: a stage cannot be run. */
int retrial_order_create(
	struct retrial *all, const struct event *ev, struct retrial_order **ret, struct err *e);
void retrial_order_free(struct retrial_order *x);
/* What happened to it next. After a terminal event it has gone as far as it goes. Errors as above. */
int retrial_order_meet(struct retrial_order *x, const struct event *ev, struct err *e);

/* After its terminal event: counts it, and tells request->on_result. -ENOMEM. */
int retrial_order_compare(struct retrial_order *x);

/* Keeps what an event says of a stage. -ENOMEM. */
int retrial_order_remember(struct retrial_order *x, size_t stage, const struct event *ev);
/* Takes the oldest out; NULL: there is none. */
const struct retrial_answer *retrial_order_recall(struct retrial_order *x, size_t stage, bool undo);
/* Adds up the effects, those of then or of now. -ENOMEM. */
int retrial_order_add_up(struct retrial_order *x, const struct event *ev, bool then);
