/* A child process for work that may end in any way. */
#include "kit/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { READ_SIZE = 64 * 1024, LOOK_MS = 100 };

static const int endings[] = {SIGINT, SIGTERM, SIGHUP};

/* Shared with the child. */
struct shared {
	char note[SUBPROCESS_NOTE_SIZE];
	bool is_fine;
};

static void list_endings(sigset_t *ret)
{
	sigemptyset(ret);
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		sigaddset(ret, endings[i]);
}

void subprocess_hold_signals(sigset_t *ret_before)
{
	sigset_t held;

	list_endings(&held);
	sigprocmask(SIG_BLOCK, &held, ret_before);
}

void subprocess_release_signals(const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
}

static bool is_to_end(void)
{
	sigset_t waiting;

	sigpending(&waiting);
	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		if (sigismember(&waiting, endings[i]))
			return true;
	return false;
}

/* Reports of sanitizers are no deaths by a signal: the system's ways are restored. */
static void reset_signals(void)
{
	static const int list[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE};

	sigset_t held;

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		signal(list[i], SIG_DFL);
	list_endings(&held);
	sigprocmask(SIG_UNBLOCK, &held, NULL);
}

static _Noreturn void be_child(
	subprocess_work *work, void *arg, int out, pid_t parent, struct shared *shared)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	reset_signals();
	dup2(STDERR_FILENO, STDOUT_FILENO);
	work(arg, out, shared->note);
	shared->is_fine = true;
	_exit(0);
}

/* 1: something came, or the end; 0: nothing for too long, or it is to end. */
static int wait_for_output(int in, int64_t silence_ms)
{
	int64_t until_ms = clock_mono_ms() + silence_ms;

	for (;;) {
		int64_t left_ms = until_ms - clock_mono_ms();
		struct pollfd p = {in, POLLIN, 0};
		int n = left_ms > 0 ? poll(&p, 1, left_ms < LOOK_MS ? (int)left_ms : LOOK_MS) : 0;

		if (n > 0 || (n < 0 && errno != EINTR))
			return 1;
		if (left_ms <= 0 || is_to_end())
			return 0;
	}
}

static void read_all(int in, int64_t silence_ms, struct subprocess_end *ret)
{
	while (ret->out.len < SUBPROCESS_OUTPUT_MAX) {
		char *room = buf_reserve(&ret->out, READ_SIZE);
		ssize_t n;

		ret->is_late = !wait_for_output(in, silence_ms);
		n = room && !ret->is_late ? read(in, room, READ_SIZE) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		ret->out.len += (size_t)n;
		ret->out.data[ret->out.len] = '\0';
	}
}

static void wait_for(pid_t pid, struct subprocess_end *ret)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		ret->signal = WTERMSIG(status);
	else
		ret->status = WEXITSTATUS(status);
}

static int start(subprocess_work *work, void *arg, struct shared *shared, pid_t *ret_pid,
	int *ret_in, struct err *e)
{
	pid_t parent = getpid();
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(e, -errno, "no pipe for a child process: %s", strerror(errno));
	fflush(NULL);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		close(ends[0]);
		be_child(work, arg, ends[1], parent, shared);
	}
	r = *ret_pid < 0 ? -errno : 0;
	close(ends[1]);
	if (r < 0) {
		close(ends[0]);
		return err_set(e, r, "no child process: %s", strerror(-r));
	}
	*ret_in = ends[0];
	return 0;
}

int subprocess_run(subprocess_work *work, void *arg, int64_t silence_ms, struct subprocess_end *ret,
	struct err *e)
{
	struct shared *shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = -1;
	int in = -1, r;

	*ret = (struct subprocess_end){0};
	if (shared == MAP_FAILED)
		return err_set(e, -ENOMEM, "no memory for a child process");
	r = start(work, arg, shared, &pid, &in, e);
	if (r == 0) {
		read_all(in, silence_ms, ret);
		close(in);
		if (ret->is_late || ret->out.failed || ret->out.len >= SUBPROCESS_OUTPUT_MAX)
			kill(pid, SIGKILL);
		wait_for(pid, ret);
		ret->is_fine = shared->is_fine && !ret->out.failed;
		shared->note[SUBPROCESS_NOTE_SIZE - 1] = '\0';
		memcpy(ret->note, shared->note, sizeof ret->note);
	}
	munmap(shared, sizeof *shared);
	return r;
}

void subprocess_end_fini(struct subprocess_end *c)
{
	buf_fini(&c->out);
}

const char *subprocess_end_signal(const struct subprocess_end *c)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {{SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},
		{SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGKILL, "SIGKILL"}, {SIGTERM, "SIGTERM"},
		{SIGPIPE, "SIGPIPE"}, {SIGTRAP, "SIGTRAP"}, {SIGSYS, "SIGSYS"},
		{SIGALRM, "SIGALRM"}, {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}};

	if (!c->signal || c->is_late)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].number == c->signal)
			return names[i].name;
	return "a signal";
}

void subprocess_end_text(const struct subprocess_end *c, char *out, size_t size)
{
	if (c->is_late)
		snprintf(out, size, "did not come back in time");
	else if (c->signal)
		snprintf(out, size, "died of %s (%s)", subprocess_end_signal(c),
			strsignal(c->signal));
	else
		snprintf(out, size, "ended its process with exit status %d", c->status);
}

int subprocess_write(int out, const struct buf *text)
{
	for (size_t done = 0; done < text->len;) {
		ssize_t n = write(out, text->data + done, text->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return text->failed ? -ENOMEM : 0;
}
