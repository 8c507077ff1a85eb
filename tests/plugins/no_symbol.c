/* A shared object that is no plugin. */
#include "mock.h"

SL_EXPORT const int something_else = 1;
