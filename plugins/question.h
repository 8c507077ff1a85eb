/* What a service or a program outside is asked: the members that http and exec have in common. */
#pragma once

#include "stageline/stage.h"
#include "text.h"

enum { QUESTION_KEY_SIZE = 512 };

struct question {
	const char *direction; /* "run" or "undo" */
	/* The idempotency key of the task. When the answer from outside is there that the stage waited
	 * for, it is another question and has a key of its own. */
	char key[QUESTION_KEY_SIZE];
};

struct question question_of(const struct sl_host *host, const struct sl_task *task, int is_undo);
/* "stage":…,"direction":…,"attempt":…,"idempotency_key":…,"order":…,"results":…[,"signal":…] */
void question_write(const struct question *q, const struct sl_host *host,
	const struct sl_task *task, struct text *out);
