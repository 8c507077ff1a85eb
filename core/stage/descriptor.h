/* A plugin's descriptor, in memory that may be the plugin's own or an image of its file. The steps in their order;
 * what lies behind pointers is read by the last three only. */
#pragma once

#include "base/err.h"
#include "stageline/stage.h"

/* The host's copy of the descriptor of `symbol_size` bytes: what an older plugin lacks is zero. -EPROTO. */
int descriptor_read(const void *p, size_t symbol_size, struct sl_stage *ret, struct err *e);
/* Whether it is complete and calls itself `name`. Reads its name. -EINVAL. */
int descriptor_check(const struct sl_stage *s, const char *name, struct err *e);
/* Puts the host's copy of the option table in place of the plugin's; NULL without options. Returned owned.
 * Reads the table. -EPROTO, -ENOMEM. */
int descriptor_copy_options(struct sl_stage *s, struct sl_option **ret, struct err *e);
/* Whether the copied table is sound. Reads its texts. -EINVAL, -ENOMEM. */
int descriptor_check_options(const struct sl_stage *s, struct err *e);
