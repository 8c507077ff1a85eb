/* What the commands that talk to a daemon share: actions from a table, flags, answers as words or as JSON. */
#pragma once

#include "cli/client.h"

/* Every flag of every such command; an action names those it takes. */
enum remote_flag {
	FLAG_REASON,
	FLAG_STAGE,
	FLAG_ERROR,
	FLAG_ALL,
	FLAG_DRY_RUN,
	FLAG_RATE,
	FLAG_FILE,
	FLAG_STATUS,
	FLAG_QUERY,
	FLAG_GENERATION,
	FLAG_PREFIX,
	FLAG_LIMIT,
	FLAG_CURSOR,
	FLAG_AFTER,
	FLAG_DELTA,
	FLAG_FLOOR,
	FLAG_VALUE,
	FLAG_IDEMPOTENCY_KEY,
	FLAG_AT,
	FLAG_FROM,
	FLAG_TO,
	FLAG_LONG,
	FLAG_JSON,
	FLAG_URL,
	FLAG_HELP,
	N_FLAGS
};
#define TAKES(flag) (UINT32_C(1) << (flag))

enum { ARGUMENTS_MANY = 100000 };

struct remote;

struct remote_action {
	const char *name, *arguments, *summary; /* "cancel", "ID", "Cancels an order" */
	size_t n_min, n_max;			/* arguments */
	uint32_t takes;				/* --json, --url and --help: all do */
	bool needs_reason;			/* unless it is a dry run */
	int (*run)(struct remote *r);		/* returns the exit status */
};

struct remote_command {
	const char *name, *summary;
	const struct remote_action *actions; /* ends with an entry without name */
};

/* One action under way. */
struct remote {
	const struct remote_command *command;
	const struct remote_action *action;
	const char *
		flags[N_FLAGS]; /* what was given; "" for flags without argument; NULL: not given */
	char **arguments;
	size_t n_arguments;
	struct client *client;
};

int remote_main(const struct remote_command *command, int argc, char **argv);

/* Says what is wrong with the command line, on stderr. Returns EXIT_USAGE. */
int remote_refuse(const struct remote *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Says so on stderr. Returns EXIT_FAILURE. */
int remote_no_memory(void);
/* The argument as an order's id, in the form for a path; false: refused. */
bool remote_id(const struct remote *r, const char *text, char out[ID_TEXT_SIZE]);
/* A flag's whole number; false: refused. */
bool remote_int(const struct remote *r, enum remote_flag flag, int64_t *ret);

/* Asks; `body` NULL: GET, else POST. EXIT_FAILURE: no answer, and a person was told. The answer is to be freed in any
 * case. */
int remote_send(
	struct remote *r, const char *path, const struct buf *body, struct client_answer *ret);
/* EXIT_FAILURE: the answer is a problem, and a person was told. */
int remote_judge(const struct remote *r, const struct client_answer *answer);
/* Both. */
int remote_request(
	struct remote *r, const char *path, const struct buf *body, struct client_answer *ret);
/* Asks, then prints the answer: its JSON with --json, else what `print` makes of it. Returns the exit status. */
int remote_ask(struct remote *r, const char *path, const struct buf *body,
	void (*print)(const struct remote *r, const cJSON *answer));
/* The answer's JSON as it came, on stdout. */
void remote_print_json(const struct client_answer *answer);

/* Adds "?name=value", or "&name=value", for each of the flags that were given. */
void remote_query(
	const struct remote *r, struct buf *path, const enum remote_flag *flags, size_t n);
/* Adds the text, escaped. */
void remote_escaped(struct buf *path, const char *text);
/* Adds "/" and the text, escaped. */
void remote_path(struct buf *path, const char *text);
/* Opens a body's object and writes the reason into it. */
void remote_open_body(const struct remote *r, struct json_writer *w);
