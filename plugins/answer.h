/* What a service or a program outside answered, handed on to the host: the JSON object that http and exec have
 * in common.
 *
 *   {"message": "…", "data": {…}, "effects": [{"add": KEY, "delta": N, "floor": N}, {"put": KEY, "value": …},
 *    {"delete": KEY}], "shortage": "…"}
 *
 * All members may be absent; others are not looked at. */
#pragma once

#include <cjson/cJSON.h>

#include "stageline/stage.h"
#include "text.h"

/* One JSON value and nothing after it, or NULL. Free with cJSON_Delete. */
cJSON *answer_parse(const char *p, size_t n);
/* The member's text when it is a string with something in it, else NULL. */
const char *answer_text(const cJSON *answer, const char *name);
/* Hands in message, data, effects and shortage. When one of them is wrong: SL_RETRY and in `why` what; what the
 * host got so far goes with the verdict. Else SL_DONE. */
int32_t answer_hand_in(
	const cJSON *answer, const struct sl_host *host, struct sl_task *task, struct text *why);
/* The message, however long it is and whatever is in it. */
void answer_message(const char *text, const struct sl_host *host, struct sl_task *task);
