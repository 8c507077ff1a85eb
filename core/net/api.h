/* api.json: what the documents of the API say that is not in the route table. */
#pragma once

#include "base/embedded.h"

extern const struct embedded_file api_files[];
