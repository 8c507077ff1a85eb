/* A small HTTP client for the daemon: one request at a time, waited for, each on a connection of its own. */
#pragma once

#include "base/json.h"

enum { CLIENT_TIMEOUT_S = 30 };

struct client;

struct client_answer {
	int status;  /* of HTTP */
	char *text;  /* the body, NUL-terminated */
	cJSON *json; /* the body; NULL: it is not JSON */
};

/* `url` is http://HOST[:PORT][/PREFIX]. -EINVAL: it is not. Returns owned. */
int client_create(const char *url, struct client **ret, struct err *e);
void client_free(struct client *c);
/* Instead of CLIENT_TIMEOUT_S. */
void client_set_timeout(struct client *c, int seconds);

/* Sent with each POST from now on; NULL: none. Borrowed. */
void client_set_idempotency_key(struct client *c, const char *key);

/* Any answer is a success, whatever its status; `path` begins with "/". -ECONNREFUSED: nobody listens;
 * -ETIME: no whole answer in CLIENT_TIMEOUT_S, so what a POST asked for may be done all the same. */
int client_get(struct client *c, const char *path, struct client_answer *ret, struct err *e);
int client_post_json(struct client *c, const char *path, struct str body, struct client_answer *ret,
	struct err *e);

/* Who reads an answer that goes on. */
struct client_reader {
	bool (*on_data)(void *arg, struct str data); /* false: it has enough */
	void (*on_tick)(void *arg);		     /* ten times a second */
	void *arg;
};

/* Reads until the reader has enough (0), a signal asks for the end (-EINTR) or the server is done or silent: -ECONNRESET,
 * and -ECONNREFUSED and others as above. `ret`: an answer other than 200, which is a success. */
int client_follow(struct client *c, const char *path, const struct client_reader *reader,
	struct client_answer *ret, struct err *e);
void client_answer_fini(struct client_answer *a);

static inline void client_freep(struct client **c)
{
	client_free(*c);
}
