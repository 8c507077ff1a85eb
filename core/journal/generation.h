/* Generations that come out of the journal: the text of a pipeline, parsed into a set. */
#pragma once

#include "base/err.h"
#include "model/pipeline.h"

/* Parses `text` and adds it to `set`. -EPROTO: it cannot be read, or is not what `digest` names. */
int generation_add(struct pipeline_set *set, struct str digest, struct str text,
	const struct pipeline **ret, struct err *e);
