/* Reading ahead: of a stage with short calls more tasks are taken than begin at once, so that its workers need not
 * wait for Redis after each.
 *
 * When a worker dies, whatever it held costs an attempt, begun or not. So nothing is read ahead where attempts are few,
 * nor while there are tasks that were tried before: those are taken when they begin at once, with nothing waiting beside
 * them. An order that kills its workers takes an attempt from those that wait beside it once, not each time. A stage in
 * processes of its own takes no worker with it. */
#include "bus/redis_room.h"

enum {
	SHORT_US = 1000,
	AHEAD_EACH = 8, /* for each that runs */
	ATTEMPTS_MIN = 3,
};

void redis_note_duration(struct channel *ch, int64_t us)
{
	if (us >= 0)
		ch->mean_us = ch->mean_us < 0 ? us : ch->mean_us + (us - ch->mean_us) / 8;
}

static bool is_short(const struct channel *ch)
{
	return ch->mean_us >= 0 && ch->mean_us <= SHORT_US;
}

size_t redis_ahead(const struct channel *ch, size_t n_waiting)
{
	const struct stage_spec *spec = &ch->pipeline->stages[ch->stage];
	size_t max = (size_t)spec->workers * AHEAD_EACH;

	if (spec->retry.attempts < ATTEMPTS_MIN || !is_short(ch))
		return 0;
	return n_waiting <= max / 2 ? max - n_waiting : 0; /* not one after the other */
}

bool redis_is_risky(const struct channel *ch, uint32_t attempt)
{
	return attempt > 1 && ch->pipeline->stages[ch->stage].isolation == ISOLATION_THREAD;
}

bool redis_is_at_risk(const struct channel *ch, size_t n_waiting)
{
	return n_waiting || (ch->n_unsent && is_short(ch));
}
