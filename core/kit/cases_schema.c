/* The JSON Schema of files of cases, for editors, from the tables that read them. What the pipeline alone knows, such as
 * the names of its stages, is any text here. */
#include "kit/cases_schema.h"

#include "base/mem.h"
#include "kit/cases.h"

static void ref(struct json_writer *w, const char *definition)
{
	json_key(w, "$ref");
	json_text(w, definition);
}

static void type_is(struct json_writer *w, const char *type)
{
	json_key(w, "type");
	json_text(w, type);
}

static void ref_as_value(struct json_writer *w, const char *definition)
{
	json_open(w, '{');
	ref(w, definition);
	json_close(w, '}');
}

static void list_of(struct json_writer *w, const char *definition, int least, int most)
{
	type_is(w, "array");
	json_key(w, "items");
	ref_as_value(w, definition);
	json_key(w, "minItems");
	json_int(w, least);
	json_key(w, "maxItems");
	json_int(w, most);
}

/* --- keys --- */

void case_map_schema(struct json_writer *w)
{
	type_is(w, "object");
}

void case_any_schema(struct json_writer *w)
{
	(void)w;
}

void case_list_schema(struct json_writer *w)
{
	list_of(w, "#/$defs/case", 1, CASES_MAX);
}

void case_stages_schema(struct json_writer *w)
{
	type_is(w, "object");
	json_key(w, "additionalProperties");
	ref_as_value(w, "#/$defs/stage");
}

void case_effects_schema(struct json_writer *w)
{
	list_of(w, "#/$defs/effect", 0, TASK_EFFECTS_MAX);
}

void case_people_schema(struct json_writer *w)
{
	list_of(w, "#/$defs/act", 0, CASE_PEOPLE_MAX);
}

void case_expect_schema(struct json_writer *w)
{
	ref(w, "#/$defs/expectation");
}

void case_events_schema(struct json_writer *w)
{
	list_of(w, "#/$defs/event", 0, CASE_EXPECTED_MAX);
}

void case_calls_schema(struct json_writer *w)
{
	type_is(w, "object");
	json_key(w, "additionalProperties");
	json_open(w, '{');
	type_is(w, "integer");
	json_key(w, "minimum");
	json_int(w, 0);
	json_close(w, '}');
}

void case_results_schema(struct json_writer *w)
{
	type_is(w, "object");
	json_key(w, "additionalProperties");
	json_open(w, '{');
	type_is(w, "object");
	json_close(w, '}');
}

/* --- definitions --- */

/* "anyOf": what `first` and `second` write, each into an object of its own. */
static void either(struct json_writer *w, void (*first)(struct json_writer *w),
	void (*second)(struct json_writer *w))
{
	json_key(w, "anyOf");
	json_open(w, '[');
	json_open(w, '{');
	first(w);
	json_close(w, '}');
	json_open(w, '{');
	second(w);
	json_close(w, '}');
	json_close(w, ']');
}

static void case_schema(struct json_writer *w)
{
	option_map_schema(&case_map, w);
}

static void effect_schema(struct json_writer *w)
{
	option_map_schema(&case_effect_map, w);
}

static void act_schema(struct json_writer *w)
{
	option_map_schema(&case_act_map, w);
}

static void expectation_schema(struct json_writer *w)
{
	option_map_schema(&case_expect_map, w);
}

static void step_as_map(struct json_writer *w)
{
	option_map_schema(&case_step_map, w);
}

static void step_as_word(struct json_writer *w)
{
	ref(w, "#/$defs/step/anyOf/1/properties/verdict");
}

static void step_schema(struct json_writer *w)
{
	either(w, step_as_word, step_as_map);
}

static void script_as_step(struct json_writer *w)
{
	ref(w, "#/$defs/step");
}

static void script_as_list(struct json_writer *w)
{
	list_of(w, "#/$defs/step", 1, CASE_STEPS_MAX);
}

static void script_schema(struct json_writer *w)
{
	either(w, script_as_step, script_as_list);
}

static void stage_as_script(struct json_writer *w)
{
	ref(w, "#/$defs/script");
}

static void stage_as_directions(struct json_writer *w)
{
	type_is(w, "object");
	json_key(w, "minProperties");
	json_int(w, 1);
	json_key(w, "additionalProperties");
	json_bool(w, false);
	json_key(w, "properties");
	json_open(w, '{');
	json_key(w, "run");
	ref_as_value(w, "#/$defs/script");
	json_key(w, "undo");
	ref_as_value(w, "#/$defs/script");
	json_close(w, '}');
}

static void stage_schema(struct json_writer *w)
{
	either(w, stage_as_script, stage_as_directions);
}

static void event_as_type(struct json_writer *w)
{
	type_is(w, "string");
}

static void event_as_map(struct json_writer *w)
{
	option_map_schema(&case_event_map, w);
}

static void event_schema(struct json_writer *w)
{
	either(w, event_as_type, event_as_map);
}

static const struct {
	const char *name;
	void (*members)(struct json_writer *w);
} definitions[] = {
	{"case", case_schema},
	{"stage", stage_schema},
	{"script", script_schema},
	{"step", step_schema},
	{"effect", effect_schema},
	{"act", act_schema},
	{"expectation", expectation_schema},
	{"event", event_schema},
};

void case_file_schema(struct json_writer *w)
{
	json_open(w, '{');
	json_key(w, "$schema");
	json_text(w, "https://json-schema.org/draft/2020-12/schema");
	json_key(w, "title");
	json_text(w, "Cases of a Stageline pipeline");
	option_map_schema(&case_file_map, w);
	json_key(w, "$defs");
	json_open(w, '{');
	for (size_t i = 0; i < ARRAY_LEN(definitions); i++) {
		json_key(w, definitions[i].name);
		json_open(w, '{');
		definitions[i].members(w);
		json_close(w, '}');
	}
	json_close(w, '}');
	json_close(w, '}');
}
