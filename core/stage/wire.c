/* Writing frames, and reading them without believing them. */
#include "stage/wire.h"

#include "base/mem.h"

#define TEXT_ABSENT UINT32_MAX

/* --- writing --- */

static void put_u32(struct buf *out, uint32_t v)
{
	buf_add(out, &v, sizeof v);
}

static void put_u64(struct buf *out, uint64_t v)
{
	buf_add(out, &v, sizeof v);
}

static void put_str(struct buf *out, struct str s)
{
	put_u32(out, s.p ? (uint32_t)s.n : TEXT_ABSENT);
	if (!s.p)
		return;
	buf_str(out, s);
	buf_char(out, '\0');
}

static void put_text(struct buf *out, const char *s)
{
	put_str(out, str_of(s));
}

void wire_head(char out[WIRE_HEAD], enum wire_type type, uint32_t length)
{
	uint16_t words[2] = {(uint16_t)type, WIRE_VERSION};

	memcpy(out, &length, sizeof length);
	memcpy(out + sizeof length, words, sizeof words);
}

/* Returns where the frame begins. */
static size_t frame_begin(struct buf *out)
{
	static const char nothing[WIRE_HEAD];

	buf_add(out, nothing, sizeof nothing);
	return out->len - WIRE_HEAD;
}

static void frame_end(struct buf *out, size_t at, enum wire_type type)
{
	if (!out->failed)
		wire_head(out->data + at, type, (uint32_t)(out->len - at - WIRE_HEAD));
}

void wire_put_start(struct buf *out, const struct wire_start *s)
{
	size_t at = frame_begin(out);

	put_u32(out, s->stage);
	put_u32(out, s->log_level);
	put_u32(out, s->parent);
	put_u32(out, s->is_sanitized);
	put_text(out, s->path);
	put_text(out, s->name);
	put_str(out, s->pipeline);
	frame_end(out, at, WIRE_START);
}

void wire_put_task(struct buf *out, uint64_t number, const struct task *t)
{
	size_t at = frame_begin(out);

	put_u64(out, number);
	put_u64(out, (uint64_t)t->order_seq);
	buf_add(out, t->order_id.bytes, sizeof t->order_id.bytes);
	put_u32(out, t->attempt);
	put_u32(out, t->turn);
	put_u32(out, t->undo);
	put_text(out, t->order);
	put_text(out, t->results);
	put_text(out, t->signal);
	frame_end(out, at, WIRE_TASK);
}

void wire_put_modules(struct buf *out, const struct wire_module *modules, size_t n)
{
	size_t at = frame_begin(out);

	put_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		put_u64(out, modules[i].bias);
		put_u64(out, modules[i].start);
		put_u64(out, modules[i].end);
		put_text(out, modules[i].path);
	}
	frame_end(out, at, WIRE_MODULES);
}

void wire_put_text(struct buf *out, enum wire_type type, const char *text)
{
	size_t at = frame_begin(out);

	put_text(out, text);
	frame_end(out, at, type);
}

void wire_put_log(struct buf *out, uint32_t level, const char *text)
{
	size_t at = frame_begin(out);

	put_u32(out, level);
	put_text(out, text);
	frame_end(out, at, WIRE_LOG);
}

void wire_put_answer(struct buf *out, uint64_t number, const struct task *t)
{
	size_t at = frame_begin(out);

	put_u64(out, number);
	put_u32(out, t->verdict);
	put_u64(out, (uint64_t)t->delay_ms);
	put_text(out, t->message);
	put_text(out, t->shortage);
	put_text(out, t->result);
	put_u32(out, (uint32_t)t->n_effects);
	for (size_t i = 0; i < t->n_effects; i++) {
		const struct effect *e = &t->effects[i];

		put_u32(out, e->kind);
		put_u64(out, (uint64_t)e->delta);
		put_u64(out, (uint64_t)e->floor);
		put_str(out, e->key);
		put_str(out, e->json);
	}
	frame_end(out, at, WIRE_ANSWER);
}

/* --- reading: a reader that has failed gives zeros --- */

struct reader {
	struct str rest;
	bool failed;
};

static const char *get_bytes(struct reader *r, size_t n)
{
	const char *p = r->rest.p;

	if (r->failed || n > r->rest.n) {
		r->failed = true;
		return NULL;
	}
	r->rest.p += n;
	r->rest.n -= n;
	return p;
}

static uint32_t get_u32(struct reader *r)
{
	const char *p = get_bytes(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

static uint64_t get_u64(struct reader *r)
{
	const char *p = get_bytes(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

static struct str get_str(struct reader *r)
{
	uint32_t n = get_u32(r);
	const char *p, *end;

	if (r->failed || n == TEXT_ABSENT)
		return (struct str){0};
	p = get_bytes(r, n);
	end = get_bytes(r, 1);
	if (!end || *end)
		r->failed = true;
	if (r->failed)
		return (struct str){0};
	return (struct str){p, n};
}

/* A C string: no zero byte in it. NULL: absent. */
static const char *get_text(struct reader *r)
{
	struct str s = get_str(r);

	if (s.p && memchr(s.p, '\0', s.n))
		r->failed = true;
	return r->failed ? NULL : s.p;
}

static int end_of(const struct reader *r)
{
	return r->failed || r->rest.n ? -EPROTO : 0;
}

int wire_take(struct str *in, size_t max, struct wire_frame *ret)
{
	uint32_t length;
	uint16_t words[2];

	if (in->n < WIRE_HEAD)
		return 0;
	memcpy(&length, in->p, sizeof length);
	memcpy(words, in->p + sizeof length, sizeof words);
	if (length > max - WIRE_HEAD || words[1] != WIRE_VERSION || words[0] < WIRE_START ||
		words[0] > WIRE_TRACE)
		return -EPROTO;
	if (in->n - WIRE_HEAD < length)
		return 0;
	*ret = (struct wire_frame){(enum wire_type)words[0], {in->p + WIRE_HEAD, length}};
	in->p += WIRE_HEAD + length;
	in->n -= WIRE_HEAD + length;
	return 1;
}

int wire_get_start(struct str body, struct wire_start *ret)
{
	struct reader r = {body, false};

	*ret = (struct wire_start){.stage = get_u32(&r)};
	ret->log_level = get_u32(&r);
	ret->parent = get_u32(&r);
	ret->is_sanitized = get_u32(&r);
	ret->path = get_text(&r);
	ret->name = get_text(&r);
	ret->pipeline = get_str(&r);
	return ret->path && ret->name && ret->pipeline.p ? end_of(&r) : -EPROTO;
}

int wire_get_task(struct str body, uint64_t *ret_number, struct task **ret)
{
	struct reader r = {body, false};
	uint64_t number = get_u64(&r);
	int64_t order_seq = (int64_t)get_u64(&r);
	const char *id = get_bytes(&r, sizeof(struct id));
	uint32_t attempt = get_u32(&r), turn = get_u32(&r), undo = get_u32(&r);
	struct str order = get_str(&r), results = get_str(&r), signal = get_str(&r);
	struct task *t;

	if (end_of(&r) < 0 || undo > 1 || !order.p || !results.p)
		return -EPROTO;
	t = task_new(order, results, signal);
	if (!t)
		return -ENOMEM;
	memcpy(t->order_id.bytes, id, sizeof t->order_id.bytes);
	t->order_seq = order_seq;
	t->attempt = attempt;
	t->turn = turn;
	t->undo = undo;
	*ret_number = number;
	*ret = t;
	return 0;
}

int wire_get_modules(struct str body, struct wire_module *modules, size_t *ret_n)
{
	struct reader r = {body, false};
	uint32_t n = get_u32(&r);

	if (n > WIRE_MODULES_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < n; i++) {
		modules[i].bias = get_u64(&r);
		modules[i].start = get_u64(&r);
		modules[i].end = get_u64(&r);
		modules[i].path = get_text(&r);
		if (!modules[i].path)
			return -EPROTO;
	}
	*ret_n = n;
	return end_of(&r);
}

int wire_get_text(struct str body, const char **ret)
{
	struct reader r = {body, false};

	*ret = get_text(&r);
	return *ret ? end_of(&r) : -EPROTO;
}

int wire_get_log(struct str body, uint32_t *ret_level, const char **ret)
{
	struct reader r = {body, false};

	*ret_level = get_u32(&r);
	*ret = get_text(&r);
	return *ret ? end_of(&r) : -EPROTO;
}

int wire_get_answer(struct str body, struct wire_answer *ret)
{
	struct reader r = {body, false};
	uint32_t verdict;

	*ret = (struct wire_answer){.number = get_u64(&r)};
	verdict = get_u32(&r);
	ret->delay_ms = (int64_t)get_u64(&r);
	ret->message = get_text(&r);
	ret->shortage = get_text(&r);
	ret->result = get_text(&r);
	ret->n_effects = get_u32(&r);
	ret->effects = r.rest;
	if (r.failed || verdict > VERDICT_WAIT || ret->n_effects > TASK_EFFECTS_MAX)
		return -EPROTO;
	ret->verdict = (enum verdict)verdict;
	for (size_t i = 0; i < ret->n_effects; i++) {
		struct wire_effect effect;

		if (wire_get_effect(&r.rest, &effect) < 0)
			return -EPROTO;
	}
	return end_of(&r);
}

int wire_get_effect(struct str *effects, struct wire_effect *ret)
{
	struct reader r = {*effects, false};
	uint32_t kind = get_u32(&r);

	ret->delta = (int64_t)get_u64(&r);
	ret->floor = (int64_t)get_u64(&r);
	ret->key = get_text(&r);
	ret->json = get_str(&r);
	if (r.failed || kind > EFFECT_DELETE || !ret->key || (kind == EFFECT_PUT && !ret->json.p))
		return -EPROTO;
	ret->kind = (enum effect_kind)kind;
	*effects = r.rest;
	return 0;
}

int wire_get_crash(struct str body, struct wire_crash *ret)
{
	struct reader r = {body, false};

	ret->signal = get_u32(&r);
	ret->code = (int32_t)get_u32(&r);
	ret->address = get_u64(&r);
	ret->system_call = (int32_t)get_u32(&r);
	ret->is_in_call = get_u32(&r);
	ret->memory = get_u64(&r);
	return end_of(&r);
}

int wire_get_trace(struct str body, uint64_t *trace, size_t *ret_n)
{
	if (body.n % sizeof *trace || body.n / sizeof *trace > WIRE_TRACE_MAX)
		return -EPROTO;
	*ret_n = body.n / sizeof *trace;
	if (body.n)
		memcpy(trace, body.p, body.n);
	return 0;
}
