/* The strict request parser: lines, then the fields that decide how the body is framed, then the body. */
#include "net/guard.h"

#include <strings.h>

#include "base/mem.h"

enum { KEEP_BYTES = 4096 };

enum state {
	START_LINE,
	FIELDS,
	FIXED_BODY,
	CHUNK_SIZE,
	CHUNK_DATA,
	CHUNK_END,
	TRAILER,
	DONE,
	REFUSED
};

/* RFC 9110, 5.6.2: the characters of a token. */
static bool is_token_char(unsigned char c)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && memchr(others, c, sizeof others - 1));
}

static size_t token_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && is_token_char((unsigned char)s.p[n]))
		n++;
	return n;
}

static bool is_text(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool equals(struct str s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static struct str trimmed(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static void refuse(struct guard *g, int status, const char *why)
{
	g->state = REFUSED;
	g->refusal = status;
	g->why = why;
}

static struct guard_span span_of(const struct guard *g, struct str s)
{
	return (struct guard_span){(uint32_t)(s.p - g->head.data), (uint32_t)s.n};
}

/* --- the fields that decide --- */

static void on_host(struct guard *g, struct str value)
{
	static const char others[] = "-._:[]";

	if (g->host.n) {
		refuse(g, 400, "The request has more than one Host.");
		return;
	}
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') &&
			(c == '\0' || !memchr(others, c, sizeof others - 1))) {
			refuse(g, 400, "Host is not a host name or address.");
			return;
		}
	}
	if (value.n == 0)
		refuse(g, 400, "Host is empty.");
	g->host = span_of(g, value);
}

static void on_content_length(struct guard *g, struct str value)
{
	int64_t length = 0;

	if (g->length >= 0 || value.n == 0) {
		refuse(g, 400, "Content-Length is empty or given twice.");
		return;
	}
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9') {
			refuse(g, 400, "Content-Length is not a decimal number.");
			return;
		}
		if (length < INT64_MAX / 100)
			length = length * 10 + (value.p[i] - '0');
	}
	g->length = length;
}

static void on_transfer_encoding(struct guard *g, struct str value)
{
	if (g->chunked)
		refuse(g, 400, "Transfer-Encoding is given twice.");
	else if (!equals(value, "chunked"))
		refuse(g, 501, "The only transfer encoding known here is chunked.");
	g->chunked = true;
}

static void on_connection(struct guard *g, struct str value)
{
	while (value.n) {
		const char *comma = memchr(value.p, ',', value.n);
		size_t n = comma ? (size_t)(comma - value.p) : value.n;
		struct str option = trimmed((struct str){value.p, n});

		g->asks_close |= equals(option, "close");
		g->asks_keep_alive |= equals(option, "keep-alive");
		g->is_upgrade |= equals(option, "upgrade");
		n += comma != NULL;
		value = (struct str){value.p + n, value.n - n};
	}
}

static void on_upgrade(struct guard *g, struct str value)
{
	g->asks_websocket |= equals(value, "websocket");
}

static void on_expect(struct guard *g, struct str value)
{
	if (equals(value, "100-continue"))
		g->expects_continue = g->minor == 1;
	else
		refuse(g, 417, "The only expectation known here is 100-continue.");
}

static const struct {
	const char *name;
	void (*read)(struct guard *g, struct str value);
} deciding_fields[] = {
	{"host", on_host},
	{"content-length", on_content_length},
	{"transfer-encoding", on_transfer_encoding},
	{"connection", on_connection},
	{"upgrade", on_upgrade},
	{"expect", on_expect},
};

/* --- the head --- */

static bool read_version(struct guard *g, struct str v)
{
	if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || v.p[6] != '.' || v.p[5] < '0' ||
		v.p[5] > '9' || v.p[7] < '0' || v.p[7] > '9') {
		refuse(g, 400, "The request line does not end in an HTTP version.");
		return false;
	}
	if (v.p[5] != '1' || v.p[7] > '1') {
		refuse(g, 505, "This server speaks HTTP/1.0 and HTTP/1.1.");
		return false;
	}
	g->minor = v.p[7] - '0';
	return true;
}

static bool is_target(struct str t)
{
	for (size_t i = 0; i < t.n; i++)
		if (t.p[i] <= 0x20 || t.p[i] >= 0x7f || t.p[i] == '#')
			return false;
	return t.n > 0 && (t.p[0] == '/' || str_is(t, "*") ||
				  (t.n > 7 && equals((struct str){t.p, 7}, "http://")));
}

/* method SP target SP version */
static void read_start_line(struct guard *g, struct str line)
{
	size_t method_n = token_length(line), target_at = method_n + 1;
	const char *space;

	if (line.n == 0 && !g->skipped_blank) { /* RFC 9112, 2.2 */
		g->skipped_blank = true;
		return;
	}
	space = target_at < line.n ? memchr(line.p + target_at, ' ', line.n - target_at) : NULL;
	if (method_n == 0 || line.p[method_n] != ' ' || !space) {
		refuse(g, 400, "The request line is not 'method target version'.");
		return;
	}
	g->method = span_of(g, (struct str){line.p, method_n});
	if (!read_version(g, (struct str){space + 1, line.n - (size_t)(space + 1 - line.p)}))
		return;
	g->target =
		span_of(g, (struct str){line.p + target_at, (size_t)(space - line.p) - target_at});
	if (!is_target(guard_str(g, g->target)))
		refuse(g, 400, "The request target is not a path.");
	else
		g->state = FIELDS;
}

/* Splits and checks one field line; refuses and returns false when it is not one. */
static bool split_field(
	struct guard *g, struct str line, struct str *ret_name, struct str *ret_value)
{
	size_t n = token_length(line);

	if (n == 0 || n == line.n || line.p[n] != ':') {
		refuse(g, 400, "A header line is not 'name: value'.");
		return false;
	}
	*ret_name = (struct str){line.p, n};
	*ret_value = trimmed((struct str){line.p + n + 1, line.n - n - 1});
	if (!is_text(*ret_value)) {
		refuse(g, 400, "A header value has control characters.");
		return false;
	}
	return true;
}

/* An absolute target stands for its path when it names the same host as Host does (RFC 9112, 3.2.2). */
static void shorten_absolute_target(struct guard *g)
{
	struct str target = guard_str(g, g->target), host = guard_str(g, g->host);
	const char *path;

	if (target.p[0] == '/' || target.p[0] == '*')
		return;
	target = (struct str){target.p + 7, target.n - 7};
	path = memchr(target.p, '/', target.n);
	if (!path || (size_t)(path - target.p) != host.n ||
		strncasecmp(target.p, host.p, host.n) != 0) {
		refuse(g, 400, "The request target names another host than Host.");
		return;
	}
	g->target = span_of(g, (struct str){path, target.n - (size_t)(path - target.p)});
}

static void start_body(struct guard *g)
{
	if (g->length > g->body_max) {
		refuse(g, 413, "The body is larger than this server takes.");
	} else if (g->chunked) {
		g->state = CHUNK_SIZE;
	} else if (g->length > 0) {
		g->state = FIXED_BODY;
		g->missing = g->length;
	} else {
		g->state = DONE;
	}
	g->expects_continue &= g->state != DONE && g->state != REFUSED;
}

static void end_head(struct guard *g)
{
	bool has_body = g->chunked || g->length > 0;

	g->wants_websocket = g->is_upgrade && g->asks_websocket && g->minor == 1;
	if (!g->host.n && g->minor == 1)
		refuse(g, 400, "The request has no Host.");
	else if (g->chunked && g->length >= 0)
		refuse(g, 400, "The request has both Content-Length and Transfer-Encoding.");
	else if (g->chunked && g->minor == 0)
		refuse(g, 400, "HTTP/1.0 has no Transfer-Encoding.");
	else if (g->wants_websocket && has_body)
		refuse(g, 400, "A WebSocket handshake has no body.");
	else
		shorten_absolute_target(g);
	if (g->state != REFUSED)
		start_body(g);
}

static void read_field(struct guard *g, struct str line)
{
	struct str name, value;

	if (line.n == 0) {
		end_head(g);
		return;
	}
	if (g->n_fields == GUARD_FIELDS_MAX) {
		refuse(g, 431, "The request has too many header fields.");
		return;
	}
	if (!split_field(g, line, &name, &value))
		return;
	g->names[g->n_fields] = span_of(g, name);
	g->values[g->n_fields++] = span_of(g, value);
	for (size_t i = 0; i < ARRAY_LEN(deciding_fields); i++)
		if (equals(name, deciding_fields[i].name))
			deciding_fields[i].read(g, value);
}

/* --- a chunked body (RFC 9112, 7.1) --- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Extensions are allowed and ignored. */
static void read_chunk_size(struct guard *g, struct str line)
{
	int64_t size = 0;
	size_t n = 0;

	for (; n < line.n && hex_digit(line.p[n]) >= 0; n++)
		if (size <= INT64_MAX / 32)
			size = size * 16 + hex_digit(line.p[n]);
	if (n == 0 || (n < line.n && line.p[n] != ';') || !is_text(line)) {
		refuse(g, 400, "A chunk does not start with its size.");
	} else if (size > g->body_max - (int64_t)g->body.len) {
		refuse(g, 413, "The body is larger than this server takes.");
	} else {
		g->missing = size;
		g->state = size ? CHUNK_DATA : TRAILER;
	}
}

static void read_chunk_end(struct guard *g, struct str line)
{
	if (line.n)
		refuse(g, 400, "A chunk is longer than its size.");
	else
		g->state = CHUNK_SIZE;
}

/* Trailer fields are checked, counted and dropped. */
static void read_trailer(struct guard *g, struct str line)
{
	struct str name, value;

	g->trailer_bytes += (int64_t)line.n + 2;
	if (line.n == 0)
		g->state = DONE;
	else if (g->trailer_bytes > g->header_max)
		refuse(g, 431, "The trailer is larger than this server takes.");
	else
		split_field(g, line, &name, &value);
}

/* --- bytes --- */

static void (*const on_line[])(struct guard *, struct str) = {
	[START_LINE] = read_start_line,
	[FIELDS] = read_field,
	[CHUNK_SIZE] = read_chunk_size,
	[CHUNK_END] = read_chunk_end,
	[TRAILER] = read_trailer,
};

/* Adds to the line that is being read; at its end hands it over. Returns the bytes used. */
static size_t feed_line(struct guard *g, const char *p, size_t n)
{
	bool in_head = g->state <= FIELDS;
	struct buf *b = in_head ? &g->head : &g->line;
	size_t max = in_head ? (size_t)g->header_max : GUARD_CHUNK_LINE_MAX;
	const char *end = memchr(p, '\n', n);
	struct str line;

	n = end ? (size_t)(end - p) + 1 : n;
	if (n > max - b->len) {
		refuse(g, in_head || g->state == TRAILER ? 431 : 400,
			in_head ? "The request head is larger than this server takes."
				: "A line of the body's framing is too long.");
		return n;
	}
	buf_add(b, p, n);
	if (!end || b->failed)
		return n;
	line = (struct str){b->data + g->line_start, b->len - g->line_start - 1};
	if (line.n == 0 || line.p[line.n - 1] != '\r') {
		refuse(g, 400, "A line does not end in CR LF.");
		return n;
	}
	line.n--;
	on_line[g->state](g, line);
	if (!in_head)
		buf_clear(b);
	g->line_start = g->state <= FIELDS ? b->len : 0;
	return n;
}

static size_t feed_body(struct guard *g, const char *p, size_t n)
{
	if ((int64_t)n > g->missing)
		n = (size_t)g->missing;
	if (g->body.len == 0 && g->state == FIXED_BODY)
		buf_reserve(&g->body, (size_t)g->length);
	buf_add(&g->body, p, n);
	g->missing -= (int64_t)n;
	if (g->missing == 0)
		g->state = g->state == FIXED_BODY ? DONE : CHUNK_END;
	return n;
}

enum guard_result guard_feed(struct guard *g, const char *p, size_t n, size_t *ret_used)
{
	size_t used = 0;

	while (used < n && g->state != DONE && g->state != REFUSED) {
		if (g->state == FIXED_BODY || g->state == CHUNK_DATA)
			used += feed_body(g, p + used, n - used);
		else
			used += feed_line(g, p + used, n - used);
		if (g->head.failed || g->body.failed || g->line.failed)
			refuse(g, 503, "The server is out of memory.");
	}
	*ret_used = used;
	if (g->state == REFUSED)
		return GUARD_REFUSED;
	return g->state == DONE ? GUARD_DONE : GUARD_MORE;
}

bool guard_is_started(const struct guard *g)
{
	return g->head.len > 0;
}

bool guard_keeps_alive(const struct guard *g)
{
	if (g->state == REFUSED || g->asks_close || g->wants_websocket)
		return false;
	return g->minor == 1 || g->asks_keep_alive;
}

static void empty(struct buf *b)
{
	if (b->cap > KEEP_BYTES || b->failed)
		buf_fini(b);
	else
		buf_clear(b);
}

void guard_reset(struct guard *g)
{
	struct guard fresh = {.header_max = g->header_max, .body_max = g->body_max, .length = -1};

	empty(&g->head);
	empty(&g->body);
	empty(&g->line);
	fresh.head = g->head;
	fresh.body = g->body;
	fresh.line = g->line;
	*g = fresh;
}

void guard_init(struct guard *g, int64_t header_max, int64_t body_max)
{
	*g = (struct guard){.header_max = header_max, .body_max = body_max, .length = -1};
}

void guard_fini(struct guard *g)
{
	buf_fini(&g->head);
	buf_fini(&g->body);
	buf_fini(&g->line);
}
