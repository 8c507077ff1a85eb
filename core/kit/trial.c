/* Runs a plugin in a child: one line of JSON per run comes back, and the end of the child is one more answer. */
#include "kit/trial.h"

#include <stdio.h>

#include "base/mem.h"
#include "kit/trial_work.h"

enum { GRACE_MS = 2000 };

struct sum {
	cJSON *last, *verdicts;
	double *times;
	size_t n;
};

static int compare_times(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void count(cJSON *verdicts, const char *word)
{
	cJSON *n = cJSON_GetObjectItemCaseSensitive(verdicts, word);

	if (n)
		cJSON_SetNumberHelper(n, n->valuedouble + 1);
	else
		cJSON_AddNumberToObject(verdicts, word, 1);
}

/* Takes the line. */
static bool take_line(struct sum *s, cJSON *line)
{
	const cJSON *us = cJSON_GetObjectItemCaseSensitive(line, "us");
	const char *verdict = json_member(line, "verdict").p;

	if (!verdict || !cJSON_IsNumber(us)) {
		cJSON_Delete(line);
		return false;
	}
	s->times[s->n++] = us->valuedouble;
	count(s->verdicts, verdict);
	cJSON_Delete(s->last);
	s->last = line;
	return true;
}

/* What the child said: lines, each complete. *ret_refused is set to the one that refuses. */
static bool read_lines(
	const struct subprocess_end *end, const struct trial *t, struct sum *s, cJSON **ret_refused)
{
	const char *p = end->out.data;

	for (const char *stop; p && (stop = strchr(p, '\n')); p = stop + 1) {
		cJSON *line = cJSON_ParseWithLength(p, (size_t)(stop - p));

		if (line && cJSON_GetObjectItemCaseSensitive(line, "refused")) {
			cJSON_Delete(*ret_refused);
			*ret_refused = line;
		} else if (!line || (int64_t)s->n == t->n_runs || !take_line(s, line)) {
			return false;
		}
	}
	return true;
}

static void add_end(const struct subprocess_end *end, const struct trial *t, struct sum *s)
{
	char how[128], text[SUBPROCESS_NOTE_SIZE + 160];
	const char *word = end->is_late ? "timeout" : "crash";

	subprocess_end_text(end, how, sizeof how);
	if (end->is_late)
		snprintf(text, sizeof text, "%s did not come back within %lld ms", end->note,
			(long long)t->timeout_ms);
	else
		snprintf(text, sizeof text, "%s %s", end->note, how);
	cJSON_Delete(s->last);
	s->last = cJSON_CreateObject();
	cJSON_AddStringToObject(s->last, "verdict", word);
	cJSON_AddStringToObject(s->last, "message", text);
	if (subprocess_end_signal(end))
		cJSON_AddStringToObject(s->last, "signal", subprocess_end_signal(end));
	else
		cJSON_AddNullToObject(s->last, "signal");
	if (!end->signal)
		cJSON_AddNumberToObject(s->last, "exit", end->status);
	count(s->verdicts, word);
}

static cJSON *sum_up(struct sum *s)
{
	cJSON *answer = steal_ptr(s->last), *time;

	cJSON_DeleteItemFromObject(answer, "us");
	cJSON_AddNumberToObject(answer, "runs", (double)s->n);
	cJSON_AddItemToObject(answer, "verdicts", steal_ptr(s->verdicts));
	if (!s->n)
		return answer;
	qsort(s->times, s->n, sizeof *s->times, compare_times);
	time = cJSON_AddObjectToObject(answer, "time_us");
	cJSON_AddNumberToObject(time, "min", s->times[0]);
	cJSON_AddNumberToObject(time, "median", s->times[s->n / 2]);
	cJSON_AddNumberToObject(time, "max", s->times[s->n - 1]);
	return answer;
}

static cJSON *answer_of(
	const struct subprocess_end *end, const struct trial *t, int *ret_status, struct err *e)
{
	_cleanup_(json_freep) cJSON *refused = NULL;
	struct sum s = {.verdicts = cJSON_CreateObject(),
		.times = calloc((size_t)t->n_runs, sizeof *s.times)};
	bool is_whole = s.times && read_lines(end, t, &s, &refused);
	cJSON *answer = NULL;

	*ret_status = EXIT_FAILURE;
	if (!is_whole) {
		err_set(e, -EPROTO, "what came back from the plugin's process cannot be read");
	} else if (refused && end->is_fine) {
		const char *why = json_member(refused, "refused").p;
		const cJSON *status = cJSON_GetObjectItemCaseSensitive(refused, "status");

		*ret_status = cJSON_IsNumber(status) ? status->valueint : EXIT_FAILURE;
		if (why && *why)
			err_set(e, -EINVAL, "%s", why);
	} else {
		if (!end->is_fine)
			add_end(end, t, &s);
		answer = s.last ? sum_up(&s) : NULL;
		if (!answer)
			err_set(e, -EPROTO, "nothing came back from the plugin's process");
	}
	cJSON_Delete(s.last);
	cJSON_Delete(s.verdicts);
	free(s.times);
	return answer;
}

cJSON *trial_run(const struct trial *t, int *ret_status, struct err *e)
{
	struct subprocess_end end = {0};
	cJSON *answer = NULL;
	int64_t silence_ms = t->timeout_ms + GRACE_MS;

	*ret_status = EXIT_FAILURE;
	if (subprocess_run(trial_work, (void *)t, silence_ms, &end, e) == 0)
		answer = answer_of(&end, t, ret_status, e);
	subprocess_end_fini(&end);
	return answer;
}
