/* Which builds of its plugins a generation began with: lines at the end of its text, behind the file's own, so
 * that the text alone names the generation. To YAML they are comments.
 *
 *	#build: payment 0123456789abcdef
 */
#pragma once

#include "model/pipeline.h"

/* The pipeline's text with a line for each plugin whose build its stages know. */
void pipeline_build_write(const struct pipeline *p, struct buf *out);
/* Sets the builds of the stages from the text. -ENOMEM. */
int pipeline_build_read(struct pipeline *p, struct str text, struct arena *arena);
