/* A stage that does what the order's script says, one letter per attempt, the last one again and again:
 *
 *   "script": {"payment": "rd", "undo payment": "f"}
 *
 * d done, r retry by the stage's policy, R retry after 500 ms of its own (Z: 5 s), f a final no, c crash, l done
 * after a turn by SL_LATER (L: of 3 s), - hang beyond any timeout by SL_LATER, w wait a minute for an answer from outside
 * (W: 200 ms) and then done with the answer as result, v wait for another one whatever came before. Without a script:
 * done. A run that is done adds 1 to net/STAGE, its undo takes it away again. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock.h"

struct scripted {
	const struct sl_host *host;
};

static int32_t scripted_create(const struct sl_host *host, const void *config, void **ret_self)
{
	struct scripted *s = malloc(sizeof *s);

	(void)config;
	if (!s)
		return -1;
	s->host = host;
	*ret_self = s;
	return 0;
}

/* The letter for this attempt. */
static char letter(const struct scripted *s, struct sl_task *task, const char *direction)
{
	const char *script = strstr(s->host->order(task, NULL), "\"script\":{");
	char member[128];
	uint32_t n = s->host->attempt(task);
	const char *p;

	snprintf(member, sizeof member, "\"%s%s\":\"", direction, s->host->stage_name(s->host));
	p = script ? strstr(script, member) : NULL;
	if (!p)
		return 'd';
	for (p += strlen(member); n > 1 && p[1] != '"'; p++)
		n--;
	return *p;
}

static int32_t finish(const struct scripted *s, struct sl_task *task, int64_t delta)
{
	char key[128];

	snprintf(key, sizeof key, "net/%s", s->host->stage_name(s->host));
	s->host->effect_add(task, key, delta, INT64_MIN);
	return SL_DONE;
}

static int32_t later(const struct scripted *s, struct sl_task *task, int64_t ms)
{
	s->host->delay(task, ms);
	return SL_LATER;
}

/* Done with the answer from outside once it came; until then waiting for it. */
static int32_t wait_for_answer(
	const struct scripted *s, struct sl_task *task, int64_t ms, int64_t delta)
{
	size_t len;
	const char *answer = s->host->signal(task, &len);

	if (answer) {
		s->host->set_result(task, answer, len);
		return finish(s, task, delta);
	}
	s->host->delay(task, ms);
	return SL_WAIT;
}

static int32_t act(const struct scripted *s, struct sl_task *task, char what, int64_t delta)
{
	switch (what) {
	case 'r':
		s->host->set_message(task, "not now");
		return SL_RETRY;
	case 'R':
	case 'Z':
		s->host->set_message(task, "not now, later");
		s->host->delay(task, what == 'R' ? 500 : 5000);
		return SL_RETRY;
	case 'f':
		s->host->set_message(task, "no");
		return SL_FAIL;
	case 'c':
		raise(SIGSEGV);
		return SL_RETRY;
	case 'l':
	case 'L':
		return s->host->turn(task) ? finish(s, task, delta)
					   : later(s, task, what == 'l' ? 20 : 3000);
	case '-':
		return later(s, task, 1000);
	case 'v':
		s->host->delay(task, 60000);
		return SL_WAIT;
	case 'w':
		return wait_for_answer(s, task, 60000, delta);
	case 'W':
		return wait_for_answer(s, task, 200, delta);
	default:
		return finish(s, task, delta);
	}
}

static int32_t scripted_run(void *self, struct sl_task *task)
{
	return act(self, task, letter(self, task, ""), 1);
}

static int32_t scripted_undo(void *self, struct sl_task *task)
{
	return act(self, task, letter(self, task, "undo "), -1);
}

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("scripted",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS, .create = scripted_create, .destroy = free,
	.run = scripted_run, .undo = scripted_undo);
