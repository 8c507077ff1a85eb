/* A stage's process, from within: the command `stage-child` that children.c starts. */
#pragma once

enum {
	CHILD_FD = 3,	     /* the socket to the daemon */
	CHILD_CLAIM_FD = 4,  /* the page of claim.h; closed as soon as it is mapped */
	CHILD_PLUGIN_FD = 5, /* the build of the plugin, whatever lies in the folders now */
};

#define CHILD_COMMAND "stage-child"

/* Serves the socket until it ends. Returns an exit status. */
int child_run(void);
