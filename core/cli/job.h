/* Jobs: bulk work that goes on in the daemon. */
#pragma once

#include "cli/remote.h"

/* Follows the job that was answered to its end and tells how it went. Takes the content of `answer`. Returns the
 * exit status. */
int job_end(struct remote *r, struct client_answer *answer);
/* Says so when more orders match than one call takes. */
void job_print_capped(const cJSON *answer);
