/* The gate in front of a stage: paused or not, circuit breaker, rate limit. What it does not let out waits in
 * its queue, unharmed. [sequencer] */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/pipeline.h"

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

const char *breaker_word(enum breaker_state state);

struct gate {
	const struct stage_spec *spec; /* borrowed */
	bool is_paused;
	enum breaker_state breaker;
	int64_t *failures; /* when the last spec->breaker.failures happened, a ring */
	size_t next_failure;
	uint32_t n_openings;
	int64_t open_until_ms, probes_out, probes_well;
	double tokens; /* of the rate limit */
	int64_t refilled_ms;
};

int gate_init(struct gate *g, const struct stage_spec *spec, int64_t now_ms); /* -ENOMEM */
void gate_fini(struct gate *g);

/* How many attempts may go out now. Lowers *again_ms to when asking again pays. */
size_t gate_room(struct gate *g, int64_t now_ms, int64_t *again_ms);
/* `n` attempts went out. */
void gate_out(struct gate *g, size_t n);
/* The opening of the breaker after which what goes out now is a probe; 0: it is none. */
uint32_t gate_probe(const struct gate *g);
/* An attempt came back. `probe`: gate_probe() when it went out. `is_trouble`: without a proper answer (retry,
 * timeout, crash). While half-open only its own probes are heard: all else went out before it opened. */
void gate_back(struct gate *g, uint32_t probe, bool is_trouble, int64_t now_ms);
