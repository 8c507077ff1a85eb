/* The promises, checked on the journal that a played run left. */
#include "base/mem.h"
#include "journal/verify.h"
#include "world.h"

/* What the events say of one order. */
struct story {
	struct id id;
	int64_t seq;
	int n_created, n_ends, n_cancels, n_erased, n_done[STAGES_MAX], n_undone[STAGES_MAX];
	int n_skipped[STAGES_MAX], n_undo_skipped[STAGES_MAX]; /* by an operator */
	bool is_charged[STAGES_MAX]; /* since its last event of another kind, by a start */
	bool is_over;		     /* its last event was terminal */
	char generation[PIPELINE_DIGEST_SIZE]; /* that it is on (P10) */
};

struct stories {
	struct story list[ORDERS_MAX * 2];
	size_t n;
	int64_t taken, done, undone; /* of all orders: what the ledgers must say */
	int64_t adjusted;	     /* by operators */
	int n_of[ASKED_MAX];	     /* events of what was asked, by its number */
	char current[PIPELINE_DIGEST_SIZE];
	long n_loaded; /* how often one became so */
};

static struct story *story_of(struct world *w, struct stories *all, const struct event *ev)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->list[i].seq == ev->order_seq)
			return &all->list[i];
	if (all->n == ARRAY_LEN(all->list))
		world_fail(w, "more orders than were placed");
	all->list[all->n] = (struct story){.id = ev->order_id, .seq = ev->order_seq};
	return &all->list[all->n++];
}

static void count_effect(struct stories *all, size_t stage, const struct event *ev)
{
	int n = ev->n_effects > 0;

	if (strcmp(world_stage_name(stage), "stock") == 0)
		all->taken += ev->kind == EVENT_STAGE_DONE ? n : -n;
	else if (ev->kind == EVENT_STAGE_DONE)
		all->done += n;
	else
		all->undone += n;
}

/* A verdict of an earlier attempt must not speak for one that nobody has tried yet (fencing). */
static void check_attempt(struct world *w, const struct event *ev, size_t stage)
{
	const struct outside *out = world_outside(w, &ev->order_id, stage);

	if (ev->attempt > out->n_handed_out[ev->undo || ev->kind == EVENT_STAGE_UNDONE])
		world_fail(w, "event %lld is about attempt %u, which nobody got",
			(long long)ev->seq, ev->attempt);
}

/* By a start: the attempt counts, for it may have been out when the process died. */
static bool is_charge(const struct event *ev)
{
	return ev->kind == EVENT_ATTEMPT_LOST &&
	       str_is(ev->message, "the worker died during the attempt");
}

/* What a start queued anew had not left the engine when another one charged it again. */
static void check_charge(const struct world *w, struct story *s, const struct event *ev)
{
	size_t stage;

	if (!is_charge(ev)) {
		memset(s->is_charged, 0, sizeof s->is_charged);
		return;
	}
	stage = world_stage(w, ev->stage.p);
	if (s->is_charged[stage] &&
		ev->attempt > world_outside(w, &ev->order_id, stage)->n_left[ev->undo])
		world_fail(w, "event %lld charges attempt %u, which had not gone out",
			(long long)ev->seq, ev->attempt);
	s->is_charged[stage] = true;
}

/* The number of what people asked for, which the event came of; -1: of nothing. */
static int asked_number(const struct event *ev)
{
	bool is_signal = ev->kind == EVENT_STAGE_SIGNALLED;
	struct str text = is_signal ? ev->metadata : ev->reason;
	const char *fmt = is_signal ? "{\"answer\":%d}" : "p-%d";
	char want[48];

	for (int i = 0; text.n && i < ASKED_MAX; i++) {
		snprintf(want, sizeof want, fmt, i);
		if (str_is(text, want))
			return i;
	}
	return -1;
}

static void count_release(const struct world *w, struct story *s, const struct event *ev)
{
	if (ev->kind == EVENT_STAGE_RELEASED && ev->stage.n && str_is(ev->action, "skip"))
		(ev->undo ? s->n_undo_skipped : s->n_skipped)[world_stage(w, ev->stage.p)]++;
}

/* An order is on the generation that is current when it is placed, until somebody moves it to the then current one. */
static void follow_generations(
	struct world *w, struct stories *all, struct story *s, const struct event *ev)
{
	char *slot = s ? s->generation : all->current;

	if (ev->kind != EVENT_PIPELINE_LOADED && ev->kind != EVENT_ORDER_CREATED &&
		ev->kind != EVENT_ORDER_MIGRATED)
		return;
	if (s && !str_is(ev->generation, all->current))
		world_fail(w, "event %lld takes generation %.16s, and %s is current",
			(long long)ev->seq, ev->generation.p, all->current);
	if (ev->kind == EVENT_ORDER_MIGRATED && str_is(ev->generation, slot))
		world_fail(w, "event %lld moves an order to where it is", (long long)ev->seq);
	snprintf(slot, PIPELINE_DIGEST_SIZE, "%.*s", (int)ev->generation.n, ev->generation.p);
	all->n_loaded += ev->kind == EVENT_PIPELINE_LOADED;
}

static void read_event(struct world *w, struct stories *all, const struct event *ev)
{
	int number = asked_number(ev);
	struct story *s;
	size_t stage;

	if (number >= 0)
		all->n_of[number]++;
	if (number >= 0 && ev->kind == EVENT_STATE_ADJUSTED)
		all->adjusted += ev->effects[0].delta;
	if (!ev->order_seq) {
		follow_generations(w, all, NULL, ev);
		return;
	}
	s = story_of(w, all, ev);
	follow_generations(w, all, s, ev);
	if (ev->kind == EVENT_ORDER_ERASED && s->is_over) {
		s->n_erased++;
		return;
	}
	if (s->is_over)
		world_fail(w, "event %lld comes after its order's end", (long long)ev->seq);
	s->n_created += ev->kind == EVENT_ORDER_CREATED;
	s->is_over = event_kind_info(ev->kind)->is_terminal;
	s->n_ends += s->is_over;
	s->n_cancels += ev->kind == EVENT_CANCEL_REQUESTED;
	count_release(w, s, ev);
	check_charge(w, s, ev);
	if (ev->kind != EVENT_STAGE_DONE && ev->kind != EVENT_STAGE_UNDONE &&
		ev->kind != EVENT_STAGE_RETRYING && ev->kind != EVENT_STAGE_FAILED)
		return;
	stage = world_stage(w, ev->stage.p);
	if (!ev->unsure) /* attempts that were lost are used up: none said it */
		check_attempt(w, ev, stage);
	if (ev->kind != EVENT_STAGE_DONE && ev->kind != EVENT_STAGE_UNDONE)
		return;
	(ev->kind == EVENT_STAGE_DONE ? s->n_done : s->n_undone)[stage]++;
	count_effect(all, stage, ev);
}

static void read_events(struct world *w, struct stories *all)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event_list list;
	struct err e = {0};
	int64_t after = 0;

	event_list_init(&list, &arena);
	/* The error stays also where a damaged event is passed over. */
	if (reader_events(w->engine->reader, &after, SIZE_MAX, &list, &e) < 0 || e.code)
		world_fail(w, "the events cannot be read: %s", err_text(&e));
	for (const struct event *ev = list.first; ev; ev = ev->next)
		read_event(w, all, ev);
}

void world_check_charges(struct world *w, int64_t seq)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct event_list list;
	struct err e = {0};

	event_list_init(&list, &arena);
	if (reader_events(w->engine->reader, &seq, SIZE_MAX, &list, &e) < 0 || e.code)
		world_fail(w, "the events cannot be read: %s", err_text(&e));
	for (const struct event *ev = list.first; ev; ev = ev->next)
		if (is_charge(ev))
			check_attempt(w, ev, world_stage(w, ev->stage.p));
}

/* A stage of an order that ended: done once, or as if it had never been. */
static void check_stage(struct world *w, const struct story *s, const struct order *o,
	const struct stage_spec *spec)
{
	size_t i = world_stage(w, spec->name);
	const struct outside *out = world_outside(w, &s->id, i);
	long long seq = s->seq;

	if (s->n_done[i] > 1 || s->n_undone[i] > 1)
		world_fail(w, "order %lld: %s happened %d times and was undone %d times", seq,
			spec->name, s->n_done[i], s->n_undone[i]);
	if (o->phase == ORDER_COMPLETED &&
		(s->n_done[i] + s->n_skipped[i] != 1 || s->n_undone[i] != 0))
		world_fail(w, "order %lld is completed without %s", seq, spec->name);
	if (o->phase == ORDER_COMPLETED && s->n_done[i] && !out->is_done)
		world_fail(w, "order %lld: %s is done, but nobody did it", seq, spec->name);
	if (!order_is_terminal(o) || o->phase == ORDER_COMPLETED || !spec->undo_event)
		return;
	if (s->n_undo_skipped[i]) /* an operator took it upon himself */
		return;
	if (s->n_done[i] > s->n_undone[i])
		world_fail(w, "order %lld failed and %s was not undone", seq, spec->name);
	if (out->is_done && !out->is_undone && !s->n_skipped[i] && strcmp(spec->name, "stock") != 0)
		world_fail(w, "order %lld failed and %s stands outside", seq, spec->name);
}

/* One that the order's generation does not have: nothing of it may be left. */
static void check_left_stage(struct world *w, const struct story *s, size_t i)
{
	const struct outside *out = world_outside(w, &s->id, i);

	if (s->n_done[i] || s->n_undone[i] || s->n_skipped[i])
		world_fail(w, "order %lld was moved away from %s, which it had gone through",
			(long long)s->seq, world_stage_name(i));
	if (out->is_done && !out->is_undone)
		world_fail(w, "order %lld was moved away from %s, which stands outside",
			(long long)s->seq, world_stage_name(i));
}

/* Nothing of the order as it was placed can be read any more. */
static void check_forgotten(struct world *w, const struct story *s, const struct order *o)
{
	if (!o->removed != !s->n_erased || (s->n_erased && strstr(o->body, "email")))
		world_fail(w, "order %lld was erased %d times, and is: %s", (long long)s->seq,
			s->n_erased, o->body);
}

static void check_story(struct world *w, const struct story *s)
{
	_cleanup_(order_freep) struct order *o = NULL;
	struct err e = {0};

	if (reader_order(w->engine->reader, s->seq, INT64_MAX, &o, NULL, &e) < 0)
		world_fail(w, "order %lld cannot be folded: %s", (long long)s->seq, err_text(&e));
	if (s->n_created != 1 || s->n_ends != order_is_terminal(o))
		world_fail(w, "order %lld was created %d times and ended %d times",
			(long long)s->seq, s->n_created, s->n_ends);
	if (!order_is_terminal(o) && !order_is_on_hold(o))
		world_fail(w, "order %lld neither ended nor is on hold", (long long)s->seq);
	if ((o->phase == ORDER_CANCELLED && s->n_cancels != 1) ||
		(o->phase == ORDER_COMPLETED && s->n_cancels) || s->n_cancels > 1)
		world_fail(w, "order %lld is %s and was cancelled %d times", (long long)s->seq,
			order_status(o), s->n_cancels);
	if (strcmp(o->pipeline->digest, s->generation) != 0)
		world_fail(w, "order %lld is on generation %s, and its events say %s",
			(long long)s->seq, o->pipeline->digest, s->generation);
	check_forgotten(w, s, o);
	for (size_t i = 0; i < o->pipeline->n_stages; i++)
		check_stage(w, s, o, &o->pipeline->stages[i]);
	for (size_t i = 0; i < STAGES_MAX; i++)
		if (pipeline_find(o->pipeline, str_of(world_stage_name(i))) < 0)
			check_left_stage(w, s, i);
}

/* Who repeats a signal with its key hears what he heard before. */
static bool is_granted(const struct world *w, int number)
{
	for (size_t i = 0; i < w->n_asked; i++)
		if (w->asked[i].number == number && w->asked[i].is_yes)
			return true;
	return false;
}

static int times_erased(const struct stories *all, const struct id *order)
{
	for (size_t i = 0; i < all->n; i++)
		if (id_eq(&all->list[i].id, order))
			return all->list[i].n_erased;
	return 0;
}

/* Erased once, however often it was asked for; what else people said of it is gone with the rest. */
static void check_erased(
	struct world *w, const struct stories *all, const struct asked *a, int times_erased)
{
	if (times_erased > 1 || (!times_erased && a->kind == COMMAND_ERASE && a->is_yes))
		world_fail(w, "command %d was granted, and its order was erased %d times",
			a->number, times_erased);
	if (a->kind != COMMAND_ERASE && all->n_of[a->number])
		world_fail(w, "an order was erased, and command %d is still to be read of it",
			a->number);
}

/* What was granted is in the journal once, what was refused is not. */
static void check_asked(struct world *w, const struct stories *all, const struct asked *a)
{
	int n = all->n_of[a->number], erased = times_erased(all, &a->order);
	bool may_repeat = a->kind == COMMAND_RELEASE; /* one event for each stage that is held */

	if (erased || a->kind == COMMAND_ERASE)
		check_erased(w, all, a, erased);
	if (a->is_yes && (erased || a->kind == COMMAND_ERASE))
		return;
	if (a->is_yes && (n == 0 || (n > 1 && !may_repeat)))
		world_fail(w, "command %d of kind %d was granted and is %d times in the journal",
			a->number, a->kind, n);
	if (a->is_no && (n || is_granted(w, a->number)))
		world_fail(w, "command %d of kind %d was refused and is in the journal", a->number,
			a->kind);
	if (n > 1 && !may_repeat)
		world_fail(w, "command %d of kind %d is %d times in the journal", a->number,
			a->kind, n);
}

static void check_accepted(struct world *w, const struct stories *all, const struct placed *p)
{
	int n = 0;

	if (!p->is_accepted)
		return;
	for (size_t i = 0; i < all->n; i++)
		n += id_eq(&all->list[i].id, &p->id);
	if (n != 1)
		world_fail(w, "an accepted order is there %d times", n);
}

static void check_number(struct world *w, const char *key, int64_t want)
{
	int64_t has = -1;

	if (journal_state_number(w->engine->journal, str_of(key), &has) < 0 || has != want)
		world_fail(w, "%s is %lld, not %lld", key, (long long)has, (long long)want);
}

static void check_file(struct world *w)
{
	_cleanup_(pipeline_set_fini) struct pipeline_set set = {0};
	struct err e = {0};
	int64_t last;

	if (journal_verify(w->path, &last, &e) < 0 || journal_compare(w->path, &set, &e) < 0)
		world_fail(w, "%s", err_text(&e));
	if (last != journal_last_seq(w->engine->journal))
		world_fail(w, "the chain ends at %lld", (long long)last);
}

void world_check(struct world *w)
{
	struct stories all = {0};
	struct engine_stats stats;

	read_events(w, &all);
	for (size_t i = 0; i < all.n; i++)
		check_story(w, &all.list[i]);
	for (size_t i = 0; i < w->n_placed; i++)
		check_accepted(w, &all, &w->placed[i]);
	for (size_t i = 0; i < w->n_asked; i++)
		check_asked(w, &all, &w->asked[i]);
	if (all.n_loaded < w->n_reloads)
		world_fail(w, "%ld reloads were granted, and %ld are in the journal", w->n_reloads,
			all.n_loaded);
	engine_stats(w->engine, &stats);
	if (stats.set_aside)
		world_fail(w, "an order is set aside");
	if (stats.accepted != (int64_t)all.n)
		world_fail(w, "%zu orders, but %lld are counted", all.n, (long long)stats.accepted);
	check_number(w, "stock/A", STOCK + all.adjusted - all.taken);
	check_number(w, "ledger/done", all.done);
	check_number(w, "ledger/undone", all.undone);
	check_file(w);
	world_check_slots(w);
}
