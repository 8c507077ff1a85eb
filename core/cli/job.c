/* Jobs: bulk work that goes on in the daemon, followed to its end. */
#include "cli/job.h"

#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/terminal.h"

enum { POLL_MS = 200 };

void job_print_capped(const cJSON *answer)
{
	if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "capped")))
		fprintf(stderr,
			"More match: these are the newest %lld, the most that one call takes; give "
			"it again for the rest\n",
			(long long)json_int_member(answer, "matched"));
}

static void print_job(const cJSON *job)
{
	const char *action = json_member(job, "action").p;
	const cJSON *refusal;

	fprintf(stderr, "%s: %lld of %lld done, %lld refused\n", action ? action : "job",
		(long long)json_int_member(job, "done"), (long long)json_int_member(job, "matched"),
		(long long)json_int_member(job, "refused"));
	job_print_capped(job);
	cJSON_ArrayForEach (refusal, cJSON_GetObjectItemCaseSensitive(job, "refusals")) {
		const char *id = json_member(refusal, "id").p;
		const char *detail = json_member(refusal, "detail").p;

		fprintf(stderr, "  %s: ", id ? id : "");
		terminal_put(stderr, detail ? detail : "", SIZE_MAX);
		fputc('\n', stderr);
	}
}

static void show_progress(struct progress *p, const cJSON *job)
{
	int64_t matched = json_int_member(job, "matched");

	progress_show(p, (size_t)(matched - json_int_member(job, "left")), (size_t)matched);
}

/* Asks again and again until the job is finished. `answer` is the newest answer. */
static int follow(struct remote *r, struct client_answer *answer)
{
	static const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
	struct progress progress = {.label = r->action->name, .last_tenth = -1};
	bool is_watched = cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(answer->json, "finished"));
	int status = EXIT_SUCCESS;

	while (status == EXIT_SUCCESS &&
		cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(answer->json, "finished"))) {
		char path[64];

		show_progress(&progress, answer->json);
		snprintf(path, sizeof path, "/dead-letters/jobs/%lld",
			(long long)json_int_member(answer->json, "job"));
		nanosleep(&pause, NULL);
		client_answer_fini(answer);
		status = remote_request(r, path, NULL, answer);
	}
	if (is_watched && status == EXIT_SUCCESS)
		show_progress(&progress, answer->json);
	progress_end(&progress);
	return status;
}

int job_end(struct remote *r, struct client_answer *answer)
{
	int status;

	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(answer->json, "finished")))
		fprintf(stderr,
			"Job %lld goes on in the daemon, watched or not; `stageline dead-letters "
			"job %lld` looks again\n",
			(long long)json_int_member(answer->json, "job"),
			(long long)json_int_member(answer->json, "job"));
	status = follow(r, answer);
	if (status == EXIT_SUCCESS) {
		if (r->flags[FLAG_JSON])
			remote_print_json(answer);
		print_job(answer->json);
		status = json_int_member(answer->json, "refused") ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	client_answer_fini(answer);
	return status;
}
