/* The people of a played case: they set up the state, place the order, and do what the case says. */
#include "base/clock.h"
#include "base/mem.h"
#include "kit/play.h"

static bool send(struct play *p, struct command *c)
{
	engine_submit(p->engine, c);
	p->n_unanswered++;
	return true;
}

/* Sets a key; null removes it. */
static bool send_state(struct play *p, const struct yaml_node *entry)
{
	_cleanup_(buf_fini) struct buf json = {0};
	struct command *c = command_new(COMMAND_ADJUST, (void *)p->c->node);

	if (!c)
		return false;
	pipeline_state_json(entry, &json);
	c->key = str_dup(entry->key);
	c->reason = str_dup(STR("the case"));
	c->body = json.failed ? NULL : buf_steal(&json, NULL);
	if (!c->key || !c->reason || !c->body) {
		command_free(c);
		return false;
	}
	c->effect = (struct effect){
		.kind = entry->type == YAML_NULL ? EFFECT_DELETE : EFFECT_PUT,
		.key = str_of(c->key),
	};
	if (c->effect.kind == EFFECT_PUT)
		c->effect.json = str_of(c->body);
	return send(p, c);
}

int play_people_begin(struct play *p)
{
	struct command *c;

	for (size_t i = 0; i < ARRAY_LEN(p->c->states); i++)
		for (const struct yaml_node *m = p->c->states[i] ? p->c->states[i]->first : NULL; m;
			m = m->next)
			if (!send_state(p, m))
				return -ENOMEM;
	c = command_new(COMMAND_PLACE, (void *)p->c->node);
	if (!c || !(c->body = str_dup(p->c->order))) {
		command_free(c);
		return -ENOMEM;
	}
	send(p, c);
	return 0;
}

void play_people_saw(struct play *p, const struct event *ev)
{
	bool is_taken = false; /* each event sets off one act; the next such event the next one */

	for (size_t i = 0; i < p->c->n_people; i++) {
		const struct case_act *a = &p->c->people[i];
		struct play_act *act = &p->acts[i];
		bool is_meant = a->after ? !is_taken && str_is(ev->type, a->after)
					 : ev->kind == EVENT_ORDER_CREATED;

		if (act->is_due || !is_meant)
			continue;
		is_taken |= a->after != NULL;
		*act = (struct play_act){
			.is_due = true, .at_us = clock_mono_us() + a->at_ms * 1000};
	}
}

static const struct {
	enum command_kind kind;
	const char *action;
} commands[ACT_KINDS] = {
	[ACT_CANCEL] = {COMMAND_CANCEL},
	[ACT_RETRY] = {COMMAND_RELEASE, "retry"},
	[ACT_SKIP] = {COMMAND_RELEASE, "skip"},
	[ACT_DISCARD] = {COMMAND_RELEASE, "discard"},
	[ACT_EDIT] = {COMMAND_RELEASE, "retry"},
	[ACT_SIGNAL] = {COMMAND_SIGNAL},
	[ACT_PAUSE] = {COMMAND_PAUSE},
	[ACT_RESUME] = {COMMAND_RESUME},
	[ACT_ADJUST] = {COMMAND_ADJUST},
};

static struct command *command_of(const struct play *p, const struct case_act *a)
{
	struct command *c = command_new(commands[a->kind].kind, (void *)a->node);
	bool is_adjust = a->kind == ACT_ADJUST;
	struct str body = is_adjust				? a->effect.json
			  : a->kind == ACT_SIGNAL && !a->body.p ? STR("{}")
								: a->body;

	if (!c)
		return NULL;
	c->id = p->order_id;
	c->action = commands[a->kind].action;
	c->reason = str_dup(is_adjust ? STR("the case") : str_of(a->text));
	c->stage = a->stage ? str_dup(str_of(a->stage)) : NULL;
	c->body = body.p ? str_dup(body) : NULL;
	c->key = is_adjust ? str_dup(str_of(a->text)) : NULL;
	if (!c->reason || (a->stage && !c->stage) || (body.p && !c->body) ||
		(is_adjust && !c->key)) {
		command_free(c);
		return NULL;
	}
	if (is_adjust) {
		c->effect = a->effect;
		c->effect.floor = EFFECT_NO_FLOOR;
		c->effect.key = str_of(c->key);
		c->effect.json = a->effect.kind == EFFECT_PUT ? str_of(c->body) : (struct str){0};
	}
	return c;
}

bool play_people_act(struct play *p)
{
	for (size_t i = 0; i < p->c->n_people; i++) {
		struct play_act *act = &p->acts[i];
		struct command *c;

		if (!act->is_due || act->is_done || act->at_us > clock_mono_us())
			continue;
		act->is_done = true;
		c = command_of(p, &p->c->people[i]);
		if (!c) {
			p->has_no_memory = true;
			return false;
		}
		return send(p, c);
	}
	return false;
}

int64_t play_people_next_us(const struct play *p)
{
	int64_t next_us = INT64_MAX;

	for (size_t i = 0; i < p->c->n_people; i++)
		if (p->acts[i].is_due && !p->acts[i].is_done && p->acts[i].at_us < next_us)
			next_us = p->acts[i].at_us;
	return next_us;
}

static const struct case_act *act_at(const struct play *p, const struct yaml_node *node)
{
	for (size_t i = 0; i < p->c->n_people; i++)
		if (p->c->people[i].node == node)
			return &p->c->people[i];
	return NULL;
}

void play_people_heard(struct play *p, struct command *c)
{
	const struct case_act *a = act_at(p, c->context);

	p->n_unanswered--;
	if (c->kind == COMMAND_PLACE && c->result == 0) {
		p->is_placed = true;
		p->order_id = c->id;
	}
	if (c->result < 0 && !(a && a->is_refused))
		yaml_fault(p->faults, c->context, "%s refused: %s",
			a			   ? "it was"
			: c->kind == COMMAND_PLACE ? "the order was"
						   : "the state before the start was",
			err_text(&c->err));
	else if (c->result == 0 && a && a->is_refused)
		yaml_fault(p->faults, c->context, "it was not refused");
	command_free(c);
}

void play_people_end(struct play *p)
{
	for (size_t i = 0; i < p->c->n_people; i++)
		if (!p->acts[i].is_done)
			yaml_fault(p->faults, p->c->people[i].node,
				"it was never done: there was no %sevent '%s'",
				p->acts[i].is_due ? "time for it after " : "",
				p->c->people[i].after ? p->c->people[i].after : "order_created");
}
