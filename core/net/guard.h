/* Reads one HTTP request off the wire, strictly by RFC 9112, and refuses everything else.
 *
 * Bytes in, a request or a status out; no I/O. It is the only parser a request meets, so there is no second
 * opinion to smuggle past. The outcome does not depend on how the bytes were cut into pieces.
 *
 * Accepted: HTTP/1.0 and 1.1, CRLF line ends only, no folded lines, one valid Host, Content-Length or
 * `Transfer-Encoding: chunked` but never both, targets "/path?query" or "http://HOST/path?query". */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum { GUARD_FIELDS_MAX = 64, GUARD_CHUNK_LINE_MAX = 256 };

enum guard_result {
	GUARD_MORE,    /* needs more bytes */
	GUARD_DONE,    /* one request is complete; bytes behind it were not used */
	GUARD_REFUSED, /* `refusal` and `why` say it; the connection cannot go on */
};

/* Where something stands in `head`. */
struct guard_span {
	uint32_t at, n;
};

struct guard {
	int64_t header_max, body_max;
	int state;
	struct buf head, body, line;
	size_t line_start;
	struct guard_span method, target, host;
	struct guard_span names[GUARD_FIELDS_MAX], values[GUARD_FIELDS_MAX];
	size_t n_fields;
	int minor;		 /* of HTTP/1.x */
	int64_t length, missing; /* Content-Length, -1: none; bytes to come of body or chunk */
	int64_t trailer_bytes;
	bool skipped_blank, chunked, is_upgrade, asks_websocket, asks_close, asks_keep_alive;
	bool expects_continue; /* the client waits for a 100; reset it when sent */
	bool wants_websocket;  /* a handshake: bytes behind it are no HTTP */
	int refusal;
	const char *why; /* one sentence, static */
};

void guard_init(struct guard *g, int64_t header_max, int64_t body_max);
void guard_fini(struct guard *g);
/* Ready for the next request; keeps modest buffers. */
void guard_reset(struct guard *g);
/* *ret_used: how many of the `n` bytes belong to this request. */
enum guard_result guard_feed(struct guard *g, const char *p, size_t n, size_t *ret_used);
/* Whether a part of a request has been read. */
bool guard_is_started(const struct guard *g);
/* Whether the connection may go on after this request, by the request alone. */
bool guard_keeps_alive(const struct guard *g);

static inline struct str guard_str(const struct guard *g, struct guard_span s)
{
	return (struct str){buf_view(&g->head).p + s.at, s.n};
}
