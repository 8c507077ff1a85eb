/* What the simulated providers share: how long an answer takes, how often it is a no or does not come.
 *
 * Every draw is a function of (seed, idempotency key, attempt, purpose): the same seed gives the same
 * answers, in whatever order threads run. */
#pragma once

#include <stdbool.h>

#include "stageline/stage.h"

/* Stands in the config struct of the stage as its member `sim`. */
struct simulated {
	struct sl_range latency;
	double decline_rate, failure_rate;
	int64_t seed;
};

/* What a provider says for its no and for its silence. */
struct simulated_words {
	const char *declined, *failed;
};

#define SIMULATED_OPTIONS(config)                                                                  \
	{.type = SL_OPTION_DURATION_RANGE,                                                         \
		.name = "latency",                                                                 \
		.summary = "how long an answer takes, drawn evenly from the range",                \
		.fallback = "0ms",                                                                 \
		.offset = offsetof(config, sim.latency)},                                          \
		{.type = SL_OPTION_RATIO,                                                          \
			.name = "decline_rate",                                                    \
			.summary = "part of the orders that get a final no",                       \
			.fallback = "0",                                                           \
			.offset = offsetof(config, sim.decline_rate)},                             \
		{.type = SL_OPTION_RATIO,                                                          \
			.name = "failure_rate",                                                    \
			.summary = "part of the attempts that fail for a passing reason",          \
			.fallback = "0",                                                           \
			.offset = offsetof(config, sim.failure_rate)},                             \
	{                                                                                          \
		.type = SL_OPTION_INT, .name = "seed",                                             \
		.summary = "another seed gives other random answers", .fallback = "0",             \
		.offset = offsetof(config, sim.seed)                                               \
	}

enum { SIMULATED_GO_ON = -1, SIMULATED_REFERENCE_SIZE = 32 };

/* Waits, fails or declines as drawn: a verdict to return, or SIMULATED_GO_ON. `words.declined` NULL: never
 * declines. */
int32_t simulated_step(const struct simulated *sim, const struct sl_host *host,
	struct sl_task *task, struct simulated_words words);

/* A number that depends on the key alone: the same for every attempt. */
uint64_t simulated_number(const char *key);
/* "PREFIX-" and 16 digits of that number. */
void simulated_reference(const char *prefix, const char *key, char out[SIMULATED_REFERENCE_SIZE]);
