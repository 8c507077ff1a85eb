/* Stages at run time: plugins that were loaded, instances made of them, and the pools that run them. */
#pragma once

#include "model/task.h"
#include "stageline/stage.h"

/* Where plugins are looked for, in this order. A plugin NAME is the file NAME.so. */
struct plugin_folders {
	const char *const *paths;
	size_t n;
};

/* One version of a plugin, loaded, or only described, from a copy of its file. Never unloaded. */
struct plugin {
	const char *path;  /* of the real file that it was met in first */
	const char *build; /* digest of the file: 16 hex digits */
	int fd;		   /* the copy: sealed, open as long as the process lives */
	/* The host's copy of the descriptor and its options: what an older plugin lacks is zero. Its
	 * pointers lead into the plugin's memory. */
	const struct sl_stage *stage;
};

/* Loads `name` from the folders, RTLD_NOW|RTLD_LOCAL; the same bytes are loaded once. A file that was replaced,
 * by rename or in place, is another build, and leaves the earlier one as it is. Refuses a file or
 * folder that others can write, a missing symbol, another ABI major, needs beyond this host, an option
 * table that is not sound. [load]  -ENOENT with the folders searched; -EPERM, -EINVAL, -EPROTO, -EBUSY. */
int plugin_load(const struct plugin_folders *folders, const char *name, const struct plugin **ret,
	struct err *e);
/* The same from a plugin's `fd`, which it takes: `path` is what it is called. [load] */
int plugin_load_fd(
	int fd, const char *path, const char *name, const struct plugin **ret, struct err *e);
/* The build of that digest when this process has it, whatever lies in the folders now; else, and when `build` is
 * NULL, as plugin_load(). */
int plugin_load_build(const struct plugin_folders *folders, const char *name, const char *build,
	const struct plugin **ret, struct err *e);
/* The plugin of a stage, as plugin_load_build(). For a stage that runs in processes it is only described: neither its
 * code nor its libraries are mapped into this one, and `fd` is all that its processes need. Its function pointers then
 * say whether there is one, and lead nowhere. What only mapping finds out, its processes say when they start. [load] */
int plugin_load_stage(const struct plugin_folders *folders, const struct stage_spec *spec,
	const struct plugin **ret, struct err *e);
/* Names of the plugins in the folders, for suggestions and listings. Calls back per name. */
void plugin_each_name(
	const struct plugin_folders *folders, void (*on_name)(void *, const char *name), void *arg);

/* Checks the stages of a pipeline against their plugins: plugins exist and load, their `config` fits their
 * options, an effectful stage has undo or is irreversible. Faults are placed in the pipeline's file. Sets the builds. */
int stage_check(
	struct pipeline *p, const struct plugin_folders *folders, struct yaml_faults *faults);

/* Runs create() of every stage once, each in a process of its own that is this program again as `stage-child`, with the
 * stage's sandbox: what a plugin finds only then becomes a fault, at the option that its words begin with. Tells also
 * of crashes, and of what takes longer than 10 s. */
int stage_rehearse(const struct pipeline *p, const struct plugin_folders *folders,
	struct yaml_faults *faults, struct err *e);

struct instance;

/* An instance of the stage's plugin with its options filled. [load] */
int instance_create(const struct pipeline *p, size_t stage, const struct plugin *plugin,
	struct instance **ret, struct err *e);
void instance_destroy(struct instance *in);
bool instance_can_undo(const struct instance *in);
bool instance_is_concurrent(const struct instance *in);
const struct stage_spec *instance_spec(const struct instance *in);
/* The same without create(): for a stage whose code runs in processes. None of the plugin's code is called. [load] */
int instance_describe(const struct pipeline *p, size_t stage, const struct plugin *plugin,
	struct instance **ret, struct err *e);
/* Runs one attempt (or its next turn) and fills the task's verdict; with VERDICT_LATER also `turn` and
 * `due_ms`. Effects stand only beside VERDICT_DONE. An answer out of bounds becomes VERDICT_RETRY and is
 * logged once. [worker] */
void instance_run(struct instance *in, struct task *t);
/* Who is called when the plugin wakes the task of a ticket (whoever runs tasks gives them theirs): returns 0, or
 * -ENOENT when there is none of it. Any thread, one at a time, under a lock of the instance: after a call of this
 * the former one is not called any more. NULL: nobody. */
void instance_set_waker(struct instance *in, int (*on_wake)(void *arg, uint64_t ticket), void *arg);
/* The same with an answer that was given elsewhere: `answer` hands it in through the host table, as a plugin
 * does, and is doubted like one. [worker] */
void instance_answer(struct instance *in, struct task *t,
	int32_t (*answer)(void *arg, const struct sl_host *host, struct sl_task *st), void *arg);

/* Makes the stage a confined one: its code will run in processes without network, programs and files to write,
 * whatever the pipeline file allows; time that it asks for by SL_LATER passes at once, and the wall clock shows its
 * task's `as_of_us`. Before its instance is made. [load] */
void stage_confine(struct stage_spec *spec);

struct pool;

/* Threads for one instance, or with `isolation: process` processes (children.c): at most `workers` (one when it is not concurrent), the first at once, the others
 * as they are needed. A task that waits by SL_LATER holds none; when the stage's timeout passes meanwhile it
 * is answered VERDICT_TIMEOUT. `on_verdicts` gets finished tasks as soon as there are some [worker] and takes them. */
int pool_create(struct instance *in, size_t workers,
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct pool **ret);
/* Takes tasks, linked by `node`. Any thread. */
void pool_submit(struct pool *p, struct task *first);
/* Whether an attempt that has no verdict yet has had its time: the one that `about` names by order, number and undo.
 * 0: it has; the call that is still in it is counted as lost, and another thread takes its place as long as that is
 * possible. Else when to ask again (monotonic): its call began later, it waits for a thread, or the pool itself sees to
 * it. One that has had its time while lost calls hold every thread is given up: *ret is its task, answered
 * VERDICT_TIMEOUT, which the caller delivers instead of the pool; else NULL. Any thread. */
int64_t pool_ask(struct pool *p, const struct task *about, int64_t now_ms, struct task **ret);
/* Lets running attempts end, starts nothing more, joins the threads, frees what was not started. */
void pool_destroy(struct pool *p);

struct pool_counts {
	size_t threads;
	size_t running;	 /* in a call */
	size_t waiting;	 /* for a thread */
	size_t later;	 /* for their time */
	size_t lost;	 /* of those in a call: had their time and did not come back */
	bool is_clogged; /* by lost calls: nothing runs until one of them comes back */
	bool is_stalled; /* no process could be started: nothing runs until one can */
};
void pool_counts(struct pool *p, struct pool_counts *ret);

enum { POOL_TEXT_MAX = 1024 };

/* How a stage's processes fare. */
struct pool_health {
	size_t children, starting;
	uint64_t crashes;		/* since start; ends that nobody asked for */
	uint64_t restarts;		/* since start; whatever the reason */
	char last_crash[POOL_TEXT_MAX]; /* "": none */
	int64_t last_crash_us;		/* wall clock */
	char trouble[POOL_TEXT_MAX];	/* why none can be started; "": healthy */
};
/* False for threads. */
bool pool_health(struct pool *p, struct pool_health *ret);
