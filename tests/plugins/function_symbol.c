/* The symbol is there, but it is code. */
#include "mock.h"

SL_EXPORT int32_t stageline_stage(void);

int32_t stageline_stage(void)
{
	return 0;
}
