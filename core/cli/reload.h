/* `stageline reload`, and what it says of a pipeline file with faults. */
#pragma once

#include <cjson/cJSON.h>

/* On stderr, as yaml_faults_print() does where the file is at hand. */
void reload_print_fault(const cJSON *fault);
