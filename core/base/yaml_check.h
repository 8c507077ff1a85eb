/* What YAML 1.2 asks for and libyaml does not: checks of the text and of single nodes. */
#pragma once

#include "base/yaml.h"

/* -EINVAL and a fault at the first byte that is no UTF-8. */
int yaml_check_utf8(struct str text, struct yaml_faults *faults);
/* A node that stands where the byte at `offset` is. */
struct yaml_node yaml_place_of_offset(struct str text, size_t offset);
bool yaml_is_at_tab(const char *source, const struct yaml_node *at);

/* Resolves a scalar that carries a tag: "!!str 5", "!!float 5". */
void yaml_resolve_tagged(struct yaml_node *node, const char *tag, struct yaml_faults *faults);
/* Whether a node may be a key; the fault when not. */
bool yaml_check_key(const struct yaml_node *key, bool is_plain, struct yaml_faults *faults);
/* Faults for keys that are in the map before. -ENOMEM. */
int yaml_check_duplicates(const struct yaml_node *map, struct yaml_faults *faults);
