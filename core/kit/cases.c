/* The file of cases as a whole: its tables, its orders, and what its cases have in common. */
#include "kit/cases.h"

#include "base/mem.h"
#include "kit/cases_schema.h"
#include "net/shape.h"

static const struct option_key file_keys[] = {
	{.name = "order", .summary = "the order of every case", .schema = case_map_schema},
	{.name = "stages", .summary = "what stages do in every case", .schema = case_stages_schema},
	{.name = "state",
		.summary = "values of the state in every case",
		.schema = case_map_schema},
	{.name = "cases",
		.summary = "the list of cases",
		.schema = case_list_schema,
		.is_required = true},
};
const struct option_map case_file_map = {.keys = file_keys, .n_keys = ARRAY_LEN(file_keys)};

static const struct sl_option case_options[] = {
	{SL_OPTION_STRING, SL_OPTION_REQUIRED, "name", "what the case shows", NULL, NULL,
		offsetof(struct order_case, name)},
};
static const struct option_key case_keys[] = {
	{.name = "order", .summary = "members of the order", .schema = case_map_schema},
	{.name = "stages",
		.summary = "what stages do: STAGE: [VERDICT ...]",
		.schema = case_stages_schema},
	{.name = "state",
		.summary = "values of the state before it starts",
		.schema = case_map_schema},
	{.name = "people", .summary = "what people do meanwhile", .schema = case_people_schema},
	{.name = "expect",
		.summary = "what must become of the order",
		.schema = case_expect_schema,
		.is_required = true},
};
const struct option_map case_map = {.options = case_options,
	.n_options = ARRAY_LEN(case_options),
	.keys = case_keys,
	.n_keys = ARRAY_LEN(case_keys)};

int case_json(const struct yaml_node *node, struct arena *arena, struct str *ret)
{
	_cleanup_(buf_fini) struct buf text = {0};

	pipeline_state_json(node, &text);
	return !text.failed && arena_copy(arena, buf_view(&text), ret) ? 0 : -ENOMEM;
}

/* A map, or nothing; else a fault. */
static const struct yaml_node *take_map(
	const struct yaml_node *parent, const char *key, struct yaml_faults *faults)
{
	const struct yaml_node *node = yaml_get(parent, key);

	if (!node || node->type == YAML_NULL || node->type == YAML_MAP)
		return node && node->type == YAML_MAP ? node : NULL;
	yaml_fault(faults, node, "'%s' must be a map", key);
	return NULL;
}

/* --- orders --- */

/* The node that a JSON pointer leads to; as far as it goes. */
static const struct yaml_node *node_at(const struct yaml_node *node, const char *pointer)
{
	while (node && *pointer == '/') {
		size_t n = strcspn(pointer + 1, "/");
		struct str name = {pointer + 1, n};
		const struct yaml_node *child = node->first;

		if (node->type == YAML_LIST)
			for (size_t i = strtoul(name.p, NULL, 10); i && child; i--)
				child = child->next;
		while (node->type == YAML_MAP && child && !str_eq(child->key, name))
			child = child->next;
		if (!child)
			break;
		node = child;
		pointer += n + 1;
	}
	return node;
}

static void place_faults(const char *errors, const struct yaml_node *order,
	const struct yaml_node *shared, const struct yaml_node *otherwise,
	struct yaml_faults *faults)
{
	_cleanup_(json_freep) cJSON *list = cJSON_Parse(errors);
	const cJSON *item;

	cJSON_ArrayForEach (item, list) {
		const char *pointer = json_member(item, "pointer").p;
		const struct yaml_node *at = NULL;

		if (pointer && order)
			at = node_at(order, pointer);
		if (pointer && shared && (!at || at == order))
			at = node_at(shared, pointer);
		yaml_fault(faults, at ? at : otherwise, "the order: %s %s", pointer ? pointer : "",
			json_member(item, "detail").p);
	}
}

/* The members of the shared order that the case does not have itself, and then its own. */
static void merge_orders(
	const struct yaml_node *order, const struct yaml_node *shared, struct buf *out)
{
	struct json_writer w = {out, false};

	json_open(&w, '{');
	for (const struct yaml_node *m = shared ? shared->first : NULL; m; m = m->next) {
		if (order && yaml_get(order, m->key.p))
			continue;
		json_key_str(&w, m->key);
		pipeline_state_json(m, out);
		w.comma = true;
	}
	for (const struct yaml_node *m = order ? order->first : NULL; m; m = m->next) {
		json_key_str(&w, m->key);
		pipeline_state_json(m, out);
		w.comma = true;
	}
	json_close(&w, '}');
}

static int read_order(const struct yaml_node *order, const struct yaml_node *shared,
	struct arena *arena, struct order_case *c, struct yaml_faults *faults)
{
	_cleanup_(buf_fini) struct buf text = {0}, canonical = {0}, errors = {0};
	struct err e = {0};
	int r;

	if (!order && !shared) {
		yaml_fault_key(faults, c->node, "'order' is missing: the order that is placed");
		return 0;
	}
	merge_orders(order, shared, &text);
	if (text.failed)
		return -ENOMEM;
	r = shape_order(buf_view(&text), JSON_DEPTH_MAX, &canonical, NULL, &errors, &e);
	if (r == -EDOM)
		place_faults(errors.data, order, shared, order ? order : c->node, faults);
	else if (r == -EINVAL)
		yaml_fault(faults, order ? order : c->node, "the order: %s", err_text(&e));
	else if (r < 0 || !arena_copy(arena, buf_view(&canonical), &c->order))
		return -ENOMEM;
	return 0;
}

/* --- stages and state --- */

static int read_stages(const struct yaml_node *map, const struct pipeline *p, struct arena *arena,
	struct case_stage *stages, struct yaml_faults *faults)
{
	int r = 0;

	for (const struct yaml_node *m = map ? map->first : NULL; m && r == 0; m = m->next) {
		int i = case_find_stage(m, m->key, true, p, faults);

		if (i >= 0)
			r = case_stage_read(m, arena, &stages[i], faults);
	}
	return r;
}

static const struct yaml_node *read_state(
	const struct yaml_node *parent, struct yaml_faults *faults)
{
	const struct yaml_node *state = take_map(parent, "state", faults);

	for (const struct yaml_node *m = state ? state->first : NULL; m; m = m->next)
		if (!m->key.n || m->key.n >= TASK_KEY_MAX)
			yaml_fault_key(
				faults, m, "a state key has 1 to %d bytes", TASK_KEY_MAX - 1);
	return state;
}

/* --- one case --- */

struct shared {
	const struct yaml_node *order, *state;
	struct case_stage *stages;
};

static int read_case(struct case_file *f, const struct yaml_node *node, const struct pipeline *p,
	const struct shared *shared, struct yaml_faults *faults)
{
	struct order_case *c = &f->cases[f->n];
	int r = option_map_read(&case_map, node, c, &f->arena, faults);

	if (r == -ENOMEM || node->type != YAML_MAP)
		return r == -ENOMEM ? r : 0;
	c->node = node;
	f->n++;
	for (size_t i = 0; c->name && i + 1 < f->n; i++)
		if (f->cases[i].name && strcmp(f->cases[i].name, c->name) == 0)
			yaml_fault(faults, yaml_get(node, "name"),
				"a case of this name is there already, in line %d",
				f->cases[i].node->line);
	c->states[0] = shared->state;
	c->states[1] = read_state(node, faults);
	c->stages = arena_alloc(&f->arena, p->n_stages * sizeof *c->stages);
	if (!c->stages)
		return -ENOMEM;
	memcpy(c->stages, shared->stages, p->n_stages * sizeof *c->stages);
	r = read_order(take_map(node, "order", faults), shared->order, &f->arena, c, faults);
	if (r == 0)
		r = read_stages(take_map(node, "stages", faults), p, &f->arena, c->stages, faults);
	if (r == 0)
		r = case_people_read(yaml_get(node, "people"), p, &f->arena, c, faults);
	if (r == 0 && yaml_get(node, "expect"))
		r = case_expect_read(yaml_get(node, "expect"), p, &f->arena, &c->expect, faults);
	return r;
}

static int read_cases(struct case_file *f, const struct pipeline *p, struct yaml_faults *faults)
{
	const struct yaml_node *root = f->document->root, *list = yaml_get(root, "cases");
	struct shared shared = {0};
	int r = option_map_read(&case_file_map, root, NULL, &f->arena, faults);

	if (r == -ENOMEM || !list)
		return r == -ENOMEM ? r : 0;
	if (list->type != YAML_LIST || !list->n_children || list->n_children > CASES_MAX) {
		yaml_fault(faults, list, "'cases' must be a list of 1 to %d cases", CASES_MAX);
		return 0;
	}
	shared.order = take_map(root, "order", faults);
	shared.state = read_state(root, faults);
	shared.stages = arena_alloc(&f->arena, p->n_stages * sizeof *shared.stages);
	f->cases = arena_alloc(&f->arena, list->n_children * sizeof *f->cases);
	if (!shared.stages || !f->cases)
		return -ENOMEM;
	r = read_stages(take_map(root, "stages", faults), p, &f->arena, shared.stages, faults);
	for (const struct yaml_node *m = list->first; m && r == 0; m = m->next)
		r = read_case(f, m, p, &shared, faults);
	return r;
}

static void case_file_freep(struct case_file **f)
{
	case_file_free(*f);
}

int case_file_read(const char *path, const struct pipeline *p, struct case_file **ret,
	struct yaml_faults *faults, struct err *e)
{
	_cleanup_(case_file_freep) struct case_file *f = calloc(1, sizeof *f);
	_cleanup_(freep) char *text = NULL;
	size_t n_before = faults->n, length;
	int r;

	if (!f)
		return err_set(e, -ENOMEM, "no memory for the cases");
	f->path = path;
	r = yaml_read(path, &text, &length, e);
	if (r < 0)
		return err_wrap(e, r, "cases '%s'", path);
	r = yaml_parse((struct str){text, length}, &f->document, faults);
	if (r == 0)
		r = read_cases(f, p, faults);
	if (r == 0 && faults->n > n_before)
		r = -EINVAL;
	if (r == -ENOMEM)
		return err_set(e, r, "no memory for the cases");
	if (r == 0)
		*ret = steal_ptr(f);
	return r;
}

void case_file_free(struct case_file *f)
{
	if (!f)
		return;
	yaml_destroy(f->document);
	arena_fini(&f->arena);
	free(f);
}
