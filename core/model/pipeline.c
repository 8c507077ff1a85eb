#include "model/pipeline.h"
int pipeline_find(const struct pipeline *p, struct str stage_name)
{
	for (size_t i = 0; i < p->n_stages; i++)
		if (str_is(stage_name, p->stages[i].name))
			return (int)i;
	return -1;
}
