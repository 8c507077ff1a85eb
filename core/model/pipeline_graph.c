/* The stages of a pipeline file among each other: names, words, events, who waits for whom. */
#include "base/mem.h"
#include "model/condition.h"
#include "model/event.h"
#include "model/pipeline_keys.h"

static bool is_word(const char *s, bool may_hyphen)
{
	size_t n = strlen(s);

	if (n == 0 || n > PIPELINE_NAME_MAX || *s < 'a' || *s > 'z')
		return false;
	return strspn(s, may_hyphen ? "abcdefghijklmnopqrstuvwxyz0123456789_-"
				    : "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

bool pipeline_is_name(const char *s)
{
	return is_word(s, true);
}

/* Where a value stands: at its key's value, else at the stage's name, else at the stage. */
static const struct yaml_node *place_of(const struct stage_spec *s, const char *key)
{
	const struct yaml_node *at = yaml_get(s->node, key);

	if (!at)
		at = yaml_get(s->node, "name");
	return at ? at : s->node;
}

static const char *made_of_name(struct arena *arena, const char *name, const char *suffix)
{
	size_t n = strlen(name), n_suffix = strlen(suffix);
	char *s = arena_alloc(arena, n + n_suffix + 1);

	for (size_t i = 0; s && i < n; i++)
		s[i] = name[i] == '-' ? '_' : name[i];
	if (s)
		memcpy(s + n, suffix, n_suffix);
	return s;
}

/* Fills in what was left out. false: no memory. */
static bool name_rest(struct stage_spec *s, struct arena *arena)
{
	if (!s->plugin)
		s->plugin = s->name;
	if (!s->name)
		return true;
	if (!s->status)
		s->status = s->name;
	if (!s->event)
		s->event = made_of_name(arena, s->name, "_done");
	return s->event != NULL;
}

static void check_status(const struct stage_spec *s, struct yaml_faults *faults)
{
	static const char *const taken[] = {"pending", "completed", "failed", "cancelled",
		"on_hold", "compensating", "open", NULL};
	const struct yaml_node *at = place_of(s, "status");

	if (!is_word(s->status, true)) {
		yaml_fault(faults, at, "status '%.60s' must be a-z, 0-9, _ and -, up to %d letters",
			s->status, PIPELINE_NAME_MAX);
		return;
	}
	for (size_t i = 0; taken[i]; i++)
		if (strcmp(taken[i], s->status) == 0)
			yaml_fault(faults, at,
				"status '%s' has a meaning of its own; give the stage another "
				"`status`",
				s->status);
}

static void check_event(
	const struct stage_spec *s, const char *key, const char *event, struct yaml_faults *faults)
{
	const struct yaml_node *at = place_of(s, key);

	if (!event)
		return;
	if (yaml_get(s->node, key) && !is_word(event, false))
		yaml_fault(faults, at, "%s '%.60s' must be a-z, 0-9 and _, up to %d letters", key,
			event, PIPELINE_NAME_MAX);
	else if (event_type_is_reserved(str_of(event)))
		yaml_fault(faults, at, "%s '%s' is an event of Stageline itself; choose another",
			key, event);
}

static const char *const event_keys[] = {"event", "undo_event"};

static const char *event_of(const struct stage_spec *s, size_t which)
{
	return which ? s->undo_event : s->event;
}

/* One stage written twice: said once, and not of its events as well. */
static bool is_same_stage(const struct stage_spec *a, const struct stage_spec *b)
{
	return a != b && a->name && b->name && strcmp(a->name, b->name) == 0;
}

/* Events are counted 2 per stage: event, undo_event. The first one of the same type wins. */
static void check_event_is_unique(
	const struct stage_spec *specs, size_t at, struct yaml_faults *faults)
{
	const char *event = event_of(&specs[at / 2], at % 2);

	for (size_t i = 0; i < at && event; i++) {
		const struct stage_spec *other = &specs[i / 2];

		if (!event_of(other, i % 2) || strcmp(event_of(other, i % 2), event) != 0 ||
			is_same_stage(other, &specs[at / 2]))
			continue;
		yaml_fault(faults, place_of(&specs[at / 2], event_keys[at % 2]),
			"%s '%s' is the %s of stage '%.64s' already; every event needs its own "
			"name",
			event_keys[at % 2], event, event_keys[i % 2],
			other->name ? other->name : "?");
		return;
	}
}

static void check_name(const struct stage_spec *specs, size_t at, struct yaml_faults *faults)
{
	const struct stage_spec *s = &specs[at];

	if (!pipeline_is_name(s->name))
		yaml_fault(faults, place_of(s, "name"),
			"name '%.60s' must start with a letter and be a-z, 0-9, _ and -, up to %d",
			s->name, PIPELINE_NAME_MAX);
	for (size_t i = 0; i < at; i++) {
		if (!specs[i].name || strcmp(specs[i].name, s->name) != 0)
			continue;
		yaml_fault(faults, place_of(s, "name"),
			"stage '%.64s' is there already, in line %d; names must differ", s->name,
			place_of(&specs[i], "name")->line);
		return;
	}
}

static void check_words(const struct stage_spec *specs, size_t n, struct yaml_faults *faults)
{
	for (size_t i = 0; i < n; i++) {
		if (!specs[i].name)
			continue;
		check_name(specs, i, faults);
		check_status(&specs[i], faults);
		for (size_t which = 0; which < 2; which++) {
			check_event(
				&specs[i], event_keys[which], event_of(&specs[i], which), faults);
			check_event_is_unique(specs, 2 * i + which, faults);
		}
	}
}

static int find(const struct stage_spec *specs, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (specs[i].name && str_is(name, specs[i].name))
			return (int)i;
	return -1;
}

static void fault_of_unknown(const struct stage_spec *specs, size_t n, struct str name,
	const struct yaml_node *at, struct yaml_faults *faults)
{
	const char *names[PIPELINE_STAGES_MAX + 1];
	const char *guess;
	size_t n_names = 0;

	for (size_t i = 0; i < n; i++)
		if (specs[i].name)
			names[n_names++] = specs[i].name;
	names[n_names] = NULL;
	guess = yaml_suggest(name, names);
	if (guess)
		yaml_fault(faults, at, "no stage is called '%.64s' (did you mean '%s'?)", name.p,
			guess);
	else
		yaml_fault(faults, at, "no stage is called '%.64s'", name.p);
}

/* The set of stages that stage `at` waits for. */
static uint64_t read_after(
	const struct stage_spec *specs, size_t n, size_t at, struct yaml_faults *faults)
{
	const struct yaml_node *list = yaml_get(specs[at].node, "after");
	uint64_t after = 0;

	if (!list)
		return at ? UINT64_C(1) << (at - 1) : 0;
	for (const struct yaml_node *item = list->first; item; item = item->next) {
		int other = item->type == YAML_STRING ? find(specs, n, item->text) : -1;

		if (item->type != YAML_STRING)
			continue;
		if (other < 0)
			fault_of_unknown(specs, n, item->text, item, faults);
		else if ((size_t)other == at)
			yaml_fault(faults, item, "stage '%s' cannot come after itself",
				specs[at].name);
		else if (after & UINT64_C(1) << other)
			yaml_fault(faults, item, "'%s' is in this list already", specs[other].name);
		else
			after |= UINT64_C(1) << other;
	}
	return after;
}

/* A walk along `after`, depth first. */
struct walk {
	const struct stage_spec *specs;
	size_t n;
	uint64_t finished;		  /* no new circle is reached from these */
	size_t path[PIPELINE_STAGES_MAX]; /* stages under way */
	size_t n_path;
	struct yaml_faults *faults;
};

/* The circle that starts at path[from]: named, and placed at an `after` that somebody wrote. */
static void fault_of_circle(struct walk *w, size_t from)
{
	_cleanup_(buf_fini) struct buf names = {0};
	const struct yaml_node *at = NULL;

	for (size_t i = from; i < w->n_path; i++) {
		const struct stage_spec *s = &w->specs[w->path[i]];

		buf_fmt(&names, "%s -> ", s->name ? s->name : "?");
		if (!at)
			at = yaml_get(s->node, "after");
	}
	buf_text(&names, w->specs[w->path[from]].name ? w->specs[w->path[from]].name : "?");
	yaml_fault(w->faults, at, "stages that wait for each other never start: %s",
		names.data ? names.data : "");
}

static void walk_from(struct walk *w, size_t stage)
{
	for (size_t i = 0; i < w->n_path; i++) {
		if (w->path[i] != stage)
			continue;
		fault_of_circle(w, i);
		return;
	}
	if (w->finished & UINT64_C(1) << stage)
		return;
	w->path[w->n_path++] = stage;
	for (size_t i = 0; i < w->n; i++)
		if (w->specs[stage].after & UINT64_C(1) << i)
			walk_from(w, i);
	w->n_path--;
	w->finished |= UINT64_C(1) << stage;
}

/* A condition and what it may look at. */
struct asking {
	const struct stage_spec *specs;
	size_t n, stage;
	uint64_t before; /* stages that are over when it is asked */
	struct yaml_faults *faults;
};

static void check_asked(void *arg, struct str name, const struct yaml_node *at)
{
	const struct asking *a = arg;
	int other = find(a->specs, a->n, name);

	if (other < 0)
		fault_of_unknown(a->specs, a->n, name, at, a->faults);
	else if (!(a->before & UINT64_C(1) << other))
		yaml_fault(a->faults, at,
			"'%s' has no result yet: stage '%.64s' does not come after it", name.p,
			a->specs[a->stage].name ? a->specs[a->stage].name : "?");
}

/* All stages that come before, at any distance. */
static uint64_t stages_before(const struct stage_spec *specs, size_t n, size_t stage)
{
	uint64_t before = specs[stage].after, known = 0;

	while (before != known) {
		known = before;
		for (size_t i = 0; i < n; i++)
			if (known & UINT64_C(1) << i)
				before |= specs[i].after;
	}
	return before;
}

static void check_condition(
	const struct stage_spec *specs, size_t n, size_t stage, struct yaml_faults *faults)
{
	struct asking a = {.specs = specs,
		.n = n,
		.stage = stage,
		.before = stages_before(specs, n, stage),
		.faults = faults};

	if (specs[stage].when)
		condition_each_stage(specs[stage].when, check_asked, &a);
}

int stages_connect(
	struct stage_spec *specs, size_t n, struct arena *arena, struct yaml_faults *faults)
{
	struct walk walk = {.specs = specs, .n = n, .faults = faults};

	for (size_t i = 0; i < n; i++)
		if (!name_rest(&specs[i], arena))
			return -ENOMEM;
	check_words(specs, n, faults);
	for (size_t i = 0; i < n; i++)
		specs[i].after = read_after(specs, n, i, faults);
	for (size_t i = 0; i < n; i++)
		walk_from(&walk, i);
	for (size_t i = 0; i < n; i++)
		check_condition(specs, n, i, faults);
	return 0;
}
