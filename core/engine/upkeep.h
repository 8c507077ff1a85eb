/* What the sequencer does when it has nothing else to do: orders that were kept long enough are erased, and what was
 * erased is cut out of the write-ahead log. [sequencer] */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct upkeep {
	/* Wall and monotonic time at the start: a clock that is set forward while the daemon runs erases nothing early. */
	int64_t started_us, started_mono_us;
	int64_t after_seq; /* every ended order up to it was erased, or is not due before `again_ms` */
	int64_t first_kept; /* the first order that this round has passed over; 0: none yet */
	int64_t again_ms;   /* monotonic: when orders are looked at again */
	int64_t scrub_ms,
		leftover_ms; /* when the log is cut off again; since when that is due, 0: it is not */
};

/* One small step. `is_busy`: orders come just now, so only what cannot wait is done. Returns when to call again
 * (monotonic). */
int64_t upkeep_run(struct engine *en, bool is_busy);
