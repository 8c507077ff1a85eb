/* The host's settings from file and flags. */
#include "cli/host_config.h"

#include <ctype.h>
#include <netdb.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/client.h"
#include "net/http.h"
#include "version.h"

#define LOCAL_FILE	 "config/stageline.yaml"
#define INSTALLED_FILE	 STAGELINE_SYSCONFDIR "/stageline.yaml"
#define LOCAL_PLUGIN_DIR "/usr/local/lib/stageline/stages"

#define HOST(field)  offsetof(struct host_config, field)
#define LIMIT(field) offsetof(struct host_limits, field)
#define DAY	     INT64_C(86400000)
#define GIB	     (INT64_C(1) << 30)

static const struct sl_option limit_options[] = {
	{SL_OPTION_SIZE, 0, "body", "largest body of a request", "64KiB", NULL, LIMIT(body), 1024,
		GIB},
	{SL_OPTION_SIZE, 0, "headers", "largest header of a request", "16KiB", NULL, LIMIT(headers),
		1024, 1 << 20},
	{SL_OPTION_INT, 0, "connections", "connections open at once", "10000", NULL,
		LIMIT(connections), 1, 1000000},
	{SL_OPTION_DURATION, 0, "idle", "a silent connection is closed after this", "60s", NULL,
		LIMIT(idle_ms), 1000, DAY},
	{SL_OPTION_INT, 0, "unanswered", "new orders that wait for their commit", "4096", NULL,
		LIMIT(unanswered), 1, 1000000},
	{SL_OPTION_INT, 0, "reads", "requests that wait for the journal to be read", "4096", NULL,
		LIMIT(reads), 1, 1000000},
	{SL_OPTION_INT, 0, "open_orders", "orders that have neither ended nor are on hold",
		"10000000", NULL, LIMIT(open_orders), 1, 1000000000},
	{SL_OPTION_INT, 0, "json_depth", "deepest nesting of a body", "32", NULL, LIMIT(json_depth),
		1, JSON_DEPTH_MAX},
	{SL_OPTION_SIZE, 0, "backlog", "unsent bytes before a slow watcher is dropped", "1MiB",
		NULL, LIMIT(backlog), 4096, GIB},
	{SL_OPTION_INT, 0, "bulk", "dead letters that one filter takes", "100000", NULL,
		LIMIT(bulk), 1, 10000000},
	{SL_OPTION_INT, 0, "orders_in_memory",
		"unfinished orders kept in memory; more are read again", "50000", NULL,
		LIMIT(orders_in_memory), 1, 10000000},
	{SL_OPTION_DURATION, 0, "drain", "at a stop, running attempts get this long", "10s", NULL,
		LIMIT(drain_ms), 0, DAY},
};
static const struct option_map limits_map = {
	.options = limit_options, .n_options = ARRAY_LEN(limit_options)};

static const struct sl_option head_options[] = {
	{SL_OPTION_DURATION, 0, "every", "how often the head of the journal's chain is noted", "1h",
		NULL, offsetof(struct host_heads, every_ms), 1000, DAY},
	{SL_OPTION_STRING, 0, "file", "a file that takes a line for each", NULL, NULL,
		offsetof(struct host_heads, file)},
	{SL_OPTION_STRING, 0, "url", "http://… that each is sent to", NULL, NULL,
		offsetof(struct host_heads, url)},
};
static const struct option_map heads_map = {
	.options = head_options, .n_options = ARRAY_LEN(head_options)};

#define REDIS(field) offsetof(struct redis_options, field)

static const struct sl_option redis_table[] = {
	{SL_OPTION_STRING, 0, "url", "redis://HOST:PORT, or unix:///PATH", NULL, NULL, REDIS(url)},
	{SL_OPTION_STRING, 0, "username", "the user to log in as; default: Redis's own", NULL, NULL,
		REDIS(username)},
	{SL_OPTION_STRING, 0, "password_file", "a file whose first line is the password", NULL,
		NULL, REDIS(password_file)},
	{SL_OPTION_INT, 0, "database", "number of the database", "0", NULL, REDIS(database), 0,
		9999},
	{SL_OPTION_STRING, 0, "prefix", "what the keys begin with; each coordinator has its own",
		"stageline", NULL, REDIS(prefix)},
	{SL_OPTION_DURATION, 0, "connect_timeout", "a connection is given up after this", "2s",
		NULL, REDIS(connect_timeout_ms), 10, DAY},
	{SL_OPTION_DURATION, 0, "timeout", "a command without an answer is given up after this",
		"5s", NULL, REDIS(timeout_ms), 1000, DAY},
	{SL_OPTION_DURATION, 0, "lease",
		"what a worker has not renewed for this long is taken back from it", "15s", NULL,
		REDIS(lease_ms), 1000, DAY},
	{SL_OPTION_INT, 0, "out", "tasks of one stage that are in Redis at most", "1000", NULL,
		REDIS(out_max), 1, 16000},
	{SL_OPTION_BOOL, 0, "worker", "`serve` runs stages itself, beside the other workers",
		"true", NULL, REDIS(has_worker)},
};
static const struct option_map redis_map = {
	.options = redis_table, .n_options = ARRAY_LEN(redis_table)};

static const struct option_key bus_keys[] = {
	{.name = "redis",
		.summary = "tasks go to workers on other machines through Redis streams",
		.map = &redis_map,
		.offset = HOST(redis)},
};
static const struct option_map bus_map = {.keys = bus_keys, .n_keys = ARRAY_LEN(bus_keys)};

enum { LISTEN, DATA, PIPELINE, WATCH, WWW, PLUGINS, LOG_LEVEL, ERASE_AFTER };

static const struct sl_option host_options[] = {
	[LISTEN] = {SL_OPTION_STRING, 0, "listen", "address and port", "127.0.0.1:8000", NULL,
		HOST(listen)},
	[DATA] = {SL_OPTION_STRING, 0, "data", "folder of the journal; default: ./data", NULL, NULL,
		HOST(data)},
	[PIPELINE] = {SL_OPTION_STRING, 0, "pipeline",
		"the pipeline file; default: the installed orders.yaml", NULL, NULL,
		HOST(pipeline)},
	[WATCH] = {SL_OPTION_BOOL, 0, "watch",
		"a changed pipeline file or plugin is loaded by itself", "false", NULL,
		HOST(watch)},
	[WWW] = {SL_OPTION_STRING, 0, "www", "folder of the client; default: the installed one",
		NULL, NULL, HOST(www)},
	[PLUGINS] = {SL_OPTION_LIST, 0, "plugins",
		"folders of stage plugins; default: the installed ones", NULL, NULL, HOST(plugins)},
	[LOG_LEVEL] = {SL_OPTION_CHOICE, 0, "log_level", "what is logged", "info",
		"error|warning|info|debug", HOST(log_level)},
	[ERASE_AFTER] = {SL_OPTION_DURATION, 0, "erase_after",
		"orders are erased so long after they ended; 0d: never by themselves", "0d", NULL,
		HOST(erase_after_ms), 0, 36500 * DAY},
};
static const struct option_key host_keys[] = {
	{.name = "limits",
		.summary = "bounds; beyond them work is refused, never lost",
		.map = &limits_map,
		.offset = HOST(limits)},
	{.name = "heads",
		.summary = "where the head of the journal's chain is noted, besides the log",
		.map = &heads_map,
		.offset = HOST(heads)},
	{.name = "bus",
		.summary = "what carries tasks to workers and verdicts back",
		.map = &bus_map,
		.word = "memory",
		.word_offset = HOST(is_memory_bus)},
};
static const struct option_map host_map = {.options = host_options,
	.n_options = ARRAY_LEN(host_options),
	.keys = host_keys,
	.n_keys = ARRAY_LEN(host_keys)};

bool host_flags_take(struct host_flags *flags, int option, const char *argument)
{
	const struct {
		int option;
		const char **slot;
	} slots[] = {{'c', &flags->config}, {'p', &flags->pipeline}, {'d', &flags->data},
		{'l', &flags->listen}, {'w', &flags->www}, {'b', &flags->bus}};

	if (option == 'W') {
		flags->watch = true;
		return true;
	}
	if (option == 'P' && flags->n_plugins < HOST_PLUGINS_MAX) {
		flags->plugins[flags->n_plugins++] = argument;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
		if (slots[i].option != option)
			continue;
		*slots[i].slot = argument;
		return true;
	}
	return false;
}

/* The file to read; NULL: none. */
static const char *choose_file(const struct host_flags *flags)
{
	if (flags->config)
		return flags->config;
	if (access(LOCAL_FILE, F_OK) == 0)
		return LOCAL_FILE;
	return access(INSTALLED_FILE, F_OK) == 0 ? INSTALLED_FILE : NULL;
}

/* `*path` as seen from the folder of `file`. false: no memory. */
static bool make_relative(const char **path, const char *file, struct arena *arena)
{
	const char *slash = strrchr(file, '/');
	size_t folder = slash ? (size_t)(slash - file) + 1 : 0;
	char *joined;

	if (!*path || **path == '/' || !folder)
		return true;
	joined = arena_alloc(arena, folder + strlen(*path) + 1);
	if (!joined)
		return false;
	memcpy(joined, file, folder);
	memcpy(joined + folder, *path, strlen(*path));
	*path = joined;
	return true;
}

static int resolve_paths(struct host_config *c, const char *file)
{
	const char **paths[] = {
		&c->data, &c->pipeline, &c->www, &c->heads.file, &c->redis.password_file};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (!make_relative(paths[i], file, &c->arena))
			return -ENOMEM;
	for (size_t i = 0; i < c->plugins.n; i++)
		if (!make_relative((const char **)&c->plugins.items[i], file, &c->arena))
			return -ENOMEM;
	return 0;
}

static bool parse_port(const char *text, uint16_t *ret)
{
	unsigned long port = 0;
	size_t n = strlen(text);

	if (n == 0 || n > 5)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		port = port * 10 + (unsigned long)(*text - '0');
	}
	*ret = (uint16_t)port;
	return port <= UINT16_MAX;
}

/* "127.0.0.1:8000", "localhost:8000" or "[::1]:8000" */
static int split_listen(struct host_config *c, struct err *e)
{
	const char *colon = strrchr(c->listen, ':');
	struct str host = {c->listen, colon ? (size_t)(colon - c->listen) : 0};
	bool is_bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';

	if (is_bracketed)
		host = (struct str){host.p + 1, host.n - 2};
	if (host.n == 0 || (!is_bracketed && memchr(host.p, ':', host.n)) ||
		!parse_port(colon + 1, &c->port))
		return err_set(e, -EINVAL,
			"'%.80s' is not HOST:PORT, such as 127.0.0.1:8000 or [::1]:8000",
			c->listen);
	c->host = arena_alloc(&c->arena, host.n + 1);
	if (!c->host)
		return -ENOMEM;
	memcpy((char *)c->host, host.p, host.n);
	return 0;
}

/* 1: all that it stands for is; 0: not so. -ENOMEM. */
static int is_loopback(const char *host)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
	int r = getaddrinfo(host, NULL, &hints, &all);

	if (r != 0) /* listening will say what is wrong with the name */
		return r == EAI_MEMORY ? -ENOMEM : 1;
	r = all != NULL;
	for (const struct addrinfo *a = all; a; a = a->ai_next)
		r &= http_is_loopback(a->ai_addr);
	freeaddrinfo(all);
	return r;
}

/* Anything but loopback is refused until there are tokens: whoever reaches the port may do everything. */
static int check_listen(struct host_config *c, struct err *e)
{
	int r = split_listen(c, e);

	if (r == 0)
		r = is_loopback(c->host);
	if (r != 0)
		return r < 0 ? r : 0;
	return err_set(e, -EINVAL,
		"listening on %.80s is refused: it is not a loopback address, and without access "
		"tokens anybody who reaches it could place and see orders. Use 127.0.0.1 and a "
		"proxy that knows its users.",
		c->listen);
}

/* Texts that are there, but say nothing. */
static void check_texts(const struct yaml_node *root, struct yaml_faults *faults)
{
	static const char *const keys[] = {"data", "pipeline", "www"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct yaml_node *n = yaml_get(root, keys[i]);

		if (n && n->type == YAML_STRING && n->text.n == 0)
			yaml_fault(faults, n, "'%s' is empty; it must be a path", keys[i]);
	}
}

int host_config_check_redis(struct redis_options *o, struct arena *arena, struct err *e)
{
	size_t n = strlen(o->prefix);

	if (!n || n > 64 ||
		strspn(o->prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				  "-_.:") < n)
		return err_set(e, -EINVAL,
			"'prefix' has 1 to 64 letters, digits, and characters of '-_.:'");
	return redis_url_read(o, arena, e);
}

/* -ENOMEM; else what is wrong is among the faults. */
static int check_bus(struct host_config *c, const struct yaml_node *bus, struct yaml_faults *faults)
{
	const struct yaml_node *redis = yaml_get(bus, "redis");
	struct err e = {0};
	int r = 0;

	if (!bus || bus->type != YAML_MAP) /* whatever else it is was said */
		return 0;
	c->has_redis = true;
	if (!redis || !c->redis.url)
		yaml_fault(faults, redis ? redis : bus,
			"the bus needs to know where Redis is: redis: {url: "
			"redis://127.0.0.1:6379}");
	else
		r = host_config_check_redis(&c->redis, &c->arena, &e);
	if (r == -EINVAL)
		yaml_fault(faults, redis, "%s", err_text(&e));
	return r == -ENOMEM ? r : 0;
}

/* As above. */
static int check_heads(
	const struct host_config *c, const struct yaml_node *heads, struct yaml_faults *faults)
{
	_cleanup_(client_freep) struct client *client = NULL;
	struct err e = {0};
	int r = c->heads.url ? client_create(c->heads.url, &client, &e) : 0;

	if (r == -EINVAL)
		yaml_fault(faults, yaml_get(heads, "url"), "%s", err_text(&e));
	return r == -ENOMEM ? r : 0;
}

static int read_document(struct host_config *c, const struct yaml_node *root, const char *file,
	struct yaml_faults *faults)
{
	size_t n_before = faults->n;
	struct err e = {0};
	int r = option_map_read(&host_map, root, c, &c->arena, faults);

	if (r == -ENOMEM)
		return r;
	if (c->listen) {
		r = check_listen(c, &e);
		if (r == -EINVAL)
			yaml_fault(faults, yaml_get(root, "listen"), "%s", err_text(&e));
		if (r == -ENOMEM)
			return r;
	}
	if (c->plugins.n > HOST_PLUGINS_MAX)
		yaml_fault(faults, yaml_get(root, "plugins"), "more than %d folders",
			HOST_PLUGINS_MAX);
	check_texts(root, faults);
	if (check_bus(c, yaml_get(root, "bus"), faults) < 0 ||
		check_heads(c, yaml_get(root, "heads"), faults) < 0)
		return -ENOMEM;
	if (faults->n > n_before)
		return -EINVAL;
	return file ? resolve_paths(c, file) : 0;
}

static int read_file(
	struct host_config *c, const char *file, struct yaml_faults *faults, struct err *e)
{
	_cleanup_(yaml_freep) struct yaml *document = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t n_before = faults->n, length;
	int r;

	if (!file)
		return read_document(c, NULL, NULL, faults);
	r = yaml_read(file, &text, &length, e);
	if (r < 0)
		return err_wrap(e, r, "settings '%s'", file);
	r = yaml_parse((struct str){text, length}, &document, faults);
	if (r == 0)
		r = read_document(c, document->root, file, faults);
	if (r == 0 && faults->n > n_before)
		r = -EINVAL;
	if (r < 0) {
		yaml_faults_first(faults, e);
		return err_wrap(e, r, "settings '%s'", file);
	}
	c->file = arena_strdup(&c->arena, file);
	return c->file ? 0 : -ENOMEM;
}

static int override(
	const char **field, const char *flag, const char *name, struct arena *arena, struct err *e)
{
	if (!flag)
		return 0;
	if (!*flag)
		return err_set(e, -EINVAL, "--%s is empty", name);
	*field = arena_strdup(arena, flag);
	return *field ? 0 : -ENOMEM;
}

static int copy_folders(struct host_config *c, const char *const *folders, size_t n)
{
	const char **items = arena_alloc(&c->arena, (n + 1) * sizeof *items);

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		items[i] = arena_strdup(&c->arena, folders[i]);
		if (!items[i])
			return -ENOMEM;
	}
	c->plugins = (struct sl_list){n, items};
	return 0;
}

static int apply_bus(struct host_config *c, const char *bus, struct err *e)
{
	struct yaml_faults faults = {0};
	int r = 0;

	if (strcmp(bus, "memory") == 0) {
		c->has_redis = false;
		return 0;
	}
	if (!c->redis.prefix) /* no file: what a file would say without more */
		r = option_map_read(&redis_map, NULL, &c->redis, &c->arena, &faults);
	yaml_faults_fini(&faults);
	c->has_redis = true;
	c->redis.url = bus;
	if (r == 0)
		r = host_config_check_redis(&c->redis, &c->arena, e);
	return r < 0 ? err_wrap(e, r, "--bus") : 0;
}

static int apply_flags(struct host_config *c, const struct host_flags *flags, struct err *e)
{
	const struct {
		const char **field, *flag, *name;
	} fields[] = {{&c->pipeline, flags->pipeline, "pipeline"}, {&c->data, flags->data, "data"},
		{&c->listen, flags->listen, "listen"}, {&c->www, flags->www, "www"}};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(fields); i++)
		r = override(fields[i].field, fields[i].flag, fields[i].name, &c->arena, e);
	if (r == 0 && flags->listen) {
		r = check_listen(c, e);
		if (r == -EINVAL)
			return err_wrap(e, r, "--listen");
	}
	if (r == 0 && flags->bus)
		r = apply_bus(c, flags->bus, e);
	c->watch |= flags->watch;
	if (r == 0 && flags->n_plugins)
		r = copy_folders(c, flags->plugins, flags->n_plugins);
	return r;
}

static int fill_defaults(struct host_config *c)
{
	static const char *const folders[] = {STAGELINE_PLUGINDIR, LOCAL_PLUGIN_DIR};
	bool has_local = strcmp(STAGELINE_PLUGINDIR, LOCAL_PLUGIN_DIR) != 0 &&
			 access(LOCAL_PLUGIN_DIR, F_OK) == 0;

	if (!c->data)
		c->data = "./data";
	if (!c->pipeline)
		c->pipeline = STAGELINE_SYSCONFDIR "/orders.yaml";
	if (!c->www)
		c->www = STAGELINE_DATADIR "/www";
	return c->plugins.n ? 0 : copy_folders(c, folders, has_local ? 2 : 1);
}

int host_config_load(const struct host_flags *flags, struct host_config **ret,
	const char **ret_file, struct yaml_faults *faults, struct err *e)
{
	_cleanup_(host_config_destroyp) struct host_config *c = calloc(1, sizeof *c);
	const char *file = choose_file(flags);
	int r;

	if (!c)
		return -ENOMEM;
	if (ret_file)
		*ret_file = file;
	r = read_file(c, file, faults, e);
	if (r == 0)
		r = apply_flags(c, flags, e);
	if (r == 0)
		r = fill_defaults(c);
	if (r < 0)
		return r;
	*ret = steal_ptr(c);
	return 0;
}

void host_config_destroy(struct host_config *c)
{
	if (!c)
		return;
	arena_fini(&c->arena);
	free(c);
}

const struct option_map *host_config_map(void)
{
	return &host_map;
}
