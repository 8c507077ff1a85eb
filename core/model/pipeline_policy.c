/* How a stage is tried: what its retries, breaker and rate say beyond what a table of options can. */
#include <ctype.h>

#include "base/mem.h"
#include "model/pipeline_keys.h"

enum { RATE_MAX = 1000000, RATE_DIGITS_MAX = 7 };

static void check_retry(const struct stage_spec *s, struct yaml_faults *faults)
{
	const struct yaml_node *retry = yaml_get(s->node, "retry"), *at = yaml_get(retry, "max");
	char max[OPTION_UNIT_TEXT_SIZE], backoff[OPTION_UNIT_TEXT_SIZE];

	if (!retry || s->retry.max_ms >= s->retry.backoff_ms)
		return;
	if (!at)
		at = yaml_get(retry, "backoff");
	option_duration_text(s->retry.max_ms, max);
	option_duration_text(s->retry.backoff_ms, backoff);
	yaml_fault(faults, at ? at : retry,
		"the longest wait (max: %s) is shorter than the first one (backoff: %s)", max,
		backoff);
}

/* The table's defaults are those of a breaker that somebody asked for. */
static void drop_unwanted_breaker(struct stage_spec *s, const struct stage_spec *inherited)
{
	if (!yaml_get(s->node, "breaker") && !yaml_get(inherited->node, "breaker"))
		s->breaker = (struct breaker_policy){0};
}

/* "200/s", "30/m", "5/h" */
static bool parse_rate(struct str text, struct rate_policy *ret)
{
	static const struct {
		char name;
		int64_t ms;
	} units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}};
	struct rate_policy rate = {0};
	size_t i = 0;

	for (; i < text.n && i < RATE_DIGITS_MAX && isdigit((unsigned char)text.p[i]); i++)
		rate.n = rate.n * 10 + (text.p[i] - '0');
	if (rate.n < 1 || rate.n > RATE_MAX || text.p[0] == '0' || text.n != i + 2 ||
		text.p[i] != '/')
		return false;
	for (size_t k = 0; k < ARRAY_LEN(units); k++)
		if (text.p[i + 1] == units[k].name)
			rate.per_ms = units[k].ms;
	*ret = rate;
	return rate.per_ms > 0;
}

static void read_rate(struct stage_spec *s, struct yaml_faults *faults)
{
	const struct yaml_node *at = yaml_get(s->node, "rate");

	if (!at || (at->type == YAML_STRING && parse_rate(at->text, &s->rate)))
		return;
	yaml_fault(faults, at,
		"'rate' must be a number up to %d and its time, such as 200/s, 30/m or 5/h",
		RATE_MAX);
}

static void check_paths(const struct stage_spec *s, const char *key, const struct sl_list *paths,
	struct yaml_faults *faults)
{
	const struct yaml_node *at = yaml_get(yaml_get(s->node, "sandbox"), key);

	for (size_t i = 0; at && i < paths->n; i++)
		if (paths->items[i][0] != '/')
			yaml_fault(faults, at, "'%s: %.60s' must be an absolute path", key,
				paths->items[i]);
}

static void check_sandbox(
	const struct stage_spec *s, const struct stage_spec *inherited, struct yaml_faults *faults)
{
	check_paths(s, "read", &s->sandbox.read, faults);
	check_paths(s, "write", &s->sandbox.write, faults);
	if (inherited && yaml_get(s->node, "sandbox") && s->isolation != ISOLATION_PROCESS)
		yaml_fault_key(faults, yaml_get(s->node, "sandbox"),
			"threads of the daemon have no sandbox: it needs 'isolation: process'");
}

void policies_complete(
	struct stage_spec *s, const struct stage_spec *inherited, struct yaml_faults *faults)
{
	check_retry(s, faults);
	check_sandbox(s, inherited, faults);
	if (!inherited)
		return;
	drop_unwanted_breaker(s, inherited);
	read_rate(s, faults);
}
