/* JSON that people hand over in a file; "-" is stdin. Returns owned; NULL: a person was told why. */
#pragma once

#include "base/json.h"

cJSON *json_file_read(const char *name);
/* An order to be placed or corrected. What `orders show --json` printed will do: what Stageline itself wrote into it goes. */
cJSON *order_file_read(const char *name);
/* Takes away what Stageline itself wrote into an order. */
void order_keep_said(cJSON *order);
