/* The Redis bus: tasks in a stream per stage and generation with a consumer group of workers, verdicts in one
 * stream back. Redis holds nothing that matters: whatever it loses is published again.
 *
 * Keys, all in one slot of a cluster; TAG is PREFIX:{PIPELINE}:
 *
 *   TAGrun                       string  which coordinator published last; missing: Redis lost everything
 *   TAGgenerations               set     digests of the generations that tasks are published of
 *   TAGgeneration:DIGEST         string  version and lease in ms, a line; then its pipeline file, with the
 *                                        builds of its plugins
 *   TAGstage:STAGE:DIGEST        stream  tasks, group "workers": one field "t", a packed task behind its version 4
 *   TAGverdicts                  stream  one field "v": version 4 · digest: 1 text, then verdicts: stage 4 ·
 *                                        order_seq 8 · order id 16 · attempt 4 · undo 4 · duration_us 8 · a packed
 *                                        verdict
 *   TAGworkers                   set     names of workers
 *   TAGworker:NAME               string  JSON: what the worker says of itself; ends with its lease
 *   PREFIX:pipelines             set     names of the pipelines that have a coordinator
 *
 * A worker renews the lease of what it holds. What has not been renewed for a lease is taken back by the
 * coordinator, which counts the attempt as crashed; a verdict that comes after all is fenced by its attempt. */
#pragma once

#include "bus/bus.h"

enum { REDIS_VERSION = 1 }; /* of tasks and verdicts; another one's are left alone */

/* Borrowed for the bus's life. */
struct redis_options {
	const char *url; /* as written; for redis_url_read() */
	const char *username, *password_file;
	int64_t database;
	const char *prefix;
	int64_t connect_timeout_ms, timeout_ms;
	int64_t lease_ms;
	int64_t out_max; /* tasks of one stage that are out at most */
	bool has_worker; /* serve: runs stages itself, too */
	/* by redis_url_read() */
	const char *host, *path; /* path: of a Unix socket, instead of host and port */
	uint16_t port;
	const char *password; /* of the URL; a secret */
};

/* Takes the URL apart, redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or unix:///PATH; what it says of user and
 * database goes before the fields. Borrows url. -ENOMEM; -EINVAL says why, without the password. */
int redis_url_read(struct redis_options *o, struct arena *arena, struct err *e);

/* For the coordinator of the pipeline `name`. -ENOMEM. */
int bus_create_redis(const struct redis_options *options, const char *name,
	void (*on_verdicts)(void *arg, struct task *first), void *arg, struct bus **ret);

/* --- a worker without a coordinator --- */

/* The bus of a worker: it answers, and publishes nothing. `name` NULL: the only pipeline that there is, when it is
 * known. */
int bus_create_redis_worker(
	const struct redis_options *options, const char *name, struct bus **ret);
/* Finds the name when there was none: 0; -EAGAIN: there is no pipeline yet; -EINVAL says which there are. */
int redis_worker_find(struct bus *b, struct err *e);
/* Calls back with each generation that tasks are published of. `text`: its pipeline file; absent when the version of
 * its tasks is another. -EAGAIN: Redis does not have all of them yet, or no more. -EIO. */
int redis_worker_generations(struct bus *b,
	void (*on_generation)(void *arg, struct str digest, struct str text), void *arg,
	struct err *e);
/* What the worker cannot run and why: a JSON array, shown with its heartbeat. Copies. */
void redis_worker_report(struct bus *b, struct str json);
