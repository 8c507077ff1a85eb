/* What a pipeline file can get wrong about its plugins, said at the place where it stands. */
#include "stage/stage.h"

#include <unistd.h>

#include "base/mem.h"
#include "base/option.h"

enum { SUGGESTIONS_MAX = 256 };

struct names {
	struct arena arena;
	const char *list[SUGGESTIONS_MAX + 1]; /* ends in NULL */
	size_t n;
};

static void on_name(void *arg, const char *name)
{
	struct names *names = arg;
	char *copy = names->n < SUGGESTIONS_MAX ? arena_strdup(&names->arena, name) : NULL;

	if (copy)
		names->list[names->n++] = copy;
}

static const struct yaml_node *place_of(const struct stage_spec *spec, const char *key)
{
	const struct yaml_node *node = yaml_get(spec->node, key);

	return node ? node : spec->node;
}

static void fault_plugin(const struct stage_spec *spec, const struct plugin_folders *folders, int r,
	const struct err *e, struct yaml_faults *faults)
{
	const struct yaml_node *at = place_of(spec, "plugin");
	struct names names = {0};
	const char *suggestion = NULL;

	if (r == -ENOENT) {
		plugin_each_name(folders, on_name, &names);
		suggestion = yaml_suggest(str_of(spec->plugin), names.list);
	}
	if (suggestion)
		yaml_fault(faults, at, "%s (did you mean '%s'?)", err_text(e), suggestion);
	else
		yaml_fault(faults, at, "%s", err_text(e));
	arena_fini(&names.arena);
}

static int check_config(
	const struct stage_spec *spec, const struct sl_stage *stage, struct yaml_faults *faults)
{
	_cleanup_(freep) void *scratch = calloc(1, stage->config_size ? stage->config_size : 1);
	_cleanup_(arena_fini) struct arena arena = {0};

	if (!scratch)
		return -ENOMEM;
	return option_read(stage->options, stage->n_options, spec->config, NULL, scratch,
		stage->config_size, &arena, faults);
}

static void check_undo(
	const struct stage_spec *spec, const struct sl_stage *stage, struct yaml_faults *faults)
{
	if (spec->undo_event && spec->irreversible)
		yaml_fault_key(faults, place_of(spec, "irreversible"),
			"stage '%s' has an undo_event, so it cannot be irreversible", spec->name);
	else if (spec->undo_event && !stage->undo)
		yaml_fault_key(faults, place_of(spec, "undo_event"),
			"plugin '%s' cannot undo: remove undo_event", spec->plugin);
	else if ((stage->flags & SL_STAGE_EFFECTS) && !spec->undo_event && !spec->irreversible)
		yaml_fault(faults, spec->node,
			"stage '%s' changes the world: it needs %s'irreversible: true'", spec->name,
			stage->undo ? "'undo_event: …' or " : "");
}

/* What the plugin says it cannot do without; its processes would be ended for it. */
static void check_needs(
	const struct stage_spec *spec, const struct sl_stage *stage, struct yaml_faults *faults)
{
	const struct {
		uint32_t flag;
		bool is_granted;
		const char *does, *key;
	} needs[] = {
		{SL_STAGE_NETWORK, spec->sandbox.network, "calls out", "network"},
		{SL_STAGE_PROGRAMS, spec->sandbox.programs, "starts programs", "programs"},
	};

	if (spec->isolation != ISOLATION_PROCESS || spec->sandbox.is_off)
		return;
	for (size_t i = 0; i < ARRAY_LEN(needs); i++)
		if ((stage->flags & needs[i].flag) && !needs[i].is_granted)
			yaml_fault(faults, place_of(spec, "sandbox"),
				"plugin '%s' %s: with 'isolation: process' stage '%s' needs "
				"'sandbox: {%s: true}'",
				spec->plugin, needs[i].does, spec->name, needs[i].key);
}

/* A path that is not there would keep every process of the stage from starting. */
static void check_paths(const struct stage_spec *spec, const char *key, const struct sl_list *paths,
	struct yaml_faults *faults)
{
	const struct yaml_node *at = yaml_get(yaml_get(spec->node, "sandbox"), key);

	for (size_t i = 0; at && i < paths->n; i++)
		if (paths->items[i][0] == '/' && access(paths->items[i], F_OK) < 0)
			yaml_fault(faults, at, "'%s: %.200s': %s", key, paths->items[i],
				strerror(errno));
}

int stage_check(
	struct pipeline *p, const struct plugin_folders *folders, struct yaml_faults *faults)
{
	size_t n_before = faults->n;

	for (size_t i = 0; i < p->n_stages; i++) {
		struct stage_spec *spec = &p->stages[i];
		const struct plugin *plugin;
		struct err e = {0};
		int r = plugin_load_stage(folders, spec, &plugin, &e);

		if (r < 0) {
			fault_plugin(spec, folders, r, &e, faults);
			continue;
		}
		spec->build = plugin->build;
		if (check_config(spec, plugin->stage, faults) == -ENOMEM)
			return -ENOMEM;
		check_undo(spec, plugin->stage, faults);
		check_needs(spec, plugin->stage, faults);
		check_paths(spec, "read", &spec->sandbox.read, faults);
		check_paths(spec, "write", &spec->sandbox.write, faults);
	}
	return faults->n > n_before ? -EINVAL : 0;
}
