/* `stageline serve`: checks everything, then starts journal, engine and HTTP, and ends them in the order in
 * which nothing is lost. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "cli/cli.h"
#include "cli/heads.h"
#include "cli/host_config.h"
#include "cli/systemd.h"
#include "engine/load.h"
#include "net/app.h"
#include "net/changes.h"
#include "version.h"

enum { LAST_CALLS_MS = 500 }; /* at a stop, for the first request of a connection that is there */

struct server {
	struct host_config *config;
	struct pipeline_set set;
	struct event_base *base;
	struct app *app;
	struct engine *engine;
	struct plugin_folders folders;
	struct heads_publisher *heads;
	struct changes *changes; /* NULL: nobody asked for it */
	struct systemd_watchdog *watchdog;
	char *journal_path, *attempts_path;
	int64_t last_calls_until_ms;
	bool is_socket_kept; /* by systemd, for the next one */
	bool has_failed;
	bool is_read_only;
};

static const char usage[] =
	"usage: stageline serve [--config FILE] [--pipeline FILE] [--data DIR] [--listen "
	"HOST:PORT]\n"
	"                       [--www DIR] [--plugins DIR ...] [--bus URL] [--watch]\n"
	"       stageline serve --read-only [--journal FILE] [--listen HOST:PORT] [--www DIR]\n"
	"\n"
	"Runs the pipeline and serves HTTP until SIGTERM or SIGINT. SIGHUP loads the pipeline file "
	"anew, as\n"
	"`stageline reload` does.\n"
	"\n"
	"  --config FILE       settings of the host (stageline.yaml)\n"
	"  --pipeline FILE     the pipeline (orders.yaml)\n"
	"  --data DIR          where the journal is; made when it is not there\n"
	"  --listen HOST:PORT  address to listen on (default 127.0.0.1:8000)\n"
	"  --www DIR           the client's files\n"
	"  --plugins DIR       folder of stage plugins; may be given several times\n"
	"  --bus URL           redis://HOST:PORT, or memory (the default)\n"
	"  --watch             loads the pipeline anew when its file or a plugin changes\n"
	"\n"
	"  --read-only         shows a journal that nobody writes, such as replay --until makes; "
	"no "
	"stage\n"
	"                      runs, nothing can be changed\n"
	"  --journal FILE      with --read-only: that file (default: journal.sqlite in the data "
	"folder)\n"
	"\n"
	"Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage, 78 something is wrong with a "
	"file.\n";

/* --- the files --- */

static int report(const char *file, const struct yaml_faults *faults, const struct err *e, int r)
{
	if (faults->n)
		yaml_faults_print(faults, file, stderr);
	else
		fprintf(stderr, "stageline: error: %s\n", e->code ? err_text(e) : strerror(-r));
	return EXIT_BAD_CONFIG;
}

static int read_files(struct server *s, const struct host_flags *flags, struct pipeline **ret)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults host_faults = {0}, faults = {0};
	const char *file = NULL;
	struct plugin_folders folders;
	struct err e = {0};
	int r = host_config_load(flags, &s->config, &file, &host_faults, &e);

	if (r < 0)
		return report(file, &host_faults, &e, r);
	log_set_level((enum log_level)s->config->log_level);
	if (s->is_read_only) /* the journal has it */
		return EXIT_SUCCESS;
	folders = host_config_folders(s->config);
	r = pipeline_load(s->config->pipeline, &folders, false, ret, &faults, &e);
	return r < 0 ? report(s->config->pipeline, &faults, &e, r) : EXIT_SUCCESS;
}

/* --- starting --- */

static int make_data(struct server *s)
{
	const char *dir = s->config->data;

	if (!s->is_read_only && mkdir(dir, 0750) < 0 && errno != EEXIST) {
		fprintf(stderr, "stageline: error: data directory '%s': %s\n", dir,
			strerror(errno));
		return EXIT_FAILURE;
	}
	if (!s->journal_path && asprintf(&s->journal_path, "%s/journal.sqlite", dir) < 0)
		s->journal_path = NULL;
	if (asprintf(&s->attempts_path, "%s/attempts", dir) < 0)
		s->attempts_path = NULL;
	if (!s->journal_path || !s->attempts_path) {
		fputs("stageline: error: no memory to start\n", stderr);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static struct app_options app_options_of(struct server *s)
{
	const struct host_limits *l = &s->config->limits;

	return (struct app_options){
		.journal_path = s->journal_path,
		.www = s->config->www,
		.set = &s->set,
		.read_only = s->is_read_only ? ENGINE_SHOW_REASON : NULL,
		.limits = {.http = {.body_bytes = l->body,
				   .header_bytes = l->headers,
				   .connections = l->connections,
				   .idle_ms = l->idle_ms,
				   .backlog_bytes = l->backlog},
			.unanswered = l->unanswered,
			.reads = l->reads,
			.open_orders = l->open_orders,
			.json_depth = l->json_depth,
			.bulk = l->bulk},
	};
}

static void on_change(void *arg)
{
	struct server *s = arg;

	log_info("reload: files have changed");
	app_reload(s->app);
}

static int watch(struct server *s, struct err *e)
{
	if (!s->config->watch || s->is_read_only)
		return 0;
	s->folders = host_config_folders(s->config);
	return changes_watch(
		s->base, s->config->pipeline, &s->folders, on_change, s, &s->changes, e);
}

/* On the sockets of systemd, else where the settings say. */
static int listen_somewhere(struct server *s, uint16_t *ret_port, struct err *e)
{
	int n = systemd_listen(s->app->http, ret_port, e);

	s->is_socket_kept = n > 0;
	if (n == 0)
		return http_listen(s->app->http, s->config->host, s->config->port, ret_port, e);
	if (n > 0 && s->config->port != *ret_port && s->config->port)
		log_warn("listen: %s is not used, since systemd holds the socket "
			 "(stageline.socket)",
			s->config->listen);
	return n < 0 ? n : 0;
}

/* Takes `p`. */
static int start(struct server *s, struct pipeline *p, uint16_t *ret_port, struct err *e)
{
	struct app_options app_options = app_options_of(s);
	struct engine_options options = {.journal_path = s->journal_path,
		.attempts_path = s->attempts_path,
		.pipeline_path = s->config->pipeline,
		.folders = host_config_folders(s->config),
		.erase_after_ms = s->config->erase_after_ms,
		.redis = s->config->has_redis ? &s->config->redis : NULL,
		.orders_in_memory = (size_t)s->config->limits.orders_in_memory,
		.on_answers = app_on_answers,
		.on_commit = app_on_commit};
	int r;

	s->base = event_base_new();
	r = s->base ? app_create(s->base, &app_options, &s->app, e)
		    : err_set(e, -ENOMEM, "cannot make an event loop");
	if (r < 0) {
		pipeline_free(p);
		return r;
	}
	options.arg = s->app;
	r = s->is_read_only ? engine_show(&options, &s->set, &s->engine, e)
			    : engine_start(&options, &s->set, p, &s->engine, e);
	if (r == 0)
		r = app_start(s->app, s->engine, &app_options, e);
	if (r == 0)
		r = watch(s, e);
	if (r == 0 && !s->is_read_only)
		r = heads_start(s->journal_path, &s->config->heads, &s->heads, e);
	if (r == 0)
		r = listen_somewhere(s, ret_port, e);
	if (r == 0)
		r = systemd_watchdog_start(s->base, s->engine, &s->watchdog, e);
	return r;
}

/* --- ending --- */

/* A stage that does not come back must not keep the daemon from stopping: everything is in the journal.
 * `arg` is the limit itself, since the server may be gone by the time this thread runs. */
static void *give_up(void *arg)
{
	int64_t ms = (int64_t)(intptr_t)arg;

	usleep((useconds_t)(ms % 1000 * 1000));
	sleep((unsigned)(ms / 1000));
	log_warn("stopping took longer than %lld ms: attempts that run are left; they go on at the "
		 "next start",
		(long long)ms);
	_exit(EXIT_SUCCESS);
}

static void stop(struct server *s)
{
	void *limit = (void *)(intptr_t)s->config->limits.drain_ms;
	pthread_t limiter;

	systemd_tell("STOPPING=1\nSTATUS=Running attempts end");
	if (pthread_create(&limiter, NULL, give_up, limit) == 0)
		pthread_detach(limiter);
	app_drain(s->app);
	engine_stop(s->engine);
	heads_stop(steal_ptr(s->heads));
}

static volatile sig_atomic_t is_stopping;

/* Before and after the loop: a signal ends what has not started, and does not disturb what is ending. */
static void on_signal_outside(int number)
{
	if (is_stopping)
		return;
	signal(number, SIG_DFL);
	raise(number);
}

/* Whoever is connected already is answered, so that a restart behind a socket of systemd refuses nobody. */
static void on_last_calls(evutil_socket_t fd, short events, void *arg)
{
	static const struct timeval soon = {.tv_usec = 5000};
	struct server *s = arg;

	(void)fd, (void)events;
	if (http_last_calls(s->app->http) && clock_mono_ms() < s->last_calls_until_ms &&
		event_base_once(s->base, -1, EV_TIMEOUT, on_last_calls, s, &soon) == 0)
		return;
	event_base_loopbreak(s->base);
}

static void on_signal(evutil_socket_t number, short events, void *arg)
{
	struct server *s = arg;

	(void)events;
	if (is_stopping)
		return;
	is_stopping = 1;
	log_info("stopping signal=%s", number == SIGTERM ? "SIGTERM" : "SIGINT");
	s->last_calls_until_ms = clock_mono_ms() + LAST_CALLS_MS;
	if (s->is_socket_kept)
		on_last_calls(-1, 0, s);
	else
		event_base_loopbreak(s->base);
}

static void on_hangup(evutil_socket_t number, short events, void *arg)
{
	struct server *s = arg;

	(void)number, (void)events;
	log_info("reload signal=SIGHUP");
	app_reload(s->app);
}

static bool has_signals(struct event *const events[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!events[i] || event_add(events[i], NULL) < 0)
			return false;
	return true;
}

static void run(struct server *s, uint16_t port)
{
	struct event *const signals[] = {evsignal_new(s->base, SIGTERM, on_signal, s),
		evsignal_new(s->base, SIGINT, on_signal, s),
		evsignal_new(s->base, SIGHUP, on_hangup, s)};
	struct timeval last_words = {.tv_usec = 300000};

	if (has_signals(signals, ARRAY_LEN(signals))) {
		log_info("ready url=http://%s:%u pipeline=%s generation=%s", s->config->host, port,
			engine_pipeline(s->engine)->name, engine_pipeline(s->engine)->digest);
		slice_shorten();
		systemd_tell("READY=1\nSTATUS=http://%s:%u, pipeline %s", s->config->host, port,
			engine_pipeline(s->engine)->name);
		event_base_dispatch(s->base);
	} else {
		log_error("no memory for signals");
		s->has_failed = true;
	}
	changes_free(steal_ptr(s->changes));
	stop(s);
	/* Answers and close frames that are on their way still go out. */
	event_base_loopexit(s->base, &last_words);
	event_base_dispatch(s->base);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		if (signals[i])
			event_free(signals[i]);
}

static void server_fini(struct server *s)
{
	if (s->engine)
		engine_stop(s->engine);
	heads_stop(s->heads);
	changes_free(s->changes);
	systemd_watchdog_stop(s->watchdog);
	app_free(s->app);
	engine_free(s->engine);
	if (s->base)
		event_base_free(s->base);
	pipeline_set_fini(&s->set);
	host_config_destroy(s->config);
	free(s->journal_path);
	free(s->attempts_path);
	libevent_global_shutdown();
}

static int serve(const struct host_flags *flags, bool is_read_only, const char *journal)
{
	_cleanup_(server_fini) struct server s = {.is_read_only = is_read_only};
	struct pipeline *p = NULL;
	struct err e = {0};
	uint16_t port;
	int status;

	s.journal_path = journal ? strdup(journal) : NULL;
	status = read_files(&s, flags, &p);
	if (status == EXIT_SUCCESS)
		status = make_data(&s);
	if (status != EXIT_SUCCESS) {
		pipeline_free(p);
		return status;
	}
	if (start(&s, p, &port, &e) < 0) {
		fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return EXIT_FAILURE;
	}
	run(&s, port);
	log_info("stopped");
	return s.has_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int serve_main(int argc, char **argv)
{
	static const struct option options[] = {HOST_FLAGS_OPTIONS,
		{"read-only", no_argument, NULL, 'R'}, {"journal", required_argument, NULL, 'J'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct host_flags flags = {0};
	const char *journal = NULL;
	bool is_read_only = false;
	int o;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		}
		is_read_only |= o == 'R';
		journal = o == 'J' ? optarg : journal;
		if (o != 'R' && o != 'J' && !host_flags_take(&flags, o, optarg)) {
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "stageline: serve takes no '%s'\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	if (journal && !is_read_only) {
		fprintf(stderr, "stageline: --journal goes with --read-only\n%s", usage);
		return EXIT_USAGE;
	}
	systemd_log();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal_outside);
	signal(SIGINT, on_signal_outside);
	signal(SIGHUP, SIG_IGN);  /* until there is something to load anew */
	mallopt(M_ARENA_MAX, 64); /* no thread waits for another one to allocate */
	return serve(&flags, is_read_only, journal);
}
