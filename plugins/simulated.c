/* Simulated providers: draws that depend on seed, idempotency key and attempt, and on nothing else. */
#include "simulated.h"

#include <inttypes.h>
#include <stdio.h>

enum purpose { FOR_LATENCY = 1, FOR_DECLINE, FOR_FAILURE };

/* The finaliser of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators). */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint64_t simulated_number(const char *key)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3;
	return mix(h);
}

void simulated_reference(const char *prefix, const char *key, char out[SIMULATED_REFERENCE_SIZE])
{
	snprintf(out, SIMULATED_REFERENCE_SIZE, "%s-%016" PRIX64, prefix, simulated_number(key));
}

/* From 0 to just below 1. */
static double draw(const struct simulated *sim, const struct sl_host *host,
	const struct sl_task *task, enum purpose purpose)
{
	uint64_t x = simulated_number(host->idempotency_key(task));

	x = mix(x ^ (uint64_t)sim->seed);
	x = mix(x ^ ((uint64_t)host->attempt(task) << 8 | purpose));
	return (double)(x >> 11) / 9007199254740992.0;
}

int32_t simulated_step(const struct simulated *sim, const struct sl_host *host,
	struct sl_task *task, struct simulated_words words)
{
	double span = (double)(sim->latency.high - sim->latency.low) + 1;

	if (sim->latency.high > 0 && host->turn(task) == 0) {
		double part = draw(sim, host, task, FOR_LATENCY);

		host->delay(task, sim->latency.low + (int64_t)(part * span));
		return SL_LATER;
	}
	if (draw(sim, host, task, FOR_FAILURE) < sim->failure_rate) {
		host->set_message(task, words.failed);
		return SL_RETRY;
	}
	if (words.declined && draw(sim, host, task, FOR_DECLINE) < sim->decline_rate) {
		host->set_message(task, words.declined);
		return SL_FAIL;
	}
	return SIMULATED_GO_ON;
}
