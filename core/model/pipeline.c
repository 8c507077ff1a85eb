/* Pipelines: one file's text to a checked, immutable struct, and the set of those seen so far. */
#include "model/pipeline.h"

#include "base/digest.h"
#include "base/mem.h"
#include "model/condition.h"
#include "model/pipeline_build.h"
#include "model/pipeline_keys.h"

static int set_digest(struct pipeline *p, struct str text)
{
	uint8_t bytes[DIGEST_SIZE];
	char hex[DIGEST_TEXT_SIZE];
	int r = digest_once(text, bytes);

	if (r < 0)
		return r;
	digest_text(bytes, hex);
	memcpy(p->digest, hex, PIPELINE_DIGEST_SIZE - 1);
	return 0;
}

static int read_stage(const struct yaml_node *node, const struct stage_spec *defaults,
	struct stage_spec *ret, struct arena *arena, struct yaml_faults *faults)
{
	const struct yaml_node *config = yaml_get(node, "config"), *when = yaml_get(node, "when");
	struct stage_entry entry = {.spec = *defaults};
	int r;

	entry.spec.node = node;
	r = option_map_read(&stage_map, node, &entry, arena, faults);
	if (r == -ENOMEM)
		return r;
	if (config && config->type != YAML_MAP && config->type != YAML_NULL)
		yaml_fault(faults, config, "'config' must be a map of the plugin's options");
	else if (config && config->type == YAML_MAP)
		entry.spec.config = config;
	policies_complete(&entry.spec, defaults, faults);
	if (when && condition_read(when, arena, &entry.spec.when, faults) < 0)
		return -ENOMEM;
	*ret = entry.spec;
	return 0;
}

/* A stage without name and plugin is a fault already; nobody can say more about it. */
static void drop_nameless(struct pipeline *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_stages; i++)
		if (p->stages[i].plugin)
			p->stages[n++] = p->stages[i];
	p->n_stages = n;
	for (size_t i = 0; i < n; i++)
		if (!p->stages[i].name)
			p->stages[i].name = "?";
}

static int read_stages(struct pipeline *p, const struct yaml_node *list,
	const struct stage_spec *defaults, struct yaml_faults *faults)
{
	struct arena *arena = &p->document->arena;
	int r = 0;

	if (!list)
		return 0;
	if (list->type != YAML_LIST || list->n_children == 0 ||
		list->n_children > PIPELINE_STAGES_MAX) {
		yaml_fault(faults, list, "'stages' must be a list of 1 to %d stages",
			PIPELINE_STAGES_MAX);
		return 0;
	}
	p->stages = arena_alloc(arena, list->n_children * sizeof *p->stages);
	if (!p->stages)
		return -ENOMEM;
	for (const struct yaml_node *m = list->first; m && r == 0; m = m->next)
		r = read_stage(m, defaults, &p->stages[p->n_stages++], arena, faults);
	if (r == 0)
		r = stages_connect(p->stages, p->n_stages, arena, faults);
	drop_nameless(p);
	return r;
}

static int read_document(struct pipeline *p, struct yaml_faults *faults)
{
	const struct yaml_node *root = p->document->root, *state = yaml_get(root, "state");
	struct pipeline_head head = {0};
	int r = option_map_read(&pipeline_map, root, &head, &p->document->arena, faults);

	if (r == -ENOMEM)
		return r;
	if (head.name && !pipeline_is_name(head.name))
		yaml_fault(faults, yaml_get(root, "pipeline"),
			"name '%.60s' must start with a letter and be a-z, 0-9, _ and -, up to %d",
			head.name, PIPELINE_NAME_MAX);
	p->name = head.name;
	head.defaults.node = yaml_get(root, "defaults");
	policies_complete(&head.defaults, NULL, faults);
	r = catalog_read(yaml_get(root, "catalog"), &p->document->arena, &p->catalog, faults);
	if (r < 0)
		return r;
	state_check(state, faults);
	p->state = state && state->type == YAML_MAP ? state : NULL;
	return read_stages(p, yaml_get(root, "stages"), &head.defaults, faults);
}

int pipeline_read(struct str text, struct pipeline **ret, struct yaml_faults *faults)
{
	_cleanup_(pipeline_freep) struct pipeline *p = calloc(1, sizeof *p);
	int r;

	if (!p)
		return -ENOMEM;
	r = yaml_parse(text, &p->document, faults);
	if (r == 0)
		r = set_digest(p, text);
	if (r == 0)
		r = read_document(p, faults);
	if (r == 0)
		r = pipeline_build_read(p, text, &p->document->arena);
	if (r < 0)
		return r;
	*ret = steal_ptr(p);
	return 0;
}

int pipeline_parse(struct str text, struct pipeline **ret, struct yaml_faults *faults)
{
	_cleanup_(pipeline_freep) struct pipeline *p = NULL;
	size_t n_before = faults->n;
	int r = pipeline_read(text, &p, faults);

	if (r < 0)
		return r;
	if (faults->n > n_before)
		return -EINVAL;
	*ret = steal_ptr(p);
	return 0;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	yaml_destroy(p->document);
	free(p);
}

int pipeline_find(const struct pipeline *p, struct str stage_name)
{
	for (size_t i = 0; i < p->n_stages; i++)
		if (str_is(stage_name, p->stages[i].name))
			return (int)i;
	return -1;
}

static const struct pipeline *find(const struct pipeline *first, struct str digest)
{
	while (first && !str_is(digest, first->digest))
		first = first->next;
	return first;
}

const struct pipeline *pipeline_set_find(struct pipeline_set *set, struct str digest)
{
	return find(atomic_load_explicit(&set->first, memory_order_acquire), digest);
}

const struct pipeline *pipeline_set_add(struct pipeline_set *set, struct pipeline *p)
{
	struct pipeline *first = atomic_load_explicit(&set->first, memory_order_acquire);

	do {
		const struct pipeline *known = find(first, str_of(p->digest));

		if (known) {
			pipeline_free(p);
			return known;
		}
		p->next = first;
	} while (!atomic_compare_exchange_weak_explicit(
		&set->first, &first, p, memory_order_acq_rel, memory_order_acquire));
	return p;
}

void pipeline_set_fini(struct pipeline_set *set)
{
	struct pipeline *p = atomic_exchange(&set->first, NULL);

	while (p) {
		struct pipeline *next = p->next;

		pipeline_free(p);
		p = next;
	}
}
