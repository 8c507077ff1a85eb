/* Cases: what a file beside a pipeline says its orders do, and what must become of them.
 *
 * A file is read as a whole: every fault of it is placed, names of stages, events and statuses that the
 * pipeline does not have among them. plugins/README.md shows the format. */
#pragma once

#include "model/pipeline.h"
#include "model/task.h"
#include "stageline/stage.h"

enum { CASES_MAX = 1000, CASE_STEPS_MAX = 100, CASE_PEOPLE_MAX = 100, CASE_EXPECTED_MAX = 1000 };

/* What a stage does when it is called. */
struct case_step {
	bool is_real; /* the plugin itself; the rest is for played ones */
	enum verdict verdict;
	const char *message, *shortage; /* may be NULL */
	struct str result;		/* JSON object; absent: none */
	int64_t delay_ms;		/* -1: none asked for */
	int64_t takes_ms;
	struct effect *effects;
	size_t n_effects;
};

/* The n-th call gets the n-th step, later ones the last. No steps: see case_step_of(). */
struct case_script {
	struct case_step *steps;
	size_t n;
};

struct case_stage {
	struct case_script run, undo;
};

enum case_act_kind {
	ACT_CANCEL,
	ACT_RETRY,
	ACT_SKIP,
	ACT_DISCARD,
	ACT_EDIT,
	ACT_SIGNAL,
	ACT_PAUSE,
	ACT_RESUME,
	ACT_ADJUST,
	ACT_KINDS
};

/* Something that a person does. */
struct case_act {
	const struct yaml_node *node;
	enum case_act_kind kind;
	const char *after; /* an event's type; NULL: the placing */
	int64_t at_ms;	   /* since then */
	const char *text;  /* reason, or the key of ACT_ADJUST */
	const char *stage; /* may be NULL for what is on hold */
	struct str body;   /* JSON of ACT_EDIT and ACT_SIGNAL */
	struct effect effect;
	bool is_refused; /* must be */
};

struct expected_event {
	const struct yaml_node *node;
	const char *type, *stage, *message; /* all but the first may be NULL: any */
	int64_t attempt;		    /* 0: any */
};

struct expected_events {
	const struct yaml_node *node; /* NULL: not asked for */
	struct expected_event *list;
	size_t n;
};

struct expectation {
	const struct yaml_node *node;
	const char *status, *error; /* NULL: not asked for */
	bool has_takes;
	struct sl_range takes;		 /* ms from the placing to the last event */
	struct expected_events events;	 /* all of them */
	struct expected_events includes; /* these among others, in this order */
	const struct yaml_node *state;	 /* KEY → value; null: absent */
	const struct yaml_node *calls;	 /* STAGE → how often its run was called */
	const struct yaml_node *results; /* STAGE → members that its result has */
};

struct order_case {
	const struct yaml_node *node;
	const char *name;
	struct str order;	   /* canonical JSON */
	struct case_stage *stages; /* one for each of the pipeline */
	const struct yaml_node
		*states[2]; /* KEY → value, of the file and of the case; may be NULL */
	struct case_act *people;
	size_t n_people;
	struct expectation expect;
};

struct case_file {
	const char *path; /* borrowed */
	struct yaml *document;
	struct arena arena;
	struct order_case *cases;
	size_t n;
};

/* Everything that is wrong inside the file: `faults`, and -EINVAL. A file that cannot be read: `e`.
 * `path` and `p` live as long as what is returned, which is owned. */
int case_file_read(const char *path, const struct pipeline *p, struct case_file **ret,
	struct yaml_faults *faults, struct err *e);
void case_file_free(struct case_file *f);

/* The JSON Schema of such files, for editors. */
void case_file_schema(struct json_writer *w);

/* The step for the n-th call, from 0. Without a script of its own a stage is real, and the undo of a stage
 * that is played in all steps is played too: done. */
const struct case_step *case_step_of(const struct case_stage *s, bool undo, size_t n);
bool case_stage_is_real(const struct case_stage *s);

/* cases_stage.c: what one stage does: a step, a list of steps, or a map with `run` and `undo`. -ENOMEM. */
int case_stage_read(const struct yaml_node *node, struct arena *arena, struct case_stage *ret,
	struct yaml_faults *faults);

/* cases_people.c. -ENOMEM. */
int case_people_read(const struct yaml_node *list, const struct pipeline *p, struct arena *arena,
	struct order_case *ret, struct yaml_faults *faults);

/* cases_expect.c. -ENOMEM. */
int case_expect_read(const struct yaml_node *node, const struct pipeline *p, struct arena *arena,
	struct expectation *ret, struct yaml_faults *faults);
/* Faults for words that the pipeline does not know, with a guess. */
void case_check_event(const struct yaml_node *at, const char *type, const struct pipeline *p,
	struct yaml_faults *faults);
/* The stage's index, or -1 and a fault: at the key of a map's member, or at the value. */
int case_find_stage(const struct yaml_node *at, struct str name, bool is_key,
	const struct pipeline *p, struct yaml_faults *faults);
/* A YAML value as JSON in the arena. -ENOMEM. */
int case_json(const struct yaml_node *node, struct arena *arena, struct str *ret);
