/* Stageline stage ABI.
 *
 * A stage plugin is a shared object with one const data symbol, `stageline_stage`, of type
 * `struct sl_stage`. It includes this header, libc and its own libraries, and is linked with
 * `-Wl,-z,defs -fvisibility=hidden`: nothing of the host is linked.
 *
 * Policy. SL_ABI_MAJOR changes only when something that exists changes its meaning or place; the host
 * then refuses plugins of the other major. Everything else grows at the end of a struct. Whoever reads a
 * struct of the other side reads `size` first and nothing beyond it. A plugin that is newer than the
 * host is judged by what it uses: fields beyond the host's knowledge must be zero, else it is refused.
 *
 * Ownership. Nobody writes into a struct the other side allocated, and nothing allocated on one side is
 * freed on the other: results go in through the host table, which copies. Pointers that the host hands
 * out live as long as stated beside them.
 *
 * Threads. [load] the thread that loads a pipeline, one call at a time. [worker] a thread of the stage's
 * pool. Calls on one instance come from one thread at a time unless the stage is SL_STAGE_CONCURRENT;
 * then `run` and `undo` may be called from several workers at once.
 *
 * History (newest first; every change stands here)
 *   1.2  SL_STAGE_NETWORK, SL_STAGE_PROGRAMS: what a stage needs of its sandbox
 *   1.1  sl_host.ticket, sl_host.wake: a task that answered SL_LATER goes on before its delay is over
 *   1.0  first version
 */
#ifndef STAGELINE_STAGE_H
#define STAGELINE_STAGE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_ABI_MAJOR 1
#define SL_ABI_MINOR 2
#define SL_ABI	     ((uint32_t)SL_ABI_MAJOR << 16 | SL_ABI_MINOR)

/* Flags of a stage. */
#define SL_STAGE_CONCURRENT 0x1u /* run and undo may be called from several threads at once */
#define SL_STAGE_EFFECTS                                                                           \
	0x2u /* run changes the world or Stageline's state: needs undo or irreversible */

/* Since 1.2: what the stage needs of the sandbox of `isolation: process`. A pipeline file that does not grant it is
 * refused before the stage is started. */
#define SL_STAGE_NETWORK  0x4u /* calls out over the network */
#define SL_STAGE_PROGRAMS 0x8u /* starts programs */

/* Verdicts: what run and undo return. Any other number counts as SL_RETRY and is reported. */
#define SL_DONE 0 /* finished; message, result and effects are taken */
#define SL_FAIL 1 /* a final no (business): the order fails; message says why */
#define SL_RETRY                                                                                   \
	2 /* a passing trouble: attempted again by the stage's policy; delay() may set when */
#define SL_LATER 3 /* call me again for the same attempt after delay(); holds no thread meanwhile */
#define SL_WAIT	 4 /* until a signal from outside, or the deadline set with delay() */

/* Types of options, and what the field in the config struct is. */
#define SL_OPTION_STRING	 1  /* const char *; NULL only without default and not required */
#define SL_OPTION_BOOL		 2  /* uint8_t, 0 or 1 */
#define SL_OPTION_INT		 3  /* int64_t */
#define SL_OPTION_NUMBER	 4  /* double */
#define SL_OPTION_RATIO		 5  /* double, 0 to 1 */
#define SL_OPTION_DURATION	 6  /* int64_t, milliseconds; written 200ms, 5s, 2m, 1h, 400d */
#define SL_OPTION_SIZE		 7  /* int64_t, bytes; written 64KiB, 10MiB */
#define SL_OPTION_DURATION_RANGE 8  /* struct sl_range, milliseconds; written 1s..2s or 500ms */
#define SL_OPTION_CHOICE	 9  /* int64_t, index into `choices`; written as the word */
#define SL_OPTION_LIST		 10 /* struct sl_list of strings */

#define SL_OPTION_REQUIRED 0x1u

struct sl_range {
	int64_t low, high;
};

struct sl_list {
	size_t n;
	const char *const *items;
};

/* One option. `min` and `max` bound numbers, durations (ms) and sizes (bytes); both 0: no bound.
 * `fallback` is the default as it would be written in YAML; NULL: zero, or required. */
struct sl_option {
	uint32_t type;
	uint32_t flags;
	const char *name;
	const char *summary;
	const char *fallback;
	const char *choices; /* words separated by '|', for SL_OPTION_CHOICE */
	size_t offset;	     /* of the field in the config struct */
	int64_t min, max;
};

/* One attempt. Opaque; valid during the call of run or undo only. */
struct sl_task;

/* What a plugin may ask of the host. The table and what it points to live until destroy() returns.
 * Functions with a task are [worker], inside run or undo only; the others any thread. Those that return
 * int32_t give 0 or a negative errno (-EINVAL: not JSON, not UTF-8 or too large; -ENOMEM). Strings that
 * come back are NUL-terminated UTF-8; `ret_len` may be NULL. */
struct sl_host {
	uint32_t size, abi;
	void *host; /* the host's own; pass the table itself to the functions below */

	/* The order as a JSON object: id, customer_email, items, total_amount, created_at and whatever
	 * else it was placed with. Lives until run or undo returns. */
	const char *(*order)(const struct sl_task *, size_t *ret_len);
	/* Results of finished stages as a JSON object, name → result object. In undo the stage's own is
	 * among them when its run finished and set one. Lives as above. */
	const char *(*results)(const struct sl_task *, size_t *ret_len);
	/* The key for calls to the outside: the same for every attempt of this order, stage and
	 * direction, so that a receiver can drop repeats. Lives as above. */
	const char *(*idempotency_key)(const struct sl_task *);
	/* 1 for the first attempt. */
	uint32_t (*attempt)(const struct sl_task *);
	/* How often this attempt has answered SL_LATER before: 0 on the first call. */
	uint32_t (*turn)(const struct sl_task *);
	/* Wall clock, microseconds since 1970 UTC. */
	int64_t (*now_us)(const struct sl_host *);

	/* What set_ and effect_ functions were given counts for this call alone: a later turn starts
	 * with nothing. When the host refuses a result or an effect, SL_DONE becomes SL_RETRY, so that
	 * nothing commits by half; a plugin need not look at what they return.
	 * set_message: one sentence for people. Copied. */
	int32_t (*set_message)(struct sl_task *, const char *text);
	/* The stage's result: a JSON object. Copied. */
	int32_t (*set_result)(struct sl_task *, const char *json, size_t len);
	/* Milliseconds for SL_RETRY, SL_LATER (both at most a day) and SL_WAIT (at most 400 days). */
	void (*delay)(struct sl_task *, int64_t ms);

	/* Effects on Stageline's state; they commit together with the stage's event, or not at all.
	 * effect_add: adds to a number (absent: 0). When it would fall below `floor` the verdict becomes
	 * SL_FAIL with the text of set_shortage. INT64_MIN: no floor. Keys are UTF-8 of at most 255
	 * bytes without control characters, `delta` is within ±2^53; at most 256 effects. */
	int32_t (*effect_add)(struct sl_task *, const char *key, int64_t delta, int64_t floor);
	int32_t (*effect_put)(struct sl_task *, const char *key, const char *json, size_t len);
	int32_t (*effect_delete)(struct sl_task *, const char *key);
	/* The message when an effect would fall below its floor. Without it: "insufficient KEY". */
	int32_t (*set_shortage)(struct sl_task *, const char *text);

	/* The `catalog` of the pipeline file as a JSON array ("[]" when there is none). Lives until
	 * destroy() returns. */
	const char *(*catalog)(const struct sl_host *, size_t *ret_len);
	/* The stage's name in the pipeline file. Lives as above. */
	const char *(*stage_name)(const struct sl_host *);
	/* One line to the host's log. level: 0 error, 1 warning, 2 info, 3 debug. */
	void (*log)(const struct sl_host *, int32_t level, const char *text);

	/* After SL_WAIT: the answer from outside as JSON, in the call that follows it; else NULL. Lives
	 * until run or undo returns. */
	const char *(*signal)(const struct sl_task *, size_t *ret_len);

	/* Since 1.1, as `size` tells. The number that names this attempt until it has a verdict other than
	 * SL_LATER: the same in every turn of it, given to no other. 0: there is none (no memory). */
	uint64_t (*ticket)(const struct sl_task *);
	/* Any thread. What the attempt waited for has happened: it need not wait for its delay() any
	 * longer. 0: a call follows this one (also when its last SL_LATER is still on its way). -ENOENT: it
	 * has had its verdict or its time is up; what is kept for it can be dropped. */
	int32_t (*wake)(const struct sl_host *, uint64_t ticket);
};

struct sl_stage {
	uint32_t size, abi; /* sizeof(struct sl_stage) and SL_ABI of the header it was built with */
	const char *name;   /* the plugin's name, as `plugin:` in the pipeline file says it */
	const char *version;
	const char *summary; /* one sentence */
	uint32_t flags;
	uint32_t n_options;
	uint32_t option_size; /* sizeof(struct sl_option) */
	uint32_t config_size; /* sizeof the config struct that the options fill */
	const struct sl_option *options;
	/* [load] Makes an instance for one stage of one pipeline. `config` is filled by the table and
	 * lives until destroy() returns. 0 and *ret_self, or a negative errno after log(). */
	int32_t (*create)(const struct sl_host *, const void *config, void **ret_self);
	/* [load] No run or undo is under way. May be NULL. */
	void (*destroy)(void *self);
	/* [worker] One attempt; returns a verdict. */
	int32_t (*run)(void *self, struct sl_task *);
	/* [worker] Takes back what run did, also when run's outcome is unknown. NULL: nothing to undo. */
	int32_t (*undo)(void *self, struct sl_task *);
};

#define SL_STAGE_SYMBOL "stageline_stage"
#define SL_EXPORT	__attribute__((visibility("default")))

#ifdef __cplusplus
}
#endif

#endif
