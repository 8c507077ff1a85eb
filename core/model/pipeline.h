/* A pipeline: the ordered stages of one YAML file. One loaded version of it, with the builds of its plugins, is a
 * generation, named by its digest. Immutable once loaded, so every thread may read it. */
#pragma once

#include <stdatomic.h>

#include "base/json.h"
#include "base/yaml.h"
#include "stageline/stage.h"

struct condition;

enum {
	PIPELINE_STAGES_MAX = 64,  /* a set of stages fits one uint64_t */
	PIPELINE_DIGEST_SIZE = 17, /* 16 hex digits of SHA-256 and a NUL */
};

struct retry_policy {
	int64_t attempts;   /* in all, at least 1 */
	int64_t backoff_ms; /* before the second attempt */
	double factor;	    /* times this for each further one */
	int64_t max_ms;
	double jitter; /* ± this part of the wait, 0 to 1 */
};

/* After that many attempts in the window ended in retry, timeout or crash, no more start for a while; then
 * that many probes decide. */
struct breaker_policy {
	int64_t failures; /* 0: no breaker */
	int64_t window_ms, open_for_ms;
	int64_t probes;
};

/* At most `n` attempts start in `per_ms`. */
struct rate_policy {
	int64_t n; /* 0: no limit */
	int64_t per_ms;
};

/* What becomes of an order when a stage's attempts are used up. */
enum on_exhausted {
	EXHAUSTED_HOLD, /* it waits for an operator */
	EXHAUSTED_FAIL, /* it fails and is undone, that stage included: its outcome is unknown */
};

/* Where a stage's code runs. */
enum isolation {
	ISOLATION_THREAD,  /* in the daemon */
	ISOLATION_PROCESS, /* in child processes, which it cannot leave and may take down */
};

/* What a stage's processes may do and use. */
struct sandbox_policy {
	bool is_off; /* everything */
	bool network;
	bool programs; /* starts some: what they may call is then not listed */
	struct sl_list read,
		write;	/* paths: files, or folders with all below; what is written is read too */
	int64_t memory; /* bytes of one process */
	int64_t cpu_ms; /* of one attempt's turn; 0: no limit but the stage's timeout */
	int64_t files;	/* open at once */
};

struct stage_spec {
	const char *name, *plugin;
	const char *build;	/* digest of the plugin's file; NULL: not known */
	const char *status;	/* the order's status while this is its current stage */
	const char *event;	/* event_type when done */
	const char *undo_event; /* event_type when undone; NULL: nothing is to be undone */
	uint64_t after;		/* set of stages that must be done or skipped before */
	int64_t workers;	/* threads or processes that run its code at once */
	int64_t in_flight;	/* tasks it holds at most: running, and waiting by SL_LATER */
	int64_t timeout_ms;
	struct retry_policy retry;
	struct breaker_policy breaker;
	struct rate_policy rate;
	int64_t on_exhausted;	      /* enum on_exhausted; of the run: an undo is always held */
	const struct condition *when; /* the stage is skipped when it does not hold; may be NULL */
	bool irreversible;
	int64_t isolation; /* enum isolation */
	struct sandbox_policy sandbox;
	bool is_confined; /* not by the file: nothing that it does may leave its processes */
	const struct yaml_node *config; /* the plugin's own options; may be NULL */
	const struct yaml_node *node;	/* the whole entry, for placed errors */
};

struct pipeline {
	const char *name;
	char digest[PIPELINE_DIGEST_SIZE];
	size_t n_stages;
	struct stage_spec *stages;
	struct str catalog;	       /* JSON array, "[]" when there is none; ends in a NUL */
	const struct yaml_node *state; /* map KEY → initial value; may be NULL */
	struct yaml *document;	       /* owns all the text above */
	struct pipeline *next;	       /* in a pipeline_set */
};

/* Reads one pipeline file's text: everything that can be checked without plugins. All faults of the
 * text go to `faults`; 0 only when there are none. `digest` is set from the text. -EINVAL, -ENOMEM. */
int pipeline_parse(struct str text, struct pipeline **ret, struct yaml_faults *faults);
/* The same for whoever wants to find more faults: 0 also when there are some, as long as the text is a
 * YAML map. The pipeline then holds the stages with a name (else "?") or a plugin, and must not run. */
int pipeline_read(struct str text, struct pipeline **ret, struct yaml_faults *faults);
void pipeline_free(struct pipeline *p);

static inline void pipeline_freep(struct pipeline **p)
{
	pipeline_free(*p);
}

/* The stage's index, or -1. */
int pipeline_find(const struct pipeline *p, struct str stage_name);
/* Initial state as JSON text for one value of `p->state`. */
void pipeline_state_json(const struct yaml_node *value, struct buf *out);
/* A JSON Schema (draft 2020-12) of the pipeline file, printed from the tables that read it. */
void pipeline_schema(struct json_writer *w);

/* All generations that this process has seen. Grows only; any thread finds and adds. */
struct pipeline_set {
	_Atomic(struct pipeline *) first;
};

const struct pipeline *pipeline_set_find(struct pipeline_set *set, struct str digest);
/* Takes `p`. When its digest is there already, frees it and returns the one that is there. */
const struct pipeline *pipeline_set_add(struct pipeline_set *set, struct pipeline *p);
void pipeline_set_fini(struct pipeline_set *set);
