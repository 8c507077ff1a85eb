/* Generations that come out of the journal: the text of a pipeline, parsed into a set. */
#pragma once

#include "base/err.h"
#include "journal/sql.h"
#include "model/pipeline.h"

/* Parses `text` and adds it to `set`. -EPROTO: it cannot be read, or is not what `digest` names. */
int generation_add(struct pipeline_set *set, struct str digest, struct str text,
	const struct pipeline **ret, struct err *e);

/* Adds all of a journal's table that can be read and are what their digests name. */
void generations_read(sqlite3 *db, struct pipeline_set *set);
