/* Packing tasks and verdicts, and taking them back from somebody who may be wrong. */
#include "model/task_pack.h"

#include "base/mem.h"

void task_pack(struct buf *out, const struct task *t)
{
	pack_u64(out, (uint64_t)t->order_seq);
	buf_add(out, t->order_id.bytes, sizeof t->order_id.bytes);
	pack_u32(out, t->attempt);
	pack_u32(out, t->turn);
	pack_u32(out, t->undo);
	pack_text(out, t->order);
	pack_text(out, t->results);
	pack_text(out, t->signal);
}

int task_unpack(struct unpack *r, struct task **ret)
{
	int64_t order_seq = (int64_t)unpack_u64(r);
	const char *id = unpack_bytes(r, sizeof(struct id));
	uint32_t attempt = unpack_u32(r), turn = unpack_u32(r), undo = unpack_u32(r);
	struct str order = unpack_str(r), results = unpack_str(r), signal = unpack_str(r);
	struct task *t;

	if (r->failed || undo > 1 || !order.p || !results.p)
		return -EPROTO;
	t = task_new(order, results, signal);
	if (!t)
		return -ENOMEM;
	memcpy(t->order_id.bytes, id, sizeof t->order_id.bytes);
	t->order_seq = order_seq;
	t->attempt = attempt;
	t->turn = turn;
	t->undo = undo;
	*ret = t;
	return 0;
}

void task_answer_pack(struct buf *out, const struct task *t)
{
	pack_u32(out, t->verdict);
	pack_u64(out, (uint64_t)t->delay_ms);
	pack_text(out, t->message);
	pack_text(out, t->shortage);
	pack_text(out, t->result);
	pack_u32(out, (uint32_t)t->n_effects);
	for (size_t i = 0; i < t->n_effects; i++) {
		const struct effect *e = &t->effects[i];

		pack_u32(out, e->kind);
		pack_u64(out, (uint64_t)e->delta);
		pack_u64(out, (uint64_t)e->floor);
		pack_str(out, e->key);
		pack_str(out, e->json);
	}
}

static int effect_unpack(struct unpack *r, struct task_effect *ret)
{
	uint32_t kind = unpack_u32(r);

	ret->delta = (int64_t)unpack_u64(r);
	ret->floor = (int64_t)unpack_u64(r);
	ret->key = unpack_text(r);
	ret->json = unpack_str(r);
	if (r->failed || kind > EFFECT_DELETE || !ret->key || (kind == EFFECT_PUT && !ret->json.p))
		return -EPROTO;
	ret->kind = (enum effect_kind)kind;
	return 0;
}

int task_answer_unpack(struct unpack *r, struct task_answer *ret)
{
	uint32_t verdict = unpack_u32(r);
	struct task_effect effect;

	*ret = (struct task_answer){.delay_ms = (int64_t)unpack_u64(r)};
	ret->message = unpack_text(r);
	ret->shortage = unpack_text(r);
	ret->result = unpack_text(r);
	ret->n_effects = unpack_u32(r);
	ret->effects = r->rest;
	if (r->failed || verdict > VERDICT_CRASH || ret->n_effects > TASK_EFFECTS_MAX)
		return -EPROTO;
	ret->verdict = (enum verdict)verdict;
	for (size_t i = 0; i < ret->n_effects; i++)
		if (effect_unpack(r, &effect) < 0)
			return -EPROTO;
	ret->effects.n -= r->rest.n;
	return 0;
}

int task_effect_unpack(struct str *effects, struct task_effect *ret)
{
	struct unpack r = {*effects, false};

	if (effect_unpack(&r, ret) < 0)
		return -EPROTO;
	*effects = r.rest;
	return 0;
}

/* --- taking a verdict --- */

static int take_text(struct task *t, const char **slot, const char *text)
{
	struct str s = str_of(text);

	if (!text)
		return 0;
	if (s.n > TASK_MESSAGE_MAX || !utf8_valid(s))
		return -EPROTO;
	*slot = task_keep(t, s);
	return *slot ? 0 : -ENOMEM;
}

static bool is_value(struct str json, bool must_be_object)
{
	bool is_compact = false;

	return json.n <= TASK_RESULT_MAX &&
	       json_check(json, TASK_JSON_DEPTH, &is_compact, NULL) == 0 && is_compact &&
	       (!must_be_object || *json.p == '{');
}

static bool is_amount(int64_t v)
{
	return v >= -TASK_DELTA_MAX && v <= TASK_DELTA_MAX;
}

static int take_effect(struct task *t, const struct task_effect *from, struct effect *to)
{
	if (!task_key_is_valid(from->key) ||
		(from->kind == EFFECT_PUT && !is_value(from->json, false)) ||
		(from->kind == EFFECT_ADD &&
			(!is_amount(from->delta) ||
				(from->floor != EFFECT_NO_FLOOR && !is_amount(from->floor)))))
		return -EPROTO;
	*to = (struct effect){.kind = from->kind, .delta = from->delta, .floor = from->floor};
	if (!arena_copy(&t->arena, str_of(from->key), &to->key) ||
		(from->kind == EFFECT_PUT && !arena_copy(&t->arena, from->json, &to->json)))
		return -ENOMEM;
	return 0;
}

static int take_effects(struct task *t, const struct task_answer *a)
{
	struct str rest = a->effects;
	struct task_effect e;

	if (!a->n_effects)
		return 0;
	if (a->verdict != VERDICT_DONE || a->effects.n > TASK_VERDICT_BYTES_MAX * 2)
		return -EPROTO;
	t->effects = arena_alloc(&t->arena, a->n_effects * sizeof *t->effects);
	if (!t->effects)
		return -ENOMEM;
	for (size_t i = 0; i < a->n_effects; i++) {
		int r = task_effect_unpack(&rest, &e);

		if (r == 0)
			r = take_effect(t, &e, &t->effects[i]);
		if (r < 0)
			return r;
	}
	t->n_effects = a->n_effects;
	return 0;
}

int task_answer_take(struct task *t, const struct task_answer *a)
{
	int r = a->verdict == VERDICT_LATER ? -EPROTO : 0;

	task_clear_verdict(t);
	if (r == 0)
		r = take_text(t, &t->message, a->message);
	if (r == 0)
		r = take_text(t, &t->shortage, a->shortage);
	if (r == 0 && a->result)
		r = is_value(str_of(a->result), true) ? 0 : -EPROTO;
	if (r == 0 && a->result && !(t->result = task_keep(t, str_of(a->result))))
		r = -ENOMEM;
	if (r == 0)
		r = take_effects(t, a);
	if (r < 0) {
		task_clear_verdict(t);
		return r;
	}
	t->verdict = a->verdict;
	t->delay_ms = a->delay_ms >= 0 ? a->delay_ms : -1;
	return 0;
}
