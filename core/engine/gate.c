/* The gate in front of a stage: breaker as a state machine of three states, rate as a token bucket. */
#include "engine/gate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { NEVER_MS = -1, BURST_MS = 100 };

const char *breaker_word(enum breaker_state state)
{
	static const char *const words[] = {"closed", "open", "half_open"};

	return words[state];
}

static double burst_of(const struct rate_policy *r)
{
	double burst = (double)r->n * BURST_MS / (double)r->per_ms;

	return burst > 1 ? burst : 1;
}

int gate_init(struct gate *g, const struct stage_spec *spec, int64_t now_ms)
{
	*g = (struct gate){.spec = spec, .refilled_ms = now_ms};
	if (spec->rate.n)
		g->tokens = burst_of(&spec->rate);
	if (!spec->breaker.failures)
		return 0;
	g->failures = malloc((size_t)spec->breaker.failures * sizeof *g->failures);
	if (!g->failures)
		return -ENOMEM;
	for (int64_t i = 0; i < spec->breaker.failures; i++)
		g->failures[i] = NEVER_MS;
	return 0;
}

void gate_fini(struct gate *g)
{
	free(g->failures);
	g->failures = NULL;
}

static void at_least(int64_t *again_ms, int64_t ms)
{
	if (ms < *again_ms)
		*again_ms = ms;
}

static size_t breaker_room(struct gate *g, int64_t now_ms, int64_t *again_ms)
{
	if (g->breaker == BREAKER_OPEN && now_ms >= g->open_until_ms) {
		g->breaker = BREAKER_HALF_OPEN;
		g->probes_out = g->probes_well = 0;
	}
	if (g->breaker == BREAKER_CLOSED)
		return SIZE_MAX;
	if (g->breaker == BREAKER_OPEN) {
		at_least(again_ms, g->open_until_ms);
		return 0;
	}
	return g->probes_out < g->spec->breaker.probes
		       ? (size_t)(g->spec->breaker.probes - g->probes_out)
		       : 0;
}

static size_t rate_room(struct gate *g, int64_t now_ms, int64_t *again_ms)
{
	const struct rate_policy *r = &g->spec->rate;
	double per_token_ms = r->n ? (double)r->per_ms / (double)r->n : 0;

	if (!r->n)
		return SIZE_MAX;
	g->tokens = fmin(g->tokens + (double)(now_ms - g->refilled_ms) / per_token_ms, burst_of(r));
	g->refilled_ms = now_ms;
	if (g->tokens < 1)
		at_least(again_ms, now_ms + (int64_t)ceil((1 - g->tokens) * per_token_ms));
	return (size_t)g->tokens;
}

size_t gate_room(struct gate *g, int64_t now_ms, int64_t *again_ms)
{
	size_t by_breaker, by_rate;

	if (g->is_paused)
		return 0;
	by_breaker = breaker_room(g, now_ms, again_ms);
	if (!by_breaker)
		return 0;
	by_rate = rate_room(g, now_ms, again_ms);
	return by_breaker < by_rate ? by_breaker : by_rate;
}

void gate_out(struct gate *g, size_t n)
{
	if (g->spec->rate.n)
		g->tokens -= (double)n;
	if (g->breaker == BREAKER_HALF_OPEN)
		g->probes_out += (int64_t)n;
}

static void open_up(struct gate *g, int64_t now_ms)
{
	g->breaker = BREAKER_OPEN;
	g->n_openings++;
	g->open_until_ms = now_ms + g->spec->breaker.open_for_ms;
	for (int64_t i = 0; i < g->spec->breaker.failures; i++)
		g->failures[i] = NEVER_MS;
}

static bool is_too_much(struct gate *g, int64_t now_ms)
{
	int64_t oldest;

	g->failures[g->next_failure] = now_ms;
	g->next_failure = (g->next_failure + 1) % (size_t)g->spec->breaker.failures;
	oldest = g->failures[g->next_failure];
	return oldest != NEVER_MS && now_ms - oldest <= g->spec->breaker.window_ms;
}

uint32_t gate_probe(const struct gate *g)
{
	return g->breaker == BREAKER_HALF_OPEN ? g->n_openings : 0;
}

void gate_back(struct gate *g, uint32_t probe, bool is_trouble, int64_t now_ms)
{
	if (!g->spec->breaker.failures || g->breaker == BREAKER_OPEN)
		return; /* what went out before it opened has nothing to say */
	if (g->breaker == BREAKER_HALF_OPEN && probe != g->n_openings)
		return;
	if (g->breaker == BREAKER_CLOSED) {
		if (is_trouble && is_too_much(g, now_ms))
			open_up(g, now_ms);
		return;
	}
	if (is_trouble) {
		open_up(g, now_ms);
		return;
	}
	if (++g->probes_well == g->spec->breaker.probes)
		g->breaker = BREAKER_CLOSED;
}
