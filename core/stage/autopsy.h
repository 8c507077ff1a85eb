/* What a stage's process died of, in words: from its own last ones, and from how it ended. */
#pragma once

#include "stage/stage.h"
#include "stage/wire.h"

/* The mapped objects of one process, as it named them. */
struct module_map {
	struct wire_module list[WIRE_MODULES_MAX];
	size_t n;
	struct buf body; /* owns the paths */
};

struct autopsy {
	const struct plugin *plugin;
	const struct sandbox_policy *sandbox;
	const struct module_map *modules;
	const char *broken; /* what it said wrongly, for which it was killed; NULL: nothing */
	bool has_crash;
	struct wire_crash crash;
	uint64_t trace[WIRE_TRACE_MAX];
	size_t n_trace;
	int status; /* as of waitpid() */
};

/* "SIGSEGV at address 0x0 in explode+0x14, run+0x2b (crashing.so)": at most `size` bytes, printable. */
void autopsy_text(const struct autopsy *a, char *out, size_t size);
/* " in spin+0x2 (crashing.so)", or "" without a trace. */
void autopsy_trace(const struct autopsy *a, struct buf *out);
