/* The host's settings: defaults, file, flags, and where paths lead. */
#include <unistd.h>

#include "alloc_fault.h"
#include "cli/host_config.h"
#include "faults.h"
#include "version.h"

static char folder[] = "/tmp/stageline-host-config-XXXXXX";

/* Writes the settings file into the test's folder and names it. */
static const char *file_with(const char *text)
{
	static char path[sizeof folder + 16];
	FILE *f;

	snprintf(path, sizeof path, "%s/s.yaml", folder);
	f = fopen(path, "w");
	REQUIRE(f != NULL);
	fputs(text, f);
	fclose(f);
	return path;
}

static struct host_config *loaded(const struct host_flags *flags)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct host_config *c = NULL;
	struct err e = {0};
	int r = host_config_load(flags, &c, NULL, &faults, &e);

	CHECK_TEXT(err_text(&e), "no error");
	REQUIRE(r == 0 && faults.n == 0);
	return c;
}

static void without_a_file_the_defaults_stand(void)
{
	_cleanup_(host_config_destroyp) struct host_config *c = loaded(&(struct host_flags){0});

	CHECK(c->file == NULL);
	CHECK_TEXT(c->listen, "127.0.0.1:8000");
	CHECK_TEXT(c->host, "127.0.0.1");
	CHECK_INT(c->port, 8000);
	CHECK_TEXT(c->data, "./data");
	CHECK_TEXT(c->pipeline, STAGELINE_SYSCONFDIR "/orders.yaml");
	CHECK_TEXT(c->www, STAGELINE_DATADIR "/www");
	CHECK_TEXT(c->plugins.items[0], STAGELINE_PLUGINDIR);
	CHECK_INT(c->log_level, 2);
	CHECK(c->limits.body == 65536 && c->limits.headers == 16384);
	CHECK(c->limits.connections == 10000 && c->limits.idle_ms == 60000);
	CHECK(c->limits.unanswered == 4096 && c->limits.json_depth == 32);
	CHECK_INT(c->limits.reads, 4096);
	CHECK_INT(c->limits.open_orders, 10000000);
	CHECK(c->limits.backlog == 1 << 20 && c->limits.orders_in_memory == 50000);
	CHECK_INT(c->limits.drain_ms, 10000);
	CHECK_INT(c->limits.bulk, 100000);
	CHECK(!c->has_redis);
}

/* What `url` is taken for: "user:password@host:port/database", or why it is not. */
static void check_url(const char *url, const char *want)
{
	_cleanup_(arena_fini) struct arena arena = {0};
	struct redis_options o = {.url = url};
	struct err e = {0};
	char text[256];

	if (redis_url_read(&o, &arena, &e) < 0)
		snprintf(text, sizeof text, "%s", err_text(&e));
	else if (o.path)
		snprintf(text, sizeof text, "%s", o.path);
	else
		snprintf(text, sizeof text, "%s:%s@%s:%u/%lld", o.username ? o.username : "",
			o.password ? o.password : "", o.host, o.port, (long long)o.database);
	CHECK_TEXT(text, want);
}

static void the_url_of_Redis_is_taken_apart(void)
{
	check_url("redis://10.0.0.5", ":@10.0.0.5:6379/0");
	check_url("redis://shop:s%40c%2Fret@db:7000/3", "shop:s@c/ret@db:7000/3");
	check_url("redis://:only@[::1]:7001/", ":only@::1:7001/0");
	check_url("redis://a@b@c", "a@b:@c:6379/0");
	check_url("unix:///run/redis.sock", "/run/redis.sock");
	check_url("unix://run", "a url of unix:// goes on with an absolute path");
	check_url("redis://h:70000", "the url's port is not a number from 1 to 65535");
	check_url("redis://h:0", "the url's port is not a number from 1 to 65535");
	check_url("redis://[::1]x", "the url's port is not a number from 1 to 65535");
	check_url("redis://h/x", "the url's path is not the number of a database");
	check_url("redis://u%4:p@h", "the url's user is not written as in a URL");
	check_url("redis://u:hidden%zz@h", "the url's password is not written as in a URL");
	check_url("http://h", "the url begins with redis://HOST:PORT, or unix:///PATH");
	check_url("rediss://h",
		"rediss:// is not spoken: run a TLS tunnel such as stunnel on this machine and "
		"name that");
}

static void the_bus_is_memory_or_a_redis_that_is_named(void)
{
	const char *file = file_with(
		"bus: {redis: {url: 'redis://h:1/2', password_file: p, lease: 3s, worker: false}}");
	_cleanup_(host_config_destroyp) struct host_config *c =
		loaded(&(struct host_flags){.config = file});
	_cleanup_(host_config_destroyp) struct host_config *d =
		loaded(&(struct host_flags){.config = file, .bus = "memory"});
	_cleanup_(host_config_destroyp) struct host_config *f =
		loaded(&(struct host_flags){.config = file, .bus = "redis://other"});
	_cleanup_(host_config_destroyp) struct host_config *g =
		loaded(&(struct host_flags){.bus = "unix:///s"});
	char want[128];

	REQUIRE(c && d && f && g);
	CHECK(c->has_redis && !d->has_redis && f->has_redis && g->has_redis);
	CHECK_TEXT(c->redis.host, "h");
	CHECK(c->redis.port == 1 && c->redis.database == 2 && !c->redis.has_worker);
	CHECK(c->redis.lease_ms == 3000 && c->redis.out_max == 1000);
	snprintf(want, sizeof want, "%s/p", folder);
	CHECK_TEXT(c->redis.password_file, want);
	CHECK_TEXT(f->redis.host, "other");
	CHECK(f->redis.port == 6379 && f->redis.lease_ms == 3000);
	CHECK_TEXT(g->redis.path, "/s");
	CHECK(g->redis.lease_ms == 15000 && g->redis.has_worker);
	CHECK_TEXT(g->redis.prefix, "stageline");
}

static void a_bus_that_cannot_be_is_a_fault(void)
{
	static const struct {
		const char *file, *want;
	} cases[] = {{"bus: redis\n", "f:1:6: error: 'bus' must be 'memory' or a map of options\n"},
		{"bus: {redis: {}}\n",
			"f:1:14: error: the bus needs to know where Redis is: redis: {url: "
			"redis://127.0.0.1:6379}\n"},
		{"bus: {redis: {url: 'redis://h:x'}}\n",
			"f:1:14: error: the url's port is not a number from 1 to 65535\n"},
		{"bus: {redis: {url: 'redis://h', prefix: 'a{b}'}}\n",
			"f:1:14: error: 'prefix' has 1 to 64 letters, digits, and characters of "
			"'-_.:'\n"}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
		_cleanup_(freep) char *text = NULL;
		struct host_config *c = NULL;

		CHECK_INT(host_config_load(&(struct host_flags){.config = file_with(cases[i].file)},
				  &c, NULL, &faults, NULL),
			-EINVAL);
		text = faults_text(&faults);
		CHECK_TEXT(text, cases[i].want);
	}
}

static void paths_in_the_file_are_relative_to_it(void)
{
	const char *file = file_with("{pipeline: a/b.yaml, data: /d, plugins: [p, /q], www: ../w}");
	_cleanup_(host_config_destroyp) struct host_config *c =
		loaded(&(struct host_flags){.config = file});
	char want[128];

	CHECK_TEXT(c->file, file);
	snprintf(want, sizeof want, "%s/a/b.yaml", folder);
	CHECK_TEXT(c->pipeline, want);
	CHECK_TEXT(c->data, "/d");
	snprintf(want, sizeof want, "%s/../w", folder);
	CHECK_TEXT(c->www, want);
	snprintf(want, sizeof want, "%s/p", folder);
	CHECK_TEXT(c->plugins.items[0], want);
	CHECK_TEXT(c->plugins.items[1], "/q");
	CHECK_TEXT(c->listen, "127.0.0.1:8000");
}

static void flags_win_over_the_file(void)
{
	const char *file = file_with("{listen: '127.0.0.1:1', data: d, plugins: [p]}");
	_cleanup_(host_config_destroyp) struct host_config *c = NULL;
	struct host_flags flags = {0};

	CHECK(host_flags_take(&flags, 'c', file) && host_flags_take(&flags, 'l', "[::1]:0"));
	CHECK(host_flags_take(&flags, 'd', "here") && host_flags_take(&flags, 'P', "x"));
	CHECK(host_flags_take(&flags, 'P', "y") && !host_flags_take(&flags, '?', "z"));
	c = loaded(&flags);
	CHECK_TEXT(c->host, "::1");
	CHECK_INT(c->port, 0);
	CHECK_TEXT(c->data, "here");
	CHECK_INT(host_config_folders(c).n, 2);
	CHECK_TEXT(host_config_folders(c).paths[1], "y");
}

static void faults_of_the_file_come_in_one_go(void)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	_cleanup_(freep) char *text = NULL;
	const char *file =
		file_with("listn: x\nlisten: '8000'\nlimits: {body: 1, idle: 1h, drian: 1s}\n"
			  "log_level: all\nwww: ''\n");
	struct host_config *c = NULL;
	const char *read = NULL;

	CHECK_INT(host_config_load(&(struct host_flags){.config = file}, &c, &read, &faults, NULL),
		-EINVAL);
	CHECK_TEXT(read, file);
	text = faults_text(&faults);
	CHECK_TEXT(text,
		"f:1:1: error: unknown key 'listn' (did you mean 'listen'?)\n"
		"f:2:9: error: '8000' is not HOST:PORT, such as 127.0.0.1:8000 or [::1]:8000\n"
		"f:3:16: error: 'body' must be a size with its unit, such as 512B, 64KiB, 10MiB or "
		"1GiB, not '1'\n"
		"f:3:29: error: unknown key 'drian' (did you mean 'drain'?)\n"
		"f:4:12: error: 'log_level' must be one of error, warning, info, debug, not the "
		"text "
		"'all'\n"
		"f:5:6: error: 'www' is empty; it must be a path\n");
}

static void what_cannot_be_read_is_said(void)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	struct host_config *c = NULL;
	struct err e = {0};

	CHECK_INT(host_config_load(
			  &(struct host_flags){.config = "/nowhere/s.yaml"}, &c, NULL, &faults, &e),
		-ENOENT);
	CHECK_TEXT(err_text(&e),
		"settings '/nowhere/s.yaml': cannot be opened: No such file or directory");
	CHECK_INT(
		host_config_load(&(struct host_flags){.listen = "x:99999"}, &c, NULL, &faults, &e),
		-EINVAL);
	CHECK_TEXT(err_text(&e), "--listen: 'x:99999' is not HOST:PORT, such as 127.0.0.1:8000 or "
				 "[::1]:8000");
	CHECK_INT(
		host_config_load(&(struct host_flags){.data = ""}, &c, NULL, &faults, &e), -EINVAL);
	CHECK_TEXT(err_text(&e), "--data is empty");
	CHECK_INT(faults.n, 0);
}

static void the_shipped_settings_are_the_defaults(void)
{
	_cleanup_(host_config_destroyp) struct host_config *c =
		loaded(&(struct host_flags){.config = SOURCE_ROOT "/config/stageline.yaml"});

	CHECK_TEXT(c->pipeline, SOURCE_ROOT "/config/orders.yaml");
	CHECK_TEXT(c->listen, "127.0.0.1:8000");
}

/* Uncommented, every line of the shipped file must be accepted and change nothing. */
static void the_shipped_comments_tell_the_truth(void)
{
	_cleanup_(host_config_destroyp) struct host_config *c = NULL, *d = NULL, *e = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t length;

	REQUIRE(yaml_read(SOURCE_ROOT "/config/stageline.yaml", &text, &length, NULL) == 0);
	for (char *p = text; *p; p++)
		if (*p == '#' && (p == text || p[-1] == '\n') && p[1] != ' ' && p[1] != '\n')
			*p = '\n';
		else if (strncmp(p, "\n#  ", 4) == 0)
			p[1] = ' ';
	c = loaded(&(struct host_flags){.config = file_with(text)});
	d = loaded(&(struct host_flags){0});
	CHECK_TEXT(c->listen, d->listen);
	CHECK_INT(c->log_level, d->log_level);
	CHECK(memcmp(&c->limits, &d->limits, sizeof c->limits) == 0);
	CHECK(strstr(c->data, "/data") != NULL && strstr(c->www, "/www") != NULL);
	e = loaded(&(struct host_flags){.bus = "redis://10.0.0.5"});
	CHECK_TEXT(c->redis.host, "10.0.0.5");
	CHECK_TEXT(c->redis.prefix, e->redis.prefix);
	CHECK(c->redis.timeout_ms == e->redis.timeout_ms &&
		c->redis.connect_timeout_ms == e->redis.connect_timeout_ms);
	CHECK(c->redis.lease_ms == e->redis.lease_ms && c->redis.out_max == e->redis.out_max);
	CHECK(c->redis.has_worker == e->redis.has_worker);
}

static void no_allocation_that_fails_is_missed(void)
{
	const char *file = file_with("{listen: '127.0.0.1:1', data: d, plugins: [p], limits: {}, "
				     "bus: {redis: {url: 'redis://u:p@h', password_file: f}}}");
	struct host_flags flags = {.config = file, .www = "w", .plugins = {"x"}, .n_plugins = 1};
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		struct yaml_faults faults = {0};
		struct host_config *c = NULL;
		long before = alloc_fault_balance();
		int r;

		alloc_fault_at(n);
		r = host_config_load(&flags, &c, NULL, &faults, NULL);
		failed = alloc_fault_end();
		CHECK_INT(r, failed ? -ENOMEM : 0);
		host_config_destroy(c);
		yaml_faults_fini(&faults);
		CHECK_INT(alloc_fault_balance(), before);
	}
}

static const struct unit_test tests[] = {TEST(without_a_file_the_defaults_stand),
	TEST(the_url_of_Redis_is_taken_apart), TEST(the_bus_is_memory_or_a_redis_that_is_named),
	TEST(a_bus_that_cannot_be_is_a_fault), TEST(paths_in_the_file_are_relative_to_it),
	TEST(flags_win_over_the_file), TEST(faults_of_the_file_come_in_one_go),
	TEST(what_cannot_be_read_is_said), TEST(the_shipped_settings_are_the_defaults),
	TEST(the_shipped_comments_tell_the_truth), TEST(no_allocation_that_fails_is_missed)};

int main(void)
{
	int r;

	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 1;
	r = unit_run("host_config", tests, ARRAY_LEN(tests));
	unlink("s.yaml");
	rmdir(folder);
	return r;
}
