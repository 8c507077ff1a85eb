/* Five minutes of history, second by second, in fixed rings: what was counted and how things stood, of the host and of
 * each stage. The caller says what the counters show now; the rings keep what came since the last time. [net loop] */
#pragma once

#include "base/json.h"
#include "engine/engine.h"

enum { HISTORY_SECONDS = 300, HISTORY_STAGES_MAX = 256 };

struct history;

/* What the host's counters and gauges show. */
struct host_reading {
	int64_t wall_us, mono_ms;
	const char *generation;
	int64_t reloaded_us; /* when the pipeline file was last loaded anew, or refused; 0: never */
	struct engine_stats orders;
	const struct histogram *commit_us;
	int64_t rss_bytes, journal_bytes, wal_bytes;
};

struct history *history_create(void); /* NULL: no memory */
void history_free(struct history *h);

/* A new second: first the host, then each stage that there is, then the end. A stage that has not been named for
 * as long as the rings reach is forgotten; one that finds no memory, or no place, has no history. */
void history_begin(struct history *h, const struct host_reading *now);
void history_stage(struct history *h, const struct tally *t, const struct engine_stage_gauges *g);
void history_end(struct history *h);

/* All seconds, oldest first, as one object with a list per figure; null where a stage was not there yet, or nothing
 * was measured. Quantiles are those of the last minute. */
void history_json(const struct history *h, struct json_writer *w);
/* The last second, with what the stages stand at: {"type":"sample", …}. */
void history_sample_json(const struct history *h, struct json_writer *w);
/* How many stages are kept. */
size_t history_stages(const struct history *h);
