/* Decisions: what follows from a command, given an order. Pure: no I/O, no clock, no globals.
 *
 * Live processing, recovery, replay and simulation all go `decide` → `apply` → `settle` → `apply` … */
#pragma once

#include "model/order.h"
#include "model/task.h"

/* What decisions may look at besides the order. */
struct decide_env {
	int64_t now_us;	 /* wall */
	uint64_t random; /* for jitter */
	/* The number at a key of the state, 0 when absent. -EINVAL: not a number. Other negative errno: the
	 * state cannot be read. */
	int (*state_number)(void *arg, struct str key, int64_t *ret);
	void *arg;
	/* Workers outlive the process that decides: a run that had begun before its last start (stage_has_begun())
	 * may be under way still, and is waited for like one that is out. */
	bool is_outlived;
};

/* A new order. Appends order_created. -ENOMEM. */
int decide_create(const struct decide_env *env, const struct id *id, const struct pipeline *p,
	struct str body, struct str key, struct event_list *out);

/* A worker's verdict. Appends one event. -EALREADY: not the current attempt (fencing). -ENOMEM. */
int decide_verdict(const struct decide_env *env, const struct order *o, const struct task *t,
	struct event_list *out);

/* The process died while this attempt was out; `suspect`: in the stage's own code. -EALREADY: it was not the
 * current one. */
int decide_lost(const struct decide_env *env, const struct order *o, size_t stage, uint32_t attempt,
	bool suspect, struct event_list *out);

/* A person cancels. -EALREADY: cancelling already; -EINVAL: terminal. */
int decide_cancel(const struct decide_env *env, const struct order *o, struct str reason,
	struct event_list *out);

/* An operator's word on a held stage: action "retry", "skip" or "discard"; `body` when edited (else
 * absent). -EINVAL: nothing is held there, or the action does not fit. */
int decide_release(const struct decide_env *env, const struct order *o, size_t stage,
	struct str action, struct str body, struct str reason, struct event_list *out);

/* The answer from outside to a waiting stage. -EALREADY: not waiting (any more). */
int decide_signal(const struct decide_env *env, const struct order *o, size_t stage,
	struct str body, struct str key, struct event_list *out);

/* The time to wait for an answer is over: counts as an attempt that timed out. -EALREADY: not waiting. */
int decide_expired(
	const struct decide_env *env, const struct order *o, size_t stage, struct event_list *out);

/* What follows by itself from where the order stands: the next event (skipped stage, terminal event), or
 * nothing. Returns the number of events appended, -ENOMEM. Call again after applying until it says 0. */
int decide_settle(const struct decide_env *env, const struct order *o, struct event_list *out);
