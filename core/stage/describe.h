/* What a plugin's file says of itself, read without loading it: none of its code runs, not even a constructor. */
#pragma once

#include "stage/image.h"
#include "stageline/stage.h"

struct plugin_description {
	struct image image;    /* owns the texts */
	struct sl_stage stage; /* function pointers say only whether there is one */
	struct sl_option *options;
};

/* -EPROTO, -EINVAL: not a plugin that this host would take; -ENOENT and what else opening gave. Returned owned. */
int plugin_describe(const char *path, struct plugin_description **ret, struct err *e);
/* The same of an open file, which stays the caller's, and for this machine only. */
int plugin_describe_native(int fd, struct plugin_description **ret, struct err *e);
void plugin_description_free(struct plugin_description *d);

static inline void plugin_description_freep(struct plugin_description **d)
{
	plugin_description_free(*d);
}
