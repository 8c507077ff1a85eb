/* The keys of the pipeline file, as tables, and the schema that is printed from them. */
#include "model/pipeline_keys.h"

#include "base/mem.h"
#include "model/condition.h"

#define SPEC(field)    offsetof(struct stage_spec, field)
#define RETRY(field)   offsetof(struct retry_policy, field)
#define BREAKER(field) offsetof(struct breaker_policy, field)
#define SANDBOX(field) offsetof(struct sandbox_policy, field)
#define HOUR	       3600000
#define DAY	       (24 * (int64_t)HOUR)

static const struct sl_option retry_options[] = {
	{SL_OPTION_INT, 0, "attempts", "attempts in all, the first one counted", "5", NULL,
		RETRY(attempts), 1, 1000},
	{SL_OPTION_DURATION, 0, "backoff", "wait before the second attempt", "200ms", NULL,
		RETRY(backoff_ms), 0, 30 * DAY},
	{SL_OPTION_NUMBER, 0, "factor", "each further wait is this many times longer", "2", NULL,
		RETRY(factor), 1, 100},
	{SL_OPTION_DURATION, 0, "max", "longest wait between two attempts", "30s", NULL,
		RETRY(max_ms), 0, 30 * DAY},
	{SL_OPTION_RATIO, 0, "jitter", "part of a wait that is left to chance, 0 to 1", "0.2", NULL,
		RETRY(jitter)},
};
static const struct option_map retry_map = {
	.options = retry_options, .n_options = ARRAY_LEN(retry_options)};

static const struct sl_option breaker_options[] = {
	{SL_OPTION_INT, 0, "failures",
		"attempts that end in retry, timeout or crash until it opens; 0: never", "10", NULL,
		BREAKER(failures), 0, 1000000},
	{SL_OPTION_DURATION, 0, "window", "time in which they are counted", "30s", NULL,
		BREAKER(window_ms), 1, DAY},
	{SL_OPTION_DURATION, 0, "open_for", "how long orders are then held back", "15s", NULL,
		BREAKER(open_for_ms), 1, DAY},
	{SL_OPTION_INT, 0, "probes", "attempts that must end well before it closes", "1", NULL,
		BREAKER(probes), 1, 1000},
};
static const struct option_map breaker_map = {
	.options = breaker_options, .n_options = ARRAY_LEN(breaker_options)};

static const struct sl_option sandbox_options[] = {
	{SL_OPTION_BOOL, 0, "network", "whether the stage may use the network", "false", NULL,
		SANDBOX(network)},
	{SL_OPTION_BOOL, 0, "programs",
		"whether the stage may start programs, which are in the same sandbox", "false",
		NULL, SANDBOX(programs)},
	{SL_OPTION_LIST, 0, "read", "files and folders that it may read, as absolute paths", "[]",
		NULL, SANDBOX(read)},
	{SL_OPTION_LIST, 0, "write", "files and folders that it may read and change", "[]", NULL,
		SANDBOX(write)},
	{SL_OPTION_SIZE, 0, "memory", "most memory of one process", "256MiB", NULL, SANDBOX(memory),
		16 << 20, (int64_t)1 << 40},
	{SL_OPTION_DURATION, 0, "cpu",
		"most processor time of one call; 0ms: as long as the timeout lets it", "0ms", NULL,
		SANDBOX(cpu_ms), 0, DAY},
	{SL_OPTION_INT, 0, "files", "most files and connections that are open at once", "64", NULL,
		SANDBOX(files), 16, 1 << 20},
};
static const struct option_map sandbox_map = {
	.options = sandbox_options, .n_options = ARRAY_LEN(sandbox_options)};

/* Written in `defaults` for all stages, and in a stage for itself. */
static const struct sl_option policy_options[] = {
	{SL_OPTION_INT, 0, "workers", "threads or processes that run the stage's code at once", "4",
		NULL, SPEC(workers), 1, 1024},
	{SL_OPTION_INT, 0, "in_flight",
		"orders the stage holds at once: running, or waiting for an answer", "256", NULL,
		SPEC(in_flight), 1, 1000000},
	{SL_OPTION_DURATION, 0, "timeout", "longest time of one attempt", "10s", NULL,
		SPEC(timeout_ms), 1, 30 * DAY},
	{SL_OPTION_CHOICE, 0, "isolation",
		"where the stage's code runs: in threads of the daemon, or in processes of its own",
		"thread", "thread|process", SPEC(isolation)},
	{SL_OPTION_CHOICE, 0, "on_exhausted",
		"when the attempts are used up: hold for an operator, or fail and undo", "hold",
		"hold|fail", SPEC(on_exhausted)},
};
static const struct option_key policy_keys[] = {
	{.name = "retry",
		.summary = "what happens after a passing trouble",
		.map = &retry_map,
		.offset = SPEC(retry)},
	{.name = "breaker",
		.summary = "holds orders back while the stage is in trouble; absent: none",
		.map = &breaker_map,
		.offset = SPEC(breaker)},
	{.name = "sandbox",
		.summary = "what the stage's processes may do and use, with `isolation: process`",
		.map = &sandbox_map,
		.offset = SPEC(sandbox),
		.word = "off",
		.word_offset = SPEC(sandbox.is_off)},
};
static const struct option_map policy_map = {.options = policy_options,
	.n_options = ARRAY_LEN(policy_options),
	.keys = policy_keys,
	.n_keys = ARRAY_LEN(policy_keys)};

#define ENTRY(field) offsetof(struct stage_entry, field)

static const struct sl_option stage_options[] = {
	{SL_OPTION_STRING, SL_OPTION_REQUIRED, "name", "the stage's name: a-z, 0-9, _ and -", NULL,
		NULL, ENTRY(spec.name)},
	{SL_OPTION_STRING, 0, "plugin", "the plugin that it runs; default: the name", NULL, NULL,
		ENTRY(spec.plugin)},
	{SL_OPTION_STRING, 0, "status", "the order's status meanwhile; default: the name", NULL,
		NULL, ENTRY(spec.status)},
	{SL_OPTION_STRING, 0, "event", "event_type when it is done; default: NAME_done", NULL, NULL,
		ENTRY(spec.event)},
	{SL_OPTION_STRING, 0, "undo_event",
		"event_type when it is undone; without it there is nothing to undo", NULL, NULL,
		ENTRY(spec.undo_event)},
	{SL_OPTION_LIST, 0, "after",
		"stages that must be done before; default: the one above; []: starts at once", NULL,
		NULL, ENTRY(after)},
	{SL_OPTION_BOOL, 0, "irreversible", "its effects cannot be undone, and that is accepted",
		"false", NULL, ENTRY(spec.irreversible)},
};
_Static_assert(sizeof(bool) == 1, "SL_OPTION_BOOL fills a bool");
_Static_assert(offsetof(struct stage_entry, spec) == 0, "policy_map fills the same struct");

static void type_is(struct json_writer *w, const char *type)
{
	json_key(w, "type");
	json_text(w, type);
}

static void config_schema(struct json_writer *w)
{
	type_is(w, "object");
}

static void rate_schema(struct json_writer *w)
{
	type_is(w, "string");
	json_key(w, "pattern");
	json_text(w, "^[1-9][0-9]{0,6}/[smh]$");
}

#define CONDITION_REF "#/$defs/condition"

static void when_schema(struct json_writer *w)
{
	json_key(w, "$ref");
	json_text(w, CONDITION_REF);
}

static const struct option_key stage_keys[] = {
	{.name = "when",
		.summary = "the condition without which the stage is skipped",
		.schema = when_schema},
	{.name = "rate",
		.summary = "attempts that start at most in a second, minute or hour, such as 200/s",
		.schema = rate_schema},
	{.name = "config", .summary = "the plugin's own options", .schema = config_schema},
};
const struct option_map stage_map = {.options = stage_options,
	.n_options = ARRAY_LEN(stage_options),
	.keys = stage_keys,
	.n_keys = ARRAY_LEN(stage_keys),
	.inherits = &policy_map};

static const struct sl_option catalog_options[] = {
	{SL_OPTION_STRING, SL_OPTION_REQUIRED, "id", "the product's id, as orders name it", NULL,
		NULL, offsetof(struct catalog_entry, id)},
	{SL_OPTION_STRING, SL_OPTION_REQUIRED, "name", "the product's name, for people", NULL, NULL,
		offsetof(struct catalog_entry, name)},
};

static void price_schema(struct json_writer *w)
{
	type_is(w, "number");
	json_key(w, "exclusiveMinimum");
	json_int(w, 0);
}

static const struct option_key catalog_keys[] = {
	{.name = "price",
		.summary = "price of one, with at most two decimals",
		.schema = price_schema,
		.is_required = true},
};

static void types_are(struct json_writer *w, const char *const *types)
{
	json_key(w, "type");
	json_open(w, '[');
	for (; *types; types++)
		json_text(w, *types);
	json_close(w, ']');
}

static void extras_schema(struct json_writer *w)
{
	static const char *const types[] = {"string", "number", "boolean", "null", NULL};

	json_open(w, '{');
	types_are(w, types);
	json_close(w, '}');
}

const struct option_map catalog_map = {.options = catalog_options,
	.n_options = ARRAY_LEN(catalog_options),
	.keys = catalog_keys,
	.n_keys = ARRAY_LEN(catalog_keys),
	.others = extras_schema};

static const struct sl_option head_options[] = {
	{SL_OPTION_STRING, SL_OPTION_REQUIRED, "pipeline", "the pipeline's name: a-z, 0-9, _ and -",
		NULL, NULL, offsetof(struct pipeline_head, name)},
};

static void items_schema(struct json_writer *w, const struct option_map *map)
{
	type_is(w, "array");
	json_key(w, "items");
	json_open(w, '{');
	option_map_schema(map, w);
	json_close(w, '}');
}

static void catalog_schema(struct json_writer *w)
{
	items_schema(w, &catalog_map);
}

static void stages_schema(struct json_writer *w)
{
	items_schema(w, &stage_map);
	json_key(w, "minItems");
	json_int(w, 1);
	json_key(w, "maxItems");
	json_int(w, PIPELINE_STAGES_MAX);
}

static void state_schema(struct json_writer *w)
{
	static const char *const types[] = {"number", "string", "boolean", "object", "array", NULL};

	type_is(w, "object");
	json_key(w, "propertyNames");
	json_open(w, '{');
	json_key(w, "minLength");
	json_int(w, 1);
	json_key(w, "maxLength");
	json_int(w, STATE_KEY_MAX);
	json_close(w, '}');
	json_key(w, "additionalProperties");
	json_open(w, '{');
	types_are(w, types);
	json_close(w, '}');
}

static const struct option_key head_keys[] = {
	{.name = "defaults",
		.summary = "for every stage that does not say otherwise",
		.map = &policy_map,
		.offset = offsetof(struct pipeline_head, defaults)},
	{.name = "catalog",
		.summary = "products: served at /products, checked by the validation stage",
		.schema = catalog_schema},
	{.name = "state", .summary = "initial values, set once", .schema = state_schema},
	{.name = "stages",
		.summary = "what an order goes through",
		.schema = stages_schema,
		.is_required = true},
};
const struct option_map pipeline_map = {.options = head_options,
	.n_options = ARRAY_LEN(head_options),
	.keys = head_keys,
	.n_keys = ARRAY_LEN(head_keys)};

void pipeline_schema(struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "$schema");
	json_text(w, "https://json-schema.org/draft/2020-12/schema");
	json_key(w, "title");
	json_text(w, "Stageline pipeline");
	option_map_schema(&pipeline_map, w);
	json_key(w, "$defs");
	json_open(w, '{');
	json_key(w, "condition");
	json_open(w, '{');
	condition_schema(w, CONDITION_REF);
	json_close(w, '}');
	json_close(w, '}');
	json_close(w, '}');
}
