/* The host's settings: built-in defaults, then stageline.yaml, then flags of the command line.
 *
 * The file is the one that --config names, else ./config/stageline.yaml, else
 * SYSCONFDIR/stageline.yaml; without any, the defaults stand. Paths in the file are relative to the
 * file's folder, paths in flags to the working directory. */
#pragma once

#include <getopt.h>

#include "base/option.h"
#include "bus/redis.h"
#include "stage/stage.h"

enum { HOST_PLUGINS_MAX = 16 };

/* What the command line said; NULL: nothing. Borrows from argv. */
struct host_flags {
	const char *config, *pipeline, *data, *listen, *www, *bus;
	const char *plugins[HOST_PLUGINS_MAX];
	size_t n_plugins;
	bool watch;
};

/* The long options that fill a struct host_flags; put them into the command's own. */
#define HOST_FLAGS_OPTIONS                                                                         \
	{"config", required_argument, NULL, 'c'}, {"pipeline", required_argument, NULL, 'p'},      \
		{"data", required_argument, NULL, 'd'}, {"listen", required_argument, NULL, 'l'},  \
		{"watch", no_argument, NULL, 'W'}, {"www", required_argument, NULL, 'w'},          \
		{"bus", required_argument, NULL, 'b'},                                             \
	{                                                                                          \
		"plugins", required_argument, NULL, 'P'                                            \
	}

/* Takes one option that getopt_long() returned. false: not one of ours, or too many folders. */
bool host_flags_take(struct host_flags *flags, int option, const char *argument);

struct host_limits {
	int64_t body;		  /* bytes of a request's body */
	int64_t headers;	  /* bytes of a request's header lines */
	int64_t connections;	  /* open at once */
	int64_t idle_ms;	  /* a connection may be silent this long */
	int64_t unanswered;	  /* orders accepted by the network that wait for their commit */
	int64_t reads;		  /* requests that wait for the journal to be read */
	int64_t open_orders;	  /* that have neither ended nor are on hold */
	int64_t json_depth;	  /* nesting of a body */
	int64_t backlog;	  /* bytes unsent to one watcher before it is dropped */
	int64_t bulk;		  /* dead letters that one filter takes */
	int64_t orders_in_memory; /* more unfinished ones are read again when needed */
	int64_t drain_ms;	  /* at a stop, running attempts get this long */
};

/* Where the head of the chain is noted, besides the log. */
struct host_heads {
	int64_t every_ms;
	const char *file, *url; /* NULL: not there */
};

/* All strings and lists live until host_config_destroy(). */
struct host_config {
	const char *file;   /* that was read; NULL: none */
	const char *listen; /* as written */
	const char *host;   /* of `listen`: an address or a name, without brackets */
	uint16_t port;	    /* of `listen`; 0: any free one */
	const char *data, *pipeline, *www;
	struct sl_list plugins;
	bool watch;		/* load the pipeline anew when its file or a plugin changes */
	int64_t erase_after_ms; /* orders are erased so long after they ended; 0: never */
	int64_t log_level;	/* 0 error, 1 warning, 2 info, 3 debug */
	struct host_limits limits;
	struct host_heads heads;
	bool is_memory_bus; /* `bus: memory` is written */
	bool has_redis;
	struct redis_options redis;
	struct arena arena;
};

/* Faults inside the file are placed in `faults` (-EINVAL; print them with the name in `ret_file`, which
 * is set on failure too, NULL without a file, and is borrowed from the flags). A file that cannot be
 * read, or a flag that is wrong: `e`. `ret_file` may be NULL. Returns owned. */
int host_config_load(const struct host_flags *flags, struct host_config **ret,
	const char **ret_file, struct yaml_faults *faults, struct err *e);
/* Checks what a file or a flag said of Redis, and takes its url apart. -EINVAL, never with the password. */
int host_config_check_redis(struct redis_options *o, struct arena *arena, struct err *e);
void host_config_destroy(struct host_config *c);

static inline void host_config_destroyp(struct host_config **c)
{
	host_config_destroy(*c);
}

static inline struct plugin_folders host_config_folders(const struct host_config *c)
{
	return (struct plugin_folders){c->plugins.items, c->plugins.n};
}

/* The keys of stageline.yaml. */
const struct option_map *host_config_map(void);
