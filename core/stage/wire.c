/* Writing frames, and reading them without believing them. */
#include "stage/wire.h"

#include "base/mem.h"

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

	pack_u32(out, s->stage);
	pack_u32(out, s->log_level);
	pack_u32(out, s->parent);
	pack_u32(out, s->is_sanitized);
	pack_u32(out, s->is_confined);
	pack_text(out, s->path);
	pack_text(out, s->name);
	pack_str(out, s->pipeline);
	frame_end(out, at, WIRE_START);
}

void wire_put_task(struct buf *out, uint64_t number, const struct task *t)
{
	size_t at = frame_begin(out);

	pack_u64(out, number);
	pack_u64(out, t->ticket);
	pack_u64(out, (uint64_t)t->started_us);
	pack_u64(out, (uint64_t)t->as_of_us);
	task_pack(out, t);
	frame_end(out, at, WIRE_TASK);
}

void wire_put_modules(struct buf *out, const struct wire_module *modules, size_t n)
{
	size_t at = frame_begin(out);

	pack_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		pack_u64(out, modules[i].bias);
		pack_u64(out, modules[i].start);
		pack_u64(out, modules[i].end);
		pack_text(out, modules[i].path);
	}
	frame_end(out, at, WIRE_MODULES);
}

void wire_put_text(struct buf *out, enum wire_type type, const char *text)
{
	size_t at = frame_begin(out);

	pack_text(out, text);
	frame_end(out, at, type);
}

void wire_put_log(struct buf *out, uint32_t level, const char *text)
{
	size_t at = frame_begin(out);

	pack_u32(out, level);
	pack_text(out, text);
	frame_end(out, at, WIRE_LOG);
}

void wire_put_wake(struct buf *out, uint64_t ticket)
{
	size_t at = frame_begin(out);

	pack_u64(out, ticket);
	frame_end(out, at, WIRE_WAKE);
}

void wire_put_answer(struct buf *out, uint64_t number, const struct task *t)
{
	size_t at = frame_begin(out);

	pack_u64(out, number);
	pack_u32(out, t->is_ticketed);
	task_answer_pack(out, t);
	frame_end(out, at, WIRE_ANSWER);
}

/* --- reading --- */

int wire_take(struct str *in, size_t max, struct wire_frame *ret)
{
	uint32_t length;
	uint16_t words[2];

	if (in->n < WIRE_HEAD)
		return 0;
	memcpy(&length, in->p, sizeof length);
	memcpy(words, in->p + sizeof length, sizeof words);
	if (length > max - WIRE_HEAD || words[1] != WIRE_VERSION || words[0] < WIRE_START ||
		words[0] > WIRE_WAKE)
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
	struct unpack r = {body, false};

	*ret = (struct wire_start){.stage = unpack_u32(&r)};
	ret->log_level = unpack_u32(&r);
	ret->parent = unpack_u32(&r);
	ret->is_sanitized = unpack_u32(&r);
	ret->is_confined = unpack_u32(&r);
	ret->path = unpack_text(&r);
	ret->name = unpack_text(&r);
	ret->pipeline = unpack_str(&r);
	return ret->path && ret->name && ret->pipeline.p ? unpack_end(&r) : -EPROTO;
}

int wire_get_task(struct str body, uint64_t *ret_number, struct task **ret)
{
	struct unpack r = {body, false};
	uint64_t number = unpack_u64(&r), ticket = unpack_u64(&r);
	int64_t started_us = (int64_t)unpack_u64(&r), as_of_us = (int64_t)unpack_u64(&r);
	struct task *t;
	int result = task_unpack(&r, &t);

	if (result < 0)
		return result;
	if (unpack_end(&r) < 0) {
		task_free(t);
		return -EPROTO;
	}
	t->ticket = ticket;
	t->started_us = started_us;
	t->as_of_us = as_of_us;
	*ret_number = number;
	*ret = t;
	return 0;
}

int wire_get_modules(struct str body, struct wire_module *modules, size_t *ret_n)
{
	struct unpack r = {body, false};
	uint32_t n = unpack_u32(&r);

	if (n > WIRE_MODULES_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < n; i++) {
		modules[i].bias = unpack_u64(&r);
		modules[i].start = unpack_u64(&r);
		modules[i].end = unpack_u64(&r);
		modules[i].path = unpack_text(&r);
		if (!modules[i].path)
			return -EPROTO;
	}
	*ret_n = n;
	return unpack_end(&r);
}

int wire_get_text(struct str body, const char **ret)
{
	struct unpack r = {body, false};

	*ret = unpack_text(&r);
	return *ret ? unpack_end(&r) : -EPROTO;
}

int wire_get_log(struct str body, uint32_t *ret_level, const char **ret)
{
	struct unpack r = {body, false};

	*ret_level = unpack_u32(&r);
	*ret = unpack_text(&r);
	return *ret ? unpack_end(&r) : -EPROTO;
}

int wire_get_wake(struct str body, uint64_t *ret_ticket)
{
	struct unpack r = {body, false};

	*ret_ticket = unpack_u64(&r);
	return unpack_end(&r);
}

int wire_get_answer(struct str body, struct wire_answer *ret)
{
	struct unpack r = {body, false};

	uint32_t is_ticketed;

	ret->number = unpack_u64(&r);
	is_ticketed = unpack_u32(&r);
	if (task_answer_unpack(&r, &ret->said) < 0 || ret->said.verdict > VERDICT_WAIT ||
		is_ticketed > 1)
		return -EPROTO;
	ret->is_ticketed = is_ticketed;
	return unpack_end(&r);
}

int wire_get_crash(struct str body, struct wire_crash *ret)
{
	struct unpack r = {body, false};

	ret->signal = unpack_u32(&r);
	ret->code = (int32_t)unpack_u32(&r);
	ret->address = unpack_u64(&r);
	ret->system_call = (int32_t)unpack_u32(&r);
	ret->is_in_call = unpack_u32(&r);
	ret->memory = unpack_u64(&r);
	return unpack_end(&r);
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
