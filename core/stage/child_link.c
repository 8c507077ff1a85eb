/* One child of a pool, seen from the daemon: what it is told, and what of its words is taken. */
#include "stage/children.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { LAST_WORDS_MS = 250, AVERAGE_OF = 16, HEAR_MAX = 16 };

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

void child_link_end(struct child_link *c, bool is_polite)
{
	c->state = CHILD_ENDING;
	process_signal(&c->process, is_polite ? SIGQUIT : SIGKILL);
	c->kill_ms = is_polite ? clock_mono_ms() + LAST_WORDS_MS : INT64_MAX;
}

static void send(struct child_link *c)
{
	int r = process_send(&c->process);

	if (r < 0 && r != -EAGAIN && r != -EPIPE && r != -ECONNRESET) {
		c->autopsy.broken = "took nothing in";
		child_link_end(c, false);
	}
}

struct wire_start child_link_words(
	const struct pipeline *p, size_t stage, const struct plugin *plugin)
{
	return (struct wire_start){.stage = (uint32_t)stage,
		.log_level = log_get_level(),
		.parent = (uint32_t)getpid(),
		.is_sanitized = IS_SANITIZED,
		.is_confined = p->stages[stage].is_confined,
		.path = plugin->path,
		.name = plugin->stage->name,
		.pipeline = {p->document->source, p->document->source_len}};
}

int child_link_start(struct pool *p, struct child_link *c, struct err *e)
{
	const struct instance *in = p->instance;
	struct wire_start s = child_link_words(in->pipeline, in->stage, in->plugin);
	int r;

	*c = (struct child_link){
		.kill_ms = INT64_MAX, .started_ms = clock_mono_ms(), .is_new = true};
	c->autopsy = (struct autopsy){
		.plugin = in->plugin, .sandbox = &in->spec->sandbox, .modules = &c->modules};
	r = process_start(&c->process, in->spec->name, in->plugin->fd, e);
	if (r < 0)
		return r;
	c->pid = c->process.pid;
	wire_put_start(&c->process.out, &s);
	c->state = CHILD_STARTING;
	send(c);
	return 0;
}

/* The oldest one is what it works on now. */
static void next_call(struct child_link *c)
{
	struct task *head = c->pipe.first;

	c->head_since_us = clock_mono_us();
	if (!head)
		return;
	if (!head->started_us)
		head->started_us = c->head_since_us;
	task_set_mark(head, TASK_MARK_RUNNING);
}

void child_link_untouched(struct task *t)
{
	if (t->turn) {
		task_set_mark(t, TASK_MARK_LATER);
		return;
	}
	task_unmark(t);
	t->started_us = 0;
}

void child_link_give(struct pool *p, struct child_link *c, struct task *t)
{
	struct buf *out = &c->process.out;
	size_t before = out->len;

	if (!t->ticket)
		t->ticket = tickets_take(&p->tickets, t);
	wire_put_task(out, c->n_given, t);
	if (out->failed || out->len - before > WIRE_TASK_MAX) {
		out->len = before;
		out->failed = false;
		task_clear_verdict(t);
		t->verdict = VERDICT_RETRY;
		t->message = task_keep(t, STR("it does not fit into a process's socket"));
		task_list_add(&p->finished, t);
		return;
	}
	c->n_given++;
	t->home = (int32_t)c->pid;
	t->is_woken = false;
	/* It may begin before we hear of the one before it. */
	task_set_mark(t, TASK_MARK_LATER);
	task_list_add(&c->pipe, t);
	if (c->pipe.n == 1)
		next_call(c);
}

void child_link_recall(struct pool *p, struct child_link *c)
{
	uint64_t n_begun = claim_recall(c->process.claim), n = c->n_answered;
	struct task_list all = c->pipe, back = {0};
	struct task *t;

	c->is_recalled = true;
	process_stop_sending(&c->process);
	c->pipe = (struct task_list){0};
	for (; (t = task_list_take(&all)); n++) {
		if (n >= n_begun)
			child_link_untouched(t);
		task_list_add(n < n_begun ? &c->pipe : &back, t);
	}
	task_list_put_first(&p->ready, &c->mine);
	task_list_put_first(&p->ready, &back);
}

/* --- hearing --- */

/* An answer as a plugin gives it: through the host table, which doubts everything. */
static int32_t hand_in(void *arg, const struct sl_host *h, struct sl_task *st)
{
	static const int32_t answers[] = {[VERDICT_DONE] = SL_DONE,
		[VERDICT_FAIL] = SL_FAIL,
		[VERDICT_RETRY] = SL_RETRY,
		[VERDICT_LATER] = SL_LATER,
		[VERDICT_WAIT] = SL_WAIT};
	const struct task_answer *a = arg;
	struct str effects = a->effects;
	struct task_effect e;

	if (a->message)
		h->set_message(st, a->message);
	if (a->shortage)
		h->set_shortage(st, a->shortage);
	if (a->result)
		h->set_result(st, a->result, strlen(a->result));
	if (a->delay_ms >= 0)
		h->delay(st, a->delay_ms);
	for (size_t i = 0; i < a->n_effects && task_effect_unpack(&effects, &e) == 0; i++) {
		if (e.kind == EFFECT_ADD)
			h->effect_add(st, e.key, e.delta, e.floor);
		else if (e.kind == EFFECT_PUT)
			h->effect_put(st, e.key, e.json.p, e.json.n);
		else
			h->effect_delete(st, e.key);
	}
	return answers[a->verdict];
}

static void take_answer(struct pool *p, struct task *t)
{
	task_set_mark(t, TASK_MARK_LATER);
	if (t->verdict != VERDICT_LATER) {
		task_list_add(&p->finished, t);
	} else if (later_push(&p->later, t) < 0) {
		t->verdict = VERDICT_RETRY;
		task_list_add(&p->finished, t);
	}
}

static int hear_answer(struct pool *p, struct child_link *c, struct str body)
{
	struct wire_answer a;
	struct task *t;

	if (wire_get_answer(body, &a) < 0 || !c->pipe.n || a.number != c->n_answered)
		return -EPROTO;
	t = task_list_take(&c->pipe);
	c->n_answered++;
	p->call_us += (clock_mono_us() - c->head_since_us - p->call_us) / AVERAGE_OF;
	instance_answer(p->instance, t, hand_in, &a.said);
	t->is_ticketed = a.is_ticketed;
	p->is_waking |= a.is_ticketed;
	p->has_answered = true;
	take_answer(p, t);
	next_call(c);
	return 0;
}

/* Of its own tasks only. It has looked at the time: a call follows, as it was told. */
static int hear_wake(struct pool *p, struct child_link *c, struct str body)
{
	uint64_t ticket;
	struct task *t;

	if (wire_get_wake(body, &ticket) < 0)
		return -EPROTO;
	t = tickets_find(&p->tickets, ticket);
	if (t && t->home == (int32_t)c->pid)
		later_wake(&p->later, t);
	return 0;
}

static int hear_modules(struct pool *p, struct child_link *c, struct str body)
{
	struct module_map *m = &c->modules;

	(void)p;
	buf_clear(&m->body);
	buf_str(&m->body, body);
	m->n = 0;
	return m->body.failed ? -EPROTO : wire_get_modules(buf_view(&m->body), m->list, &m->n);
}

static int hear_ready(struct pool *p, struct child_link *c, struct str body)
{
	const char *lacks;

	if (c->state != CHILD_STARTING || wire_get_text(body, &lacks) < 0)
		return -EPROTO;
	if (*lacks && !p->has_said_lacks)
		log_warn("stage=%s sandbox: %s", p->instance->spec->name, lacks);
	p->has_said_lacks = true;
	c->state = CHILD_READY;
	c->is_new = false;
	p->n_failures = 0;
	return 0;
}

static int hear_leave(struct pool *p, struct child_link *c, struct str body)
{
	const char *text;

	(void)p;
	if (wire_get_text(body, &text) < 0)
		return -EPROTO;
	snprintf(c->last_words, sizeof c->last_words, "%s", text);
	c->is_leaving = true;
	return 0;
}

static int hear_log(struct pool *p, struct child_link *c, struct str body)
{
	const char *text;
	uint32_t level;

	(void)p;
	if (wire_get_log(body, &level, &text) < 0 || level > LOG_DEBUG)
		return -EPROTO;
	log_write((enum log_level)level, "process=%d %s", (int)c->pid, text);
	return 0;
}

static int hear_crash(struct pool *p, struct child_link *c, struct str body)
{
	(void)p;
	c->autopsy.has_crash = true;
	return wire_get_crash(body, &c->autopsy.crash);
}

static int hear_trace(struct pool *p, struct child_link *c, struct str body)
{
	(void)p;
	return wire_get_trace(body, c->autopsy.trace, &c->autopsy.n_trace);
}

static int hear_frame(struct pool *p, struct child_link *c, const struct wire_frame *frame)
{
	static int (*const hear[])(struct pool *, struct child_link *, struct str) = {
		[WIRE_MODULES] = hear_modules,
		[WIRE_READY] = hear_ready,
		[WIRE_LEAVE] = hear_leave,
		[WIRE_ANSWER] = hear_answer,
		[WIRE_LOG] = hear_log,
		[WIRE_CRASH] = hear_crash,
		[WIRE_TRACE] = hear_trace,
		[WIRE_WAKE] = hear_wake,
	};

	return hear[frame->type] ? hear[frame->type](p, c, frame->body) : -EPROTO;
}

static void hear_frames(struct pool *p, struct child_link *c)
{
	struct buf *in = &c->process.in;
	struct str rest = buf_view(in);
	struct wire_frame frame;
	int r;

	while ((r = wire_take(&rest, WIRE_ANSWER_MAX, &frame)) > 0)
		if ((r = hear_frame(p, c, &frame)) < 0)
			break;
	if (rest.n && rest.n < in->len)
		memmove(in->data, rest.p, rest.n);
	in->len = rest.n;
	if (r < 0) {
		in->len = 0;
		c->autopsy.broken = "wrote what is no answer";
		child_link_end(c, false);
	}
}

void child_link_hear(struct pool *p, struct child_link *c)
{
	for (int i = 0; i < HEAR_MAX && c->process.fd >= 0 && !c->autopsy.broken; i++) {
		ssize_t n = process_receive(&c->process);

		if (n == -EAGAIN)
			return;
		if (n > 0) {
			hear_frames(p, c);
			continue;
		}
		process_hang_up(&c->process);
		if (c->state != CHILD_ENDING)
			child_link_end(c, false); /* it is gone, or does not listen any more */
	}
}
