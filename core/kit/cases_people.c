/* What people do in a case, and when. */
#include "base/mem.h"
#include "kit/cases.h"
#include "kit/cases_schema.h"
#include "net/shape.h"

struct act_entry {
	const char *texts[ACT_KINDS]; /* by kind; ACT_EDIT is read from the tree */
	const char *after, *stage;
	int64_t at_ms, by;
	bool is_refused;
};

#define ACT(field)  offsetof(struct act_entry, field)
#define DAY	    INT64_C(86400000)
#define EXACT	    (INT64_C(1) << 53)
#define TEXT(which) offsetof(struct act_entry, texts) + (which) * sizeof(const char *)

static const struct sl_option act_options[] = {
	{SL_OPTION_STRING, 0, "cancel", "cancels the order; why", NULL, NULL, TEXT(ACT_CANCEL)},
	{SL_OPTION_STRING, 0, "retry", "retries what is on hold; why", NULL, NULL, TEXT(ACT_RETRY)},
	{SL_OPTION_STRING, 0, "skip", "skips what is on hold; why", NULL, NULL, TEXT(ACT_SKIP)},
	{SL_OPTION_STRING, 0, "discard", "discards what is on hold; why", NULL, NULL,
		TEXT(ACT_DISCARD)},
	{SL_OPTION_STRING, 0, "signal", "answers the stage that waits", NULL, NULL,
		TEXT(ACT_SIGNAL)},
	{SL_OPTION_STRING, 0, "pause", "pauses the stage", NULL, NULL, TEXT(ACT_PAUSE)},
	{SL_OPTION_STRING, 0, "resume", "resumes the stage", NULL, NULL, TEXT(ACT_RESUME)},
	{SL_OPTION_STRING, 0, "adjust", "adds to a key of the state, or sets it", NULL, NULL,
		TEXT(ACT_ADJUST)},
	{SL_OPTION_STRING, 0, "after", "the event after which; default: the placing", NULL, NULL,
		ACT(after)},
	{SL_OPTION_DURATION, 0, "at", "how long after it", "0ms", NULL, ACT(at_ms), 0, 400 * DAY},
	{SL_OPTION_STRING, 0, "stage", "the one stage of those on hold", NULL, NULL, ACT(stage)},
	{SL_OPTION_INT, 0, "by", "with adjust: how much is added", NULL, NULL, ACT(by), -EXACT,
		EXACT},
	{SL_OPTION_BOOL, 0, "refused", "it must be refused", "false", NULL, ACT(is_refused)},
};

static const struct option_key act_keys[] = {
	{.name = "edit", .summary = "the corrected order, tried again", .schema = case_map_schema},
	{.name = "body", .summary = "with signal: the answer", .schema = case_any_schema},
	{.name = "to",
		.summary = "with adjust: the value; null removes it",
		.schema = case_any_schema},
};
const struct option_map case_act_map = {.options = act_options,
	.n_options = ARRAY_LEN(act_options),
	.keys = act_keys,
	.n_keys = ARRAY_LEN(act_keys)};

static const char *const kinds[] = {
	"cancel", "retry", "skip", "discard", "edit", "signal", "pause", "resume", "adjust"};
_Static_assert(ARRAY_LEN(kinds) == ACT_KINDS, "a name for each kind");

/* The one thing that is done; ACT_KINDS and a fault when it is not one. */
static enum case_act_kind kind_of(const struct yaml_node *node, struct yaml_faults *faults)
{
	enum case_act_kind found = ACT_KINDS;
	size_t n = 0;

	for (size_t i = 0; i < ACT_KINDS; i++)
		if (yaml_get(node, kinds[i])) {
			found = (enum case_act_kind)i;
			n++;
		}
	if (n == 1)
		return found;
	yaml_fault(faults, node,
		"one of cancel, retry, skip, discard, edit, signal, pause, resume and adjust is "
		"wanted here");
	return ACT_KINDS;
}

static bool is_release(enum case_act_kind kind)
{
	return kind == ACT_RETRY || kind == ACT_SKIP || kind == ACT_DISCARD || kind == ACT_EDIT;
}

static int read_edit(const struct yaml_node *node, struct arena *arena, struct case_act *a,
	struct yaml_faults *faults)
{
	_cleanup_(buf_fini) struct buf canonical = {0}, errors = {0};
	struct err e = {0};
	struct str text;
	int r = case_json(node, arena, &text);

	if (r == 0)
		r = shape_order(text, JSON_DEPTH_MAX, &canonical, NULL, &errors, &e);
	if (r == -EDOM || r == -EINVAL)
		yaml_fault(faults, node, "the corrected order: %s",
			r == -EDOM ? errors.data : err_text(&e));
	else if (r < 0 || !arena_copy(arena, buf_view(&canonical), &a->body))
		return -ENOMEM;
	return 0;
}

static int read_adjust(const struct yaml_node *node, const struct act_entry *entry,
	struct arena *arena, struct case_act *a, struct yaml_faults *faults)
{
	const struct yaml_node *to = yaml_get(node, "to"), *by = yaml_get(node, "by");

	if (!to == !by)
		yaml_fault(faults, node, "'adjust' needs either 'by' or 'to'");
	if (!*a->text || strlen(a->text) >= TASK_KEY_MAX)
		yaml_fault(faults, node, "a state key has 1 to %d bytes", TASK_KEY_MAX - 1);
	a->effect = (struct effect){.kind = !to			    ? EFFECT_ADD
					    : to->type == YAML_NULL ? EFFECT_DELETE
								    : EFFECT_PUT,
		.delta = entry->by};
	return to ? case_json(to, arena, &a->effect.json) : 0;
}

static void check_extras(
	const struct yaml_node *node, enum case_act_kind kind, struct yaml_faults *faults)
{
	const struct {
		const char *key;
		bool fits;
		const char *with;
	} extras[] = {
		{"stage", is_release(kind), "retry, skip, discard and edit"},
		{"body", kind == ACT_SIGNAL, "signal"},
		{"by", kind == ACT_ADJUST, "adjust"},
		{"to", kind == ACT_ADJUST, "adjust"},
	};

	for (size_t i = 0; i < ARRAY_LEN(extras); i++)
		if (!extras[i].fits && yaml_get(node, extras[i].key))
			yaml_fault_key(faults, yaml_get(node, extras[i].key), "'%s' goes with %s",
				extras[i].key, extras[i].with);
}

static int read_act(const struct yaml_node *node, const struct pipeline *p, struct arena *arena,
	struct case_act *a, struct yaml_faults *faults)
{
	struct act_entry entry = {0};
	int r = option_map_read(&case_act_map, node, &entry, arena, faults);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	*a = (struct case_act){.node = node,
		.kind = kind_of(node, faults),
		.after = entry.after,
		.at_ms = entry.at_ms,
		.stage = entry.stage,
		.is_refused = entry.is_refused};
	if (a->kind == ACT_KINDS)
		return 0;
	a->text = a->kind == ACT_EDIT ? "edited by the case" : entry.texts[a->kind];
	check_extras(node, a->kind, faults);
	if (a->after)
		case_check_event(yaml_get(node, "after"), a->after, p, faults);
	if (a->kind == ACT_SIGNAL || a->kind == ACT_PAUSE || a->kind == ACT_RESUME)
		a->stage = a->text;
	if (a->stage)
		case_find_stage(yaml_get(node, is_release(a->kind) ? "stage" : kinds[a->kind]),
			str_of(a->stage), false, p, faults);
	if (a->kind == ACT_EDIT)
		return read_edit(yaml_get(node, "edit"), arena, a, faults);
	if (a->kind == ACT_ADJUST)
		return read_adjust(node, &entry, arena, a, faults);
	if (a->kind == ACT_SIGNAL && yaml_get(node, "body"))
		return case_json(yaml_get(node, "body"), arena, &a->body);
	return 0;
}

int case_people_read(const struct yaml_node *list, const struct pipeline *p, struct arena *arena,
	struct order_case *ret, struct yaml_faults *faults)
{
	int r = 0;

	if (!list || list->type == YAML_NULL)
		return 0;
	if (list->type != YAML_LIST || list->n_children > CASE_PEOPLE_MAX) {
		yaml_fault(faults, list,
			"'people' must be a list of at most %d things that are done",
			CASE_PEOPLE_MAX);
		return 0;
	}
	ret->people = arena_alloc(arena, list->n_children * sizeof *ret->people + 1);
	if (!ret->people)
		return -ENOMEM;
	for (const struct yaml_node *m = list->first; m && r == 0; m = m->next)
		r = read_act(m, p, arena, &ret->people[ret->n_people++], faults);
	return r;
}
