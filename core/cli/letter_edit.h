/* `stageline dead-letters edit`: an order on hold is corrected and tried again; what is different is shown first. */
#pragma once

#include "cli/remote.h"

int letter_edit(struct remote *r);
