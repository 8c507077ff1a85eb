/* `stageline worker`: runs stages for a coordinator on another machine, through Redis. */
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/host_config.h"
#include "cli/systemd.h"
#include "engine/worker.h"

enum { LOOK_MS = 500, STAGES_MAX = PIPELINE_STAGES_MAX };

static const char usage[] =
	"usage: stageline worker [--bus URL] [--config FILE] [--prefix WORD] [--password-file "
	"FILE]\n"
	"                        [--pipeline NAME] [--stages NAME,…] [--plugins DIR ...]\n"
	"\n"
	"Runs stages for the coordinator (`stageline serve`) that uses the same Redis, until "
	"SIGTERM "
	"or SIGINT;\n"
	"what runs then is finished, what has not begun is given back.\n"
	"\n"
	"  --bus URL             redis://HOST:PORT, or unix:///PATH\n"
	"  --config FILE         settings of the host (stageline.yaml): bus, plugins, log_level\n"
	"  --prefix WORD         what the keys begin with (default stageline)\n"
	"  --password-file FILE  its first line is the password of Redis\n"
	"  --pipeline NAME       the pipeline, where there are several\n"
	"  --stages NAME,…       these stages only (default: all of them)\n"
	"  --plugins DIR         folder of stage plugins; may be given several times\n"
	"\n"
	"Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage, 78 something is wrong with a "
	"file.\n";

struct worker_flags {
	struct host_flags host;
	const char *prefix, *password_file, *pipeline;
	char *stages; /* names, cut apart */
	const char *names[STAGES_MAX];
	size_t n_names;
};

static volatile sig_atomic_t is_stopping;

static void on_signal(int number)
{
	is_stopping = number;
}

static bool cut_stages(struct worker_flags *f, const char *list)
{
	char *rest;

	free(f->stages);
	f->n_names = 0;
	f->stages = rest = str_dup(str_of(list));
	while (rest) {
		char *name = strsep(&rest, ",");

		if (!*name || f->n_names == STAGES_MAX)
			return false;
		f->names[f->n_names++] = name;
	}
	return f->n_names > 0;
}

static bool take_flag(struct worker_flags *f, int option, const char *argument)
{
	switch (option) {
	case 'x':
		f->prefix = argument;
		return true;
	case 'f':
		f->password_file = argument;
		return true;
	case 'n':
		f->pipeline = argument;
		return true;
	case 's':
		return cut_stages(f, argument);
	default:
		return option != '?' && host_flags_take(&f->host, option, argument);
	}
}

static int read_settings(struct worker_flags *f, struct host_config **ret)
{
	_cleanup_(yaml_faults_fini) struct yaml_faults faults = {0};
	const char *file = NULL;
	struct err e = {0};
	int r = host_config_load(&f->host, ret, &file, &faults, &e);

	if (r < 0 && faults.n)
		yaml_faults_print(&faults, file, stderr);
	else if (r < 0)
		fprintf(stderr, "stageline: error: %s\n", e.code ? err_text(&e) : strerror(-r));
	if (r < 0)
		return EXIT_BAD_CONFIG;
	if (!(*ret)->has_redis) {
		fputs("stageline: error: a worker needs to know where Redis is: --bus "
		      "redis://HOST:PORT\n",
			stderr);
		return EXIT_USAGE;
	}
	if (f->prefix)
		(*ret)->redis.prefix = f->prefix;
	if (f->password_file)
		(*ret)->redis.password_file = f->password_file;
	if (host_config_check_redis(&(*ret)->redis, &(*ret)->arena, &e) < 0) {
		fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return EXIT_USAGE;
	}
	return EXIT_SUCCESS;
}

/* A stage that does not come back must not keep it from ending; its lease does the rest. */
static void *give_up(void *arg)
{
	poll(NULL, 0, (int)(intptr_t)arg);
	log_warn("stopping took too long: attempts that run are left to their lease");
	_exit(EXIT_SUCCESS);
}

static int work(struct worker *w, int64_t drain_ms, struct err *e)
{
	pthread_t limiter;
	int r = 0;

	systemd_tell("READY=1");
	while (!is_stopping && r == 0) {
		r = worker_look(w, e);
		systemd_tell("WATCHDOG=1");
		if (r == 0)
			poll(NULL, 0, LOOK_MS);
	}
	if (is_stopping)
		log_info("stopping signal=%s", is_stopping == SIGTERM ? "SIGTERM" : "SIGINT");
	systemd_tell("STOPPING=1");
	if (pthread_create(&limiter, NULL, give_up, (void *)(intptr_t)drain_ms) == 0)
		pthread_detach(limiter);
	return r;
}

static int run(const struct worker_flags *f, const struct host_config *c)
{
	struct worker_options options = {.redis = &c->redis,
		.pipeline = f->pipeline,
		.stages = {f->n_names, f->names},
		.folders = host_config_folders(c)};
	struct worker *w = NULL;
	struct err e = {0};
	int r;

	log_set_level((enum log_level)c->log_level);
	r = worker_create(&options, &w, &e);
	if (r == 0) {
		log_info("worker pid=%d", (int)getpid());
		r = work(w, c->limits.drain_ms, &e);
	}
	worker_end(w);
	if (r < 0) {
		fprintf(stderr, "stageline: error: %s\n", err_text(&e));
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	}
	log_info("stopped");
	return EXIT_SUCCESS;
}

int worker_main(int argc, char **argv)
{
	static const struct option options[] = {{"bus", required_argument, NULL, 'b'},
		{"config", required_argument, NULL, 'c'}, {"plugins", required_argument, NULL, 'P'},
		{"prefix", required_argument, NULL, 'x'},
		{"password-file", required_argument, NULL, 'f'},
		{"pipeline", required_argument, NULL, 'n'},
		{"stages", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {0}};
	_cleanup_(host_config_destroyp) struct host_config *config = NULL;
	struct worker_flags flags = {0};
	struct sigaction action = {.sa_handler = on_signal};
	int o, status;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		}
		if (!take_flag(&flags, o, optarg)) {
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "stageline: worker takes no '%s'\n%s", argv[optind], usage);
		return EXIT_USAGE;
	}
	systemd_log();
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	mallopt(M_ARENA_MAX, 64); /* no thread waits for another one to allocate */
	status = read_settings(&flags, &config);
	if (status == EXIT_SUCCESS)
		status = run(&flags, config);
	free(flags.stages);
	return status;
}
