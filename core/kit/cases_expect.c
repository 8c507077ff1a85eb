/* What must become of a case's order; and the words of the pipeline that cases may use. */
#include "base/mem.h"
#include "kit/cases.h"
#include "kit/cases_schema.h"

enum { WORDS_MAX = EVENT_KINDS + 2 * PIPELINE_STAGES_MAX + 1 };

#define EXPECT(field) offsetof(struct expectation, field)
#define EVENT(field)  offsetof(struct expected_event, field)

static const struct sl_option expect_options[] = {
	{SL_OPTION_STRING, SL_OPTION_REQUIRED, "status", "the order's status at the end", NULL,
		NULL, EXPECT(status)},
	{SL_OPTION_STRING, 0, "error", "why it failed or is on hold", NULL, NULL, EXPECT(error)},
	{SL_OPTION_DURATION_RANGE, 0, "takes", "time from the placing to the last event", NULL,
		NULL, EXPECT(takes)},
};
static const struct option_key expect_keys[] = {
	{.name = "events", .summary = "all events, in order", .schema = case_events_schema},
	{.name = "includes",
		.summary = "these events, in this order, among others",
		.schema = case_events_schema},
	{.name = "state", .summary = "values at the end; null: absent", .schema = case_map_schema},
	{.name = "calls",
		.summary = "how often a stage's run was called",
		.schema = case_calls_schema},
	{.name = "results", .summary = "members of stages' results", .schema = case_results_schema},
};
const struct option_map case_expect_map = {.options = expect_options,
	.n_options = ARRAY_LEN(expect_options),
	.keys = expect_keys,
	.n_keys = ARRAY_LEN(expect_keys)};

static const struct sl_option event_options[] = {
	{SL_OPTION_STRING, SL_OPTION_REQUIRED, "type", "the event's type", NULL, NULL, EVENT(type)},
	{SL_OPTION_STRING, 0, "stage", "the stage that it is about", NULL, NULL, EVENT(stage)},
	{SL_OPTION_STRING, 0, "message", "its message", NULL, NULL, EVENT(message)},
	{SL_OPTION_INT, 0, "attempt", "the attempt that it is about", "0", NULL, EVENT(attempt), 0,
		1000000},
};
const struct option_map case_event_map = {
	.options = event_options, .n_options = ARRAY_LEN(event_options)};

/* --- words of the pipeline --- */

static bool has_word(const char *const *words, const char *word)
{
	while (*words && strcmp(*words, word) != 0)
		words++;
	return *words != NULL;
}

static void add_word(const char **words, const char *word)
{
	size_t n = 0;

	if (!word || has_word(words, word))
		return;
	while (words[n])
		n++;
	words[n] = word;
}

static void check_word(const struct yaml_node *at, const char *word, const char *const *words,
	const char *what, bool is_key, struct yaml_faults *faults)
{
	const char *guess;

	if (has_word(words, word))
		return;
	guess = yaml_suggest(str_of(word), words);
	(is_key ? yaml_fault_key : yaml_fault)(faults, at, "the pipeline has no %s '%.60s'%s%s%s",
		what, word, guess ? " (did you mean '" : "", guess ? guess : "",
		guess ? "'?)" : "");
}

void case_check_event(const struct yaml_node *at, const char *type, const struct pipeline *p,
	struct yaml_faults *faults)
{
	const char *words[WORDS_MAX] = {0};

	for (int i = 1; i < EVENT_KINDS; i++)
		add_word(words, event_kind_info((enum event_kind)i)->type);
	for (size_t i = 0; i < p->n_stages; i++) {
		add_word(words, p->stages[i].event);
		add_word(words, p->stages[i].undo_event);
	}
	check_word(at, type, words, "event", false, faults);
}

static void check_status(const struct yaml_node *at, const char *status, const struct pipeline *p,
	struct yaml_faults *faults)
{
	static const char *const fixed[] = {
		"completed", "failed", "cancelled", "on_hold", "compensating", "pending"};
	const char *words[WORDS_MAX] = {0};

	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		add_word(words, fixed[i]);
	for (size_t i = 0; i < p->n_stages; i++)
		add_word(words, p->stages[i].status);
	check_word(at, status, words, "status", false, faults);
}

int case_find_stage(const struct yaml_node *at, struct str name, bool is_key,
	const struct pipeline *p, struct yaml_faults *faults)
{
	const char *words[WORDS_MAX] = {0};
	int i = pipeline_find(p, name);

	if (i >= 0)
		return i;
	for (size_t k = 0; k < p->n_stages; k++)
		add_word(words, p->stages[k].name);
	check_word(at, name.p, words, "stage", is_key, faults);
	return -1;
}

/* --- events --- */

static int read_event(const struct yaml_node *node, const struct pipeline *p, struct arena *arena,
	struct expected_event *ret, struct yaml_faults *faults)
{
	const struct yaml_node *at = node;
	int r = 0;

	ret->node = node;
	if (node->type == YAML_MAP) {
		r = option_map_read(&case_event_map, node, ret, arena, faults);
		at = yaml_get(node, "type");
	} else if (node->type == YAML_STRING) {
		ret->type = node->text.p;
	} else {
		yaml_fault(faults, node,
			"an event's type, or a map with 'type' and more, is wanted here");
	}
	if (r < 0 || !ret->type)
		return r == -ENOMEM ? r : 0;
	case_check_event(at, ret->type, p, faults);
	if (ret->stage)
		case_find_stage(yaml_get(node, "stage"), str_of(ret->stage), false, p, faults);
	return 0;
}

static int read_events(const struct yaml_node *list, const struct pipeline *p, struct arena *arena,
	struct expected_events *ret, struct yaml_faults *faults)
{
	int r = 0;

	if (!list)
		return 0;
	if (list->type != YAML_LIST || list->n_children > CASE_EXPECTED_MAX) {
		yaml_fault(faults, list, "a list of at most %d events is wanted here",
			CASE_EXPECTED_MAX);
		return 0;
	}
	ret->node = list;
	ret->list = arena_alloc(arena, list->n_children * sizeof *ret->list + 1);
	if (!ret->list)
		return -ENOMEM;
	for (const struct yaml_node *m = list->first; m && r == 0; m = m->next)
		r = read_event(m, p, arena, &ret->list[ret->n++], faults);
	return r;
}

/* --- maps --- */

static const struct yaml_node *read_map(
	const struct yaml_node *node, const char *key, struct yaml_faults *faults)
{
	const struct yaml_node *map = yaml_get(node, key);

	if (!map || map->type == YAML_MAP)
		return map;
	yaml_fault(faults, map, "'%s' must be a map", key);
	return NULL;
}

static const struct yaml_node *read_stage_map(const struct yaml_node *node, const char *key,
	enum yaml_type type, const struct pipeline *p, struct yaml_faults *faults)
{
	const struct yaml_node *map = read_map(node, key, faults);

	for (const struct yaml_node *m = map ? map->first : NULL; m; m = m->next) {
		case_find_stage(m, m->key, true, p, faults);
		if (m->type != type || (type == YAML_INT && m->integer < 0))
			yaml_fault(faults, m, "%s is wanted here",
				type == YAML_INT ? "a number of calls" : "a map of members");
	}
	return map;
}

int case_expect_read(const struct yaml_node *node, const struct pipeline *p, struct arena *arena,
	struct expectation *ret, struct yaml_faults *faults)
{
	int r = option_map_read(&case_expect_map, node, ret, arena, faults);

	if (r == -ENOMEM || node->type != YAML_MAP)
		return r == -ENOMEM ? r : 0;
	ret->node = node;
	ret->has_takes = yaml_get(node, "takes") != NULL;
	if (ret->status)
		check_status(yaml_get(node, "status"), ret->status, p, faults);
	ret->state = read_map(node, "state", faults);
	ret->calls = read_stage_map(node, "calls", YAML_INT, p, faults);
	ret->results = read_stage_map(node, "results", YAML_MAP, p, faults);
	r = read_events(yaml_get(node, "events"), p, arena, &ret->events, faults);
	if (r == 0)
		r = read_events(yaml_get(node, "includes"), p, arena, &ret->includes, faults);
	return r;
}
