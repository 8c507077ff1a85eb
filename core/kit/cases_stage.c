/* What a stage does in a case: verdicts in the order of its calls. */
#include "base/mem.h"
#include "kit/cases.h"
#include "kit/cases_schema.h"

struct step_entry {
	int64_t verdict; /* index into words[] */
	const char *message, *shortage;
	int64_t delay_ms, takes_ms;
};

struct effect_entry {
	const char *add, *put, *drop;
	int64_t by, least;
};

#define VERDICT_WORDS "done|fail|retry|wait|timeout|crash|real"

static const char *const words[] = {
	"done", "fail", "retry", "wait", "timeout", "crash", "real", NULL};
static const enum verdict verdicts[] = {VERDICT_DONE, VERDICT_FAIL, VERDICT_RETRY, VERDICT_WAIT,
	VERDICT_TIMEOUT, VERDICT_CRASH, VERDICT_DONE};
enum { WORD_REAL = 6 };

#define STEP(field)   offsetof(struct step_entry, field)
#define EFFECT(field) offsetof(struct effect_entry, field)
#define DAY	      INT64_C(86400000)
#define EXACT	      (INT64_C(1) << 53)

static const struct sl_option step_options[] = {
	{SL_OPTION_CHOICE, 0, "verdict", "what it answers; real: what the plugin does", "done",
		VERDICT_WORDS, STEP(verdict)},
	{SL_OPTION_STRING, 0, "message", "the message for people", NULL, NULL, STEP(message)},
	{SL_OPTION_STRING, 0, "shortage", "the message when an effect falls below its floor", NULL,
		NULL, STEP(shortage)},
	{SL_OPTION_DURATION, 0, "delay", "the delay that retry and wait ask for", NULL, NULL,
		STEP(delay_ms), 0, 400 * DAY},
	{SL_OPTION_DURATION, 0, "takes", "how long the call takes", "0ms", NULL, STEP(takes_ms), 0,
		400 * DAY},
};
static const struct option_key step_keys[] = {
	{.name = "result", .summary = "the stage's result", .schema = case_map_schema},
	{.name = "effects", .summary = "changes of the state", .schema = case_effects_schema},
};
const struct option_map case_step_map = {.options = step_options,
	.n_options = ARRAY_LEN(step_options),
	.keys = step_keys,
	.n_keys = ARRAY_LEN(step_keys)};

static const struct sl_option effect_options[] = {
	{SL_OPTION_STRING, 0, "add", "key that is added to", NULL, NULL, EFFECT(add)},
	{SL_OPTION_STRING, 0, "put", "key that is set", NULL, NULL, EFFECT(put)},
	{SL_OPTION_STRING, 0, "delete", "key that is removed", NULL, NULL, EFFECT(drop)},
	{SL_OPTION_INT, 0, "by", "with add: how much", NULL, NULL, EFFECT(by), -EXACT, EXACT},
	{SL_OPTION_INT, 0, "floor", "with add: it may not be below", NULL, NULL, EFFECT(least),
		-EXACT, EXACT},
};
static const struct option_key effect_keys[] = {
	{.name = "value", .summary = "with put: the value", .schema = case_any_schema},
};
const struct option_map case_effect_map = {.options = effect_options,
	.n_options = ARRAY_LEN(effect_options),
	.keys = effect_keys,
	.n_keys = ARRAY_LEN(effect_keys)};

/* --- effects --- */

static int read_effect(const struct yaml_node *node, struct arena *arena, struct effect *ret,
	struct yaml_faults *faults)
{
	const struct yaml_node *value = yaml_get(node, "value");
	struct effect_entry entry = {0};
	int r = option_map_read(&case_effect_map, node, &entry, arena, faults);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (!entry.add + !entry.put + !entry.drop != 2) {
		yaml_fault(faults, node, "an effect has one of 'add', 'put' and 'delete'");
		return 0;
	}
	if (!entry.add && (yaml_get(node, "by") || yaml_get(node, "floor")))
		yaml_fault(faults, node, "'by' and 'floor' go with 'add'");
	if (!entry.put != !value)
		yaml_fault(faults, node, "'put' and 'value' go together");
	*ret = (struct effect){
		.kind = entry.add   ? EFFECT_ADD
			: entry.put ? EFFECT_PUT
				    : EFFECT_DELETE,
		.key = str_of(entry.add	  ? entry.add
			      : entry.put ? entry.put
					  : entry.drop),
		.delta = entry.by,
		.floor = yaml_get(node, "floor") ? entry.least : EFFECT_NO_FLOOR,
	};
	if (!ret->key.n || ret->key.n >= TASK_KEY_MAX)
		yaml_fault(faults, node, "a state key has 1 to %d bytes", TASK_KEY_MAX - 1);
	return value ? case_json(value, arena, &ret->json) : 0;
}

static int read_effects(const struct yaml_node *list, struct arena *arena, struct case_step *step,
	struct yaml_faults *faults)
{
	int r = 0;

	if (!list)
		return 0;
	if (list->type != YAML_LIST || list->n_children > TASK_EFFECTS_MAX) {
		yaml_fault(
			faults, list, "'effects' must be a list of at most %d", TASK_EFFECTS_MAX);
		return 0;
	}
	step->effects = arena_alloc(arena, list->n_children * sizeof *step->effects + 1);
	if (!step->effects)
		return -ENOMEM;
	for (const struct yaml_node *m = list->first; m && r == 0; m = m->next)
		r = read_effect(m, arena, &step->effects[step->n_effects++], faults);
	return r;
}

/* --- steps --- */

static int word_of(const struct yaml_node *node, struct yaml_faults *faults)
{
	const char *guess;

	for (int i = 0; words[i]; i++)
		if (str_is(node->text, words[i]))
			return i;
	guess = yaml_suggest(node->text, words);
	yaml_fault(faults, node, "'%.60s' is no verdict; one is " VERDICT_WORDS "%s%s%s",
		node->text.p, guess ? " (did you mean '" : "", guess ? guess : "",
		guess ? "'?)" : "");
	return -1;
}

static void check_step(const struct yaml_node *node, const struct case_step *step, int word,
	struct yaml_faults *faults)
{
	const struct yaml_node *result = yaml_get(node, "result");
	bool is_done = word == 0;

	if (word == WORD_REAL && node->n_children > 1)
		yaml_fault(faults, node, "what the plugin does by itself cannot be set");
	if (result && result->type != YAML_MAP)
		yaml_fault(faults, result, "a result is a map");
	if (step->n_effects && !is_done)
		yaml_fault(faults, yaml_get(node, "effects"), "only 'done' has effects");
	if (yaml_get(node, "delay") && verdicts[word] != VERDICT_RETRY &&
		verdicts[word] != VERDICT_WAIT)
		yaml_fault(faults, yaml_get(node, "delay"),
			"'delay' goes with retry and wait; 'takes' is the time of the call");
}

static int read_step_map(const struct yaml_node *node, struct arena *arena, struct case_step *ret,
	struct yaml_faults *faults)
{
	const struct yaml_node *result = yaml_get(node, "result");
	struct step_entry entry = {0};
	int r = option_map_read(&case_step_map, node, &entry, arena, faults);

	if (r < 0)
		return r == -ENOMEM ? r : 0;
	*ret = (struct case_step){
		.is_real = entry.verdict == WORD_REAL,
		.verdict = verdicts[entry.verdict],
		.message = entry.message,
		.shortage = entry.shortage,
		.delay_ms = yaml_get(node, "delay") ? entry.delay_ms : -1,
		.takes_ms = entry.takes_ms,
	};
	r = read_effects(yaml_get(node, "effects"), arena, ret, faults);
	check_step(node, ret, (int)entry.verdict, faults);
	if (r == 0 && result && result->type == YAML_MAP)
		r = case_json(result, arena, &ret->result);
	return r;
}

static int read_step(const struct yaml_node *node, struct arena *arena, struct case_step *ret,
	struct yaml_faults *faults)
{
	int word;

	if (node->type == YAML_MAP)
		return read_step_map(node, arena, ret, faults);
	if (node->type != YAML_STRING) {
		yaml_fault(faults, node, "a verdict, or a map with one, is wanted here");
		return 0;
	}
	word = word_of(node, faults);
	if (word >= 0)
		*ret = (struct case_step){
			.is_real = word == WORD_REAL, .verdict = verdicts[word], .delay_ms = -1};
	return 0;
}

static int read_script(const struct yaml_node *node, struct arena *arena, struct case_script *ret,
	struct yaml_faults *faults)
{
	size_t n = node->type == YAML_LIST ? node->n_children : 1;
	int r = 0;

	*ret = (struct case_script){0};
	if (n == 0 || n > CASE_STEPS_MAX) {
		yaml_fault(
			faults, node, "a list of 1 to %d verdicts is wanted here", CASE_STEPS_MAX);
		return 0;
	}
	ret->steps = arena_alloc(arena, n * sizeof *ret->steps);
	if (!ret->steps)
		return -ENOMEM;
	if (node->type != YAML_LIST)
		r = read_step(node, arena, &ret->steps[ret->n++], faults);
	else
		for (const struct yaml_node *m = node->first; m && r == 0; m = m->next)
			r = read_step(m, arena, &ret->steps[ret->n++], faults);
	return r;
}

int case_stage_read(const struct yaml_node *node, struct arena *arena, struct case_stage *ret,
	struct yaml_faults *faults)
{
	const struct yaml_node *run = yaml_get(node, "run"), *undo = yaml_get(node, "undo");
	int r = 0;

	*ret = (struct case_stage){0};
	if (!run && !undo)
		return read_script(node, arena, &ret->run, faults);
	for (const struct yaml_node *m = node->first; m; m = m->next)
		if (m != run && m != undo)
			yaml_fault_key(
				faults, m, "unknown key '%.60s' beside 'run' and 'undo'", m->key.p);
	if (run)
		r = read_script(run, arena, &ret->run, faults);
	if (r == 0 && undo)
		r = read_script(undo, arena, &ret->undo, faults);
	return r;
}

static bool is_real(const struct case_script *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->steps[i].is_real)
			return true;
	return s->n == 0;
}

bool case_stage_is_real(const struct case_stage *s)
{
	return is_real(&s->run) || (s->undo.n && is_real(&s->undo));
}

const struct case_step *case_step_of(const struct case_stage *s, bool undo, size_t n)
{
	static const struct case_step real = {.is_real = true}, done = {.delay_ms = -1};
	const struct case_script *script = undo ? &s->undo : &s->run;

	if (script->n)
		return &script->steps[n < script->n ? n : script->n - 1];
	return undo && !is_real(&s->run) ? &done : &real;
}
