/* One stage of a one-stage pipeline, with its plugin loaded and its instance made. */
#pragma once

#include "stage/stage.h"
#include "unit.h"

struct stage_fixture {
	struct stage_spec spec;
	struct pipeline pipeline;
	struct yaml *yaml;
	struct instance *instance;
};

/* The folder of the mocks is in STAGELINE_TEST_MOCKS, that of the shipped stages in
 * STAGELINE_TEST_STAGES. */
static inline struct plugin_folders stage_folders(const char **slot, const char *variable)
{
	*slot = getenv(variable);
	REQUIRE(*slot != NULL);
	return (struct plugin_folders){slot, 1};
}

/* `config`: YAML of the plugin's options, NULL: none. `catalog`: JSON array, NULL: none. */
static inline int stage_fixture_init(struct stage_fixture *fx, const char *variable,
	const char *plugin, const char *config, const char *catalog, struct err *e)
{
	const char *path;
	struct plugin_folders folders = stage_folders(&path, variable);
	struct yaml_faults faults = {0};
	const struct plugin *loaded;
	int r;

	*fx = (struct stage_fixture){
		.spec = {.name = plugin, .plugin = plugin, .workers = 1, .timeout_ms = 10000}};
	fx->pipeline = (struct pipeline){
		.name = "test", .n_stages = 1, .stages = &fx->spec, .catalog = str_of(catalog)};
	if (config) {
		REQUIRE(yaml_parse(str_of(config), &fx->yaml, &faults) == 0);
		fx->spec.config = fx->yaml->root;
	}
	yaml_faults_fini(&faults);
	r = plugin_load(&folders, plugin, &loaded, e);
	return r < 0 ? r : instance_create(&fx->pipeline, 0, loaded, &fx->instance, e);
}

static inline void stage_fixture_fini(struct stage_fixture *fx)
{
	instance_destroy(fx->instance);
	yaml_destroy(fx->yaml);
}

/* A first attempt; the same `number` gives the same order id. */
static inline struct task *stage_task(
	const struct stage_fixture *fx, uint32_t number, const char *order)
{
	struct task *t = task_new(str_of(order), STR("{}"), (struct str){0});

	REQUIRE(t != NULL);
	t->pipeline = &fx->pipeline;
	t->attempt = 1;
	t->order_seq = number;
	t->order_id.bytes[6] = 0x70;
	memcpy(t->order_id.bytes + 12, &number, sizeof number);
	return t;
}

static inline void task_freep(struct task **t)
{
	task_free(*t);
}
