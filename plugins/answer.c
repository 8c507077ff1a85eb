/* What a service or a program outside answered, handed on to the host. */
#include "answer.h"

#include <math.h>
#include <string.h>

#define INTEGER_MAX 9007199254740992.0 /* 2^53: what JSON numbers hold exactly */

cJSON *answer_parse(const char *p, size_t n)
{
	const char *end = NULL;
	cJSON *value = n ? cJSON_ParseWithLengthOpts(p, n, &end, 0) : NULL;

	while (value && end < p + n && strchr(" \t\r\n", *end) && *end)
		end++;
	if (value && end < p + n) {
		cJSON_Delete(value);
		return NULL;
	}
	return value;
}

const char *answer_text(const cJSON *answer, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, name));

	return s && *s ? s : NULL;
}

static bool read_integer(const cJSON *j, int64_t *ret)
{
	double v = cJSON_GetNumberValue(j);

	if (!cJSON_IsNumber(j) || !(fabs(v) <= INTEGER_MAX) || v != floor(v))
		return false;
	*ret = (int64_t)v;
	return true;
}

static bool hand_in_add(
	const cJSON *effect, const char *key, const struct sl_host *host, struct sl_task *task)
{
	const cJSON *floor_ = cJSON_GetObjectItemCaseSensitive(effect, "floor");
	int64_t delta, lowest = INT64_MIN;

	return read_integer(cJSON_GetObjectItemCaseSensitive(effect, "delta"), &delta) &&
	       (!floor_ || read_integer(floor_, &lowest)) &&
	       host->effect_add(task, key, delta, lowest) == 0;
}

static bool hand_in_put(
	const cJSON *effect, const char *key, const struct sl_host *host, struct sl_task *task)
{
	char *json = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(effect, "value"));
	bool ok = json && host->effect_put(task, key, json, strlen(json)) == 0;

	cJSON_free(json);
	return ok;
}

static bool hand_in_delete(
	const cJSON *effect, const char *key, const struct sl_host *host, struct sl_task *task)
{
	(void)effect;
	return host->effect_delete(task, key) == 0;
}

static bool hand_in_effect(const cJSON *effect, const struct sl_host *host, struct sl_task *task)
{
	static const struct {
		const char *name;
		bool (*hand_in)(const cJSON *effect, const char *key, const struct sl_host *host,
			struct sl_task *task);
	} kinds[] = {{"add", hand_in_add}, {"put", hand_in_put}, {"delete", hand_in_delete}};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const char *key = answer_text(effect, kinds[i].name);

		if (key)
			return kinds[i].hand_in(effect, key, host, task);
	}
	return false;
}

static bool hand_in_effects(
	const cJSON *list, const struct sl_host *host, struct sl_task *task, struct text *why)
{
	const cJSON *effect;
	int n = 0;

	if (!cJSON_IsArray(list)) {
		text_put(why, "its effects are no list");
		return false;
	}
	cJSON_ArrayForEach (effect, list) {
		n++;
		if (hand_in_effect(effect, host, task))
			continue;
		text_fmt(why, "its effect %d is no add, put or delete, or out of bounds", n);
		return false;
	}
	return true;
}

static bool hand_in_data(
	const cJSON *data, const struct sl_host *host, struct sl_task *task, struct text *why)
{
	char *json = cJSON_IsObject(data) ? cJSON_PrintUnformatted(data) : NULL;
	bool ok = json && host->set_result(task, json, strlen(json)) == 0;

	cJSON_free(json);
	if (!ok)
		text_put(why, "its data is no object, or too large");
	return ok;
}

void answer_message(const char *text, const struct sl_host *host, struct sl_task *task)
{
	struct text line = {0};

	text_line(&line, text, strlen(text), TEXT_LINE_MAX);
	if (line.n && !line.failed)
		host->set_message(task, line.p);
	text_fini(&line);
}

int32_t answer_hand_in(
	const cJSON *answer, const struct sl_host *host, struct sl_task *task, struct text *why)
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(answer, "data");
	const cJSON *effects = cJSON_GetObjectItemCaseSensitive(answer, "effects");
	const char *message = answer_text(answer, "message");
	const char *shortage = answer_text(answer, "shortage");

	if (data && !cJSON_IsNull(data) && !hand_in_data(data, host, task, why))
		return SL_RETRY;
	if (effects && !cJSON_IsNull(effects) && !hand_in_effects(effects, host, task, why))
		return SL_RETRY;
	if (shortage)
		host->set_shortage(task, shortage);
	if (message)
		answer_message(message, host, task);
	return SL_DONE;
}
