/* A stage that does what must not be done, as the order says: "do": WORD, or "do STAGE" for one of them alone, as long
 * as its attempt is at most "times" (absent: always). Without a word it is done, and adds 1 to net/STAGE. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mock.h"

#define BY_NAME __attribute__((noinline, noclone)) static

struct hazard {
	const struct sl_host *host;
	struct sl_task *task;
	char path[256]; /* "path" of the order */
};

BY_NAME int32_t fall_into_segv(struct hazard *h)
{
	int *volatile nowhere = (int *)8;

	*nowhere = 1;
	return h != NULL;
}

BY_NAME int32_t give_up_by_abort(struct hazard *h)
{
	if (h)
		abort();
	return SL_DONE;
}

/* Not a tail call, and nothing that a compiler could see through. */
BY_NAME int32_t sink_into_recursion(struct hazard *h)
{
	volatile char room[4096];

	room[0] = (char)(h != NULL);
	return room[0] ? sink_into_recursion(h) + room[0] : 0;
}

BY_NAME int32_t leave_by_exit(struct hazard *h)
{
	if (h)
		exit(3);
	return SL_DONE;
}

BY_NAME int32_t leave_at_once(struct hazard *h)
{
	if (h)
		_exit(4);
	return SL_DONE;
}

BY_NAME int32_t turn_in_circles(struct hazard *h)
{
	for (volatile int i = 1; i && h;)
		i |= 1;
	return SL_DONE;
}

/* Deaf to everything that can be ignored. */
BY_NAME int32_t turn_in_circles_deaf(struct hazard *h)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	return turn_in_circles(h);
}

BY_NAME int32_t leak_everything(struct hazard *h)
{
	for (;;) {
		char *p = malloc(1 << 20);

		if (!p)
			return give_up_by_abort(h);
		memset(p, 1, 1 << 20);
	}
}

/* Two thirds of what is left is gone, and the call ends well. */
BY_NAME int32_t leak_quietly(struct hazard *h)
{
	void *p = mmap(NULL, 48 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	h->host->set_message(h->task, p == MAP_FAILED ? "nothing left" : "leaked");
	return p == MAP_FAILED ? SL_RETRY : SL_DONE;
}

BY_NAME int32_t write_garbage(struct hazard *h)
{
	char bytes[4096];

	(void)h;
	memset(bytes, 0xa5, sizeof bytes);
	for (int fd = 3; fd < 16; fd++)
		if (write(fd, bytes, sizeof bytes) < 0)
			errno = 0;
	return SL_DONE;
}

BY_NAME int32_t close_everything(struct hazard *h)
{
	(void)h;
	for (int fd = 0; fd < 64; fd++)
		close(fd);
	return turn_in_circles(h);
}

BY_NAME int32_t run_a_program(struct hazard *h)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	h->host->set_message(h->task, pid > 0 ? "forked" : strerror(errno));
	return SL_DONE;
}

BY_NAME int32_t call_somebody(struct hazard *h)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	h->host->set_message(h->task, fd >= 0 ? "a socket" : strerror(errno));
	return SL_DONE;
}

BY_NAME int32_t shoot_the_daemon(struct hazard *h)
{
	int r = kill(getppid(), SIGKILL);

	h->host->set_message(h->task, r == 0 ? "shot" : strerror(errno));
	return SL_DONE;
}

static int32_t open_path(struct hazard *h, int flags)
{
	char text[64];
	int fd = open(h->path, flags, 0600);

	snprintf(text, sizeof text, "%s", fd >= 0 ? "opened" : strerror(errno));
	h->host->set_message(h->task, text);
	if (fd >= 0)
		close(fd);
	return SL_DONE;
}

BY_NAME int32_t read_a_file(struct hazard *h)
{
	return open_path(h, O_RDONLY);
}

BY_NAME int32_t write_a_file(struct hazard *h)
{
	return open_path(h, O_WRONLY | O_CREAT);
}

/* What is open, and the environment that is there: "fds 0 1 2 3". */
BY_NAME int32_t count_files(struct hazard *h)
{
	char text[512];
	int n = snprintf(text, sizeof text, "open:");

	for (int fd = 0; fd < 1024 && n < 500; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n += snprintf(text + n, sizeof text - (size_t)n, " %d", fd);
	h->host->set_message(h->task, text);
	return SL_DONE;
}

/* Whether it is the same process as before: its id. */
BY_NAME int32_t tell_process(struct hazard *h)
{
	char text[32];

	snprintf(text, sizeof text, "%d", (int)getpid());
	h->host->set_message(h->task, text);
	return SL_DONE;
}

BY_NAME int32_t take_a_nap(struct hazard *h)
{
	usleep(50000);
	h->host->set_message(h->task, "slept");
	return SL_DONE;
}

BY_NAME int32_t go_on_later(struct hazard *h)
{
	if (h->host->turn(h->task) < 3) {
		h->host->delay(h->task, 20);
		return SL_LATER;
	}
	h->host->set_message(h->task, "after 3 turns");
	return SL_DONE;
}

/* Waits for somebody of this process to wake it, who never does. */
BY_NAME int32_t wait_to_be_woken(struct hazard *h)
{
	if (h->host->turn(h->task)) {
		h->host->set_message(h->task, "went on");
		return SL_DONE;
	}
	h->host->delay(h->task, h->host->ticket(h->task) ? 3600000 : 0);
	return SL_LATER;
}

/* Whether the second turn is where the first one was. This process remembers. */
BY_NAME int32_t come_home(struct hazard *h)
{
	static char keys[1024][96];
	static size_t n;
	const char *key = h->host->idempotency_key(h->task);
	size_t i = 0;

	if (!h->host->turn(h->task)) {
		snprintf(keys[n++ % 1024], sizeof keys[0], "%s", key);
		h->host->delay(h->task, 10);
		return SL_LATER;
	}
	while (i < n && i < 1024 && strcmp(keys[i], key) != 0)
		i++;
	return i < n && i < 1024 ? SL_DONE : SL_FAIL;
}

static const struct {
	const char *word;
	int32_t (*run)(struct hazard *);
} actions[] = {
	{"segv", fall_into_segv},
	{"abort", give_up_by_abort},
	{"overflow", sink_into_recursion},
	{"exit", leave_by_exit},
	{"leave", leave_at_once},
	{"loop", turn_in_circles},
	{"deaf", turn_in_circles_deaf},
	{"leak", leak_everything},
	{"seep", leak_quietly},
	{"garbage", write_garbage},
	{"close", close_everything},
	{"fork", run_a_program},
	{"connect", call_somebody},
	{"shoot", shoot_the_daemon},
	{"read", read_a_file},
	{"write", write_a_file},
	{"files", count_files},
	{"process", tell_process},
	{"nap", take_a_nap},
	{"later", go_on_later},
	{"park", wait_to_be_woken},
	{"home", come_home},
};

/* The string of a member of the order, as far as it fits. */
static void member(const char *order, const char *name, char *out, size_t size)
{
	char key[64];
	const char *p;

	snprintf(key, sizeof key, "\"%s\":\"", name);
	p = strstr(order, key);
	snprintf(out, size, "%.*s", p ? (int)strcspn(p + strlen(key), "\"") : 0,
		p ? p + strlen(key) : "");
}

static int32_t done(const struct sl_host *host, struct sl_task *task, int64_t delta)
{
	char key[128];

	snprintf(key, sizeof key, "net/%s", host->stage_name(host));
	host->effect_add(task, key, delta, INT64_MIN);
	return SL_DONE;
}

static int32_t hazard_run(void *self, struct sl_task *task)
{
	struct hazard h = {.host = self, .task = task};
	const char *order = h.host->order(task, NULL), *times = strstr(order, "\"times\":");
	char own[64], word[32];

	snprintf(own, sizeof own, "do %s", h.host->stage_name(h.host));
	member(order, own, word, sizeof word);
	if (!word[0])
		member(order, "do", word, sizeof word);
	member(order, "path", h.path, sizeof h.path);
	if (times && h.host->attempt(task) > (uint32_t)strtoul(times + 8, NULL, 10))
		return done(h.host, task, 1);
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(word, actions[i].word) == 0)
			return actions[i].run(&h);
	return done(h.host, task, 1);
}

#ifdef BAD_START
/* Crashes where no order is concerned. */
static int32_t hazard_create(const struct sl_host *host, const void *config, void **ret_self)
{
	(void)config;
	*ret_self = (void *)host;
	return fall_into_segv(NULL) - 1;
}

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE(
	"bad_start", .flags = SL_STAGE_CONCURRENT, .create = hazard_create, .run = hazard_run);
#else
static int32_t hazard_undo(void *self, struct sl_task *task)
{
	return done(self, task, -1);
}

SL_EXPORT const struct sl_stage stageline_stage = MOCK_STAGE("hazard",
	.flags = SL_STAGE_CONCURRENT | SL_STAGE_EFFECTS, .run = hazard_run, .undo = hazard_undo);
#endif
