/* The faults of a YAML text as one string, to compare with what is wanted. */
#pragma once

#include "base/yaml.h"
#include "unit.h"

/* All faults as yaml_faults_print() writes them for the file "f", sorted by place. Returns owned. */
static inline char *faults_text(const struct yaml_faults *faults)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	REQUIRE(out != NULL);
	yaml_faults_print(faults, "f", out);
	fclose(out);
	return text;
}
