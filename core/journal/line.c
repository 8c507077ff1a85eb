/* Events as lines of JSON. */
#include "journal/line.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

static const char payload_key[] = ",\"payload\":";

void chain_head_text(const struct chain_head *head, char out[CHAIN_HEAD_TEXT])
{
	char hash[DIGEST_TEXT_SIZE];

	digest_text(head->hash, hash);
	snprintf(out, CHAIN_HEAD_TEXT, "%" PRId64 ":%s", head->seq, hash);
}

/* --- writing --- */

/* At most as many as a hash has. */
static void write_bytes(struct json_writer *w, const char *name, struct str bytes)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * CHAIN_HASH_SIZE + 1];

	if (!bytes.p)
		return;
	assert(bytes.n <= CHAIN_HASH_SIZE);
	for (size_t i = 0; i < bytes.n; i++) {
		text[2 * i] = digits[(unsigned char)bytes.p[i] >> 4];
		text[2 * i + 1] = digits[(unsigned char)bytes.p[i] & 15];
	}
	text[2 * bytes.n] = '\0';
	json_key(w, name);
	json_text(w, text);
}

static void write_int(struct json_writer *w, const char *name, int64_t value)
{
	json_key(w, name);
	json_int(w, value);
}

void chain_line_first(struct buf *out, const char *what, const struct chain_head *previous,
	const struct id *order, int64_t order_seq)
{
	struct json_writer w = {out, false};
	char head[CHAIN_HEAD_TEXT];

	json_open(&w, '{');
	json_key(&w, "stageline");
	json_text(&w, what);
	write_int(&w, "version", LINE_VERSION);
	if (order) {
		json_key(&w, "order");
		json_id(&w, order);
		write_int(&w, "order_seq", order_seq);
	}
	if (previous) {
		chain_head_text(previous, head);
		json_key(&w, "previous");
		json_text(&w, head);
	}
	json_close(&w, '}');
	buf_char(out, '\n');
}

void chain_line_event(struct buf *out, const struct chain_row *row, bool has_payload)
{
	struct json_writer w = {out, false};

	json_open(&w, '{');
	write_int(&w, "seq", row->ev.seq);
	write_int(&w, "time_us", row->ev.time_us);
	if (row->ev.order_seq)
		write_int(&w, "order_seq", row->ev.order_seq);
	write_int(&w, "kind", row->kind);
	json_key(&w, "type");
	json_str(&w, row->ev.type);
	if (row->ev.stage.p) {
		json_key(&w, "stage");
		json_str(&w, row->ev.stage);
	}
	write_int(&w, "attempt", row->ev.attempt);
	write_bytes(&w, "id", row->id);
	if (has_payload)
		write_bytes(&w, "salt", row->salt);
	write_bytes(&w, "digest", row->digest);
	write_bytes(&w, "hash", row->hash);
	if (has_payload && row->payload.p) {
		buf_text(out, payload_key);
		buf_str(out, row->payload);
	}
	json_close(&w, '}');
	buf_char(out, '\n');
}

void chain_line_last(struct buf *out, const struct chain_head *head, int64_t n_events)
{
	char text[CHAIN_HEAD_TEXT];

	chain_head_text(head, text);
	buf_fmt(out, "{\"head\":\"%s\",\"events\":%" PRId64 "}\n", text, n_events);
}

/* --- reading --- */

static int read_int(
	const cJSON *object, const char *name, int64_t fallback, int64_t *ret, struct err *e)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(object, name);

	*ret = fallback;
	if ((!j && fallback >= 0) || json_to_int(j, ret))
		return 0;
	return err_set(e, -EINVAL, "'%s' is not a whole number", name);
}

static int read_bytes(const cJSON *object, const char *name, uint8_t *out, size_t n,
	struct str *ret, struct err *e)
{
	struct str text = json_member(object, name);

	*ret = (struct str){0};
	if (!cJSON_GetObjectItemCaseSensitive(object, name))
		return 0;
	if (!text.p || hex_parse(text, out, n) < 0)
		return err_set(e, -EINVAL, "'%s' is not %zu bytes in hex", name, n);
	*ret = (struct str){(const char *)out, n};
	return 0;
}

static int read_header(const cJSON *json, struct chain_line *l, struct err *e)
{
	struct event *ev = &l->row.ev;
	int64_t attempt;
	int r = read_int(json, "seq", -1, &ev->seq, e);

	if (r == 0)
		r = read_int(json, "time_us", -1, &ev->time_us, e);
	if (r == 0)
		r = read_int(json, "order_seq", 0, &ev->order_seq, e);
	if (r == 0)
		r = read_int(json, "kind", -1, &l->row.kind, e);
	if (r == 0)
		r = read_int(json, "attempt", -1, &attempt, e);
	if (r < 0)
		return r;
	if (attempt < 0 || attempt > UINT32_MAX)
		return err_set(e, -EINVAL, "'attempt' is out of range");
	ev->attempt = (uint32_t)attempt;
	ev->kind = (enum event_kind)l->row.kind;
	if (!arena_copy(&l->arena, json_member(json, "type"), &ev->type) ||
		!arena_copy(&l->arena, json_member(json, "stage"), &ev->stage))
		return err_set(e, -ENOMEM, "out of memory");
	return ev->type.p ? 0 : err_set(e, -EINVAL, "'type' is missing");
}

static int read_event(const cJSON *json, struct str line, struct chain_line *l, struct err *e)
{
	const char *payload = memmem(line.p, line.n, payload_key, sizeof payload_key - 1);
	struct chain_row *row = &l->row;
	int r = read_header(json, l, e);

	if (r == 0)
		r = read_bytes(json, "id", l->id, sizeof l->id, &row->id, e);
	if (r == 0)
		r = read_bytes(json, "salt", l->salt, sizeof l->salt, &row->salt, e);
	if (r == 0)
		r = read_bytes(json, "digest", l->digest, sizeof l->digest, &row->digest, e);
	if (r == 0)
		r = read_bytes(json, "hash", l->hash, sizeof l->hash, &row->hash, e);
	if (r < 0 || !cJSON_GetObjectItemCaseSensitive(json, "payload"))
		return r;
	if (!payload)
		return err_set(e, -EINVAL, "'payload' is not where an export has it");
	payload += sizeof payload_key - 1;
	row->payload = (struct str){payload, (size_t)(line.p + line.n - 1 - payload)};
	if (row->kind == EVENT_ORDER_CREATED && row->id.p)
		memcpy(row->ev.order_id.bytes, row->id.p, sizeof row->ev.order_id.bytes);
	return json_check(row->payload, JSON_DEPTH_MAX + 4, NULL, NULL) == 0
		       ? 0
		       : err_set(e, -EINVAL, "'payload' is not the last member");
}

int chain_line_read(struct str line, struct chain_line *ret, struct err *e)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	struct str head;
	int r;

	arena_fini(&ret->arena);
	*ret = (struct chain_line){0};
	r = json_parse(line, JSON_DEPTH_MAX + 8, &json, e);
	if (r < 0)
		return r;
	if (!cJSON_IsObject(json))
		return err_set(e, -EINVAL, "it is not a JSON object");
	head = json_member(json, "head");
	if (!head.p)
		return read_event(json, line, ret, e);
	ret->is_last = true;
	if (chain_head_parse(head, &ret->head) < 0)
		return err_set(e, -EINVAL, "'head' is not SEQ:HASH");
	return read_int(json, "events", -1, &ret->n_events, e);
}

int chain_line_check_first(struct str line, const char *what, struct err *e)
{
	_cleanup_(json_freep) cJSON *json = NULL;
	int64_t version = 0;
	int r = json_parse(line, JSON_DEPTH_MAX, &json, e);

	if (r < 0)
		return r;
	if (!str_is(json_member(json, "stageline"), what) ||
		read_int(json, "version", -1, &version, NULL) < 0)
		return err_set(e, -EINVAL, "it is not the first line of a %s", what);
	if (version != LINE_VERSION)
		return err_set(e, -EPROTO,
			"made by a newer version of Stageline (format %" PRId64 ", known: %d)",
			version, LINE_VERSION);
	return 0;
}

void chain_line_fini(struct chain_line *l)
{
	arena_fini(&l->arena);
}
