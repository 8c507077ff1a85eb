/* What the host keeps behind the two opaque types of the ABI: an instance and one call on it. Only for
 * instance.c and host.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "stage/stage.h"

enum { STAGE_REASON_MAX = 256 };

struct instance {
	const struct plugin *plugin;
	const struct pipeline *pipeline;
	size_t stage;
	const struct stage_spec *spec;
	struct sl_host host;
	bool is_alive; /* create() was called: `self` */
	void *self;
	void *config;
	struct arena arena; /* strings and lists of the config */
	char *catalog;
	size_t catalog_len;
	atomic_bool has_broken_promise; /* said once */
	pthread_mutex_t lock;
	int (*on_wake)(void *arg, uint64_t ticket); /* under the lock; may be NULL */
	void *wake_arg;
	char last_error[STAGE_REASON_MAX]; /* what the plugin logged as error: why create failed */
};

struct sl_task {
	struct task *task;
	struct instance *instance;
	char key[ID_TEXT_SIZE + 256];
	const char *refused; /* which result or effect the host could not take; NULL: none */
	size_t effects_cap;
};

/* The table for one instance: the functions through which a plugin reads its task and hands in its answer. */
struct sl_host host_table(struct instance *in);
