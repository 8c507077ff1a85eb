/* What operators send: small JSON objects with a reason. Each function answers the request when it returns
 * false or NULL. [net loop] */
#pragma once

#include "net/app.h"

enum { REASON_MAX = 500 };

/* The body as a JSON object; absent members are the caller's business. Owned: cJSON_Delete. */
cJSON *ask_body(struct app *app, struct http_request *req);
/* `reason`: 1 to 500 characters, required of everything that changes something. Owned. */
char *ask_reason(struct http_request *req, const cJSON *body);
/* The order id in the path. */
bool ask_id(struct http_request *req, struct id *ret);
/* The Idempotency-Key, 1 to 255 visible ASCII characters; p == NULL: there is none. Borrowed from the request. */
bool ask_key(struct http_request *req, struct str *ret);
/* One fault of the body: 422. */
void ask_refuse(struct http_request *req, const char *pointer, const char *detail);

/* A command about the order or stage in the path with the body's reason; answered by `on_answer`, whose
 * context is the request. */
struct command *ask_command(struct http_request *req, enum command_kind kind, char *reason);
/* The status for a command's refusal. */
void ask_answer_refused(struct http_request *req, const struct command *c);
