/* A bulk job: one action on many orders, at a rate when one is asked for, with progress. [net loop] */
#pragma once

#include "net/app.h"

enum { BULK_KEPT = 20, BULK_OUT_MAX = 256 };

struct bulk_order {
	const char *action;	/* "retry", "skip", "discard", "migrate"; static */
	const char *generation; /* migrate: the one that they are on; of a pipeline; else NULL */
	char *reason;		/* taken */
	char *stage, *error;	/* taken; what else holds an order is left alone; NULL: any */
	int64_t rate;		/* orders per second; 0: as fast as they are decided */
	struct id *ids;		/* taken */
	size_t n;
	bool is_capped; /* the filter matched more than one job may take; the newest are in it */
};

/* Starts the job. With a rate, or when it is large, the request is answered 202 with the job's number, else when
 * all is done. Takes what is in `o`. */
void bulk_start(struct app *app, struct http_request *req, struct bulk_order *o);
