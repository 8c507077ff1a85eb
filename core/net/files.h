/* The client's static files: read when the server starts, served from memory with ETag and type.
 * A file whose size or time changed is read again. [net loop] */
#pragma once

#include "net/http.h"

struct files;

/* `/` is DIR/index.html, `/static/x` is DIR/x. Nothing outside DIR, no dot files, no links, folders up to four
 * deep, at most 256 files of 2 MiB. -ENOENT: no such folder or no index.html in it. */
int files_load(const char *dir, struct files **ret, struct err *e);
/* One more, from elsewhere: a library that the client uses as its package installs it. */
int files_add(struct files *files, const char *name, const char *path, struct err *e);
void files_free(struct files *f);
/* Answers the request with the file `name` ("index.html", "app.js", "icons/box.svg"), 304, or 404. */
void files_reply(struct files *f, struct http_request *req, struct str name);
