/* One program that runs beside the daemon. */
#include "exec_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ_MAX = 64 * 1024 };

/* Ends of pipes: [0] is read from, [1] written to. */
struct pipes {
	int in[2], out[2], err[2], failure[2];
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_pipes(struct pipes *p)
{
	int *ends[] = {p->in, p->out, p->err, p->failure};

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		close_fd(&ends[i][0]);
		close_fd(&ends[i][1]);
	}
}

static int open_pipes(struct pipes *p)
{
	*p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	if (pipe2(p->in, O_CLOEXEC) < 0 || pipe2(p->out, O_CLOEXEC) < 0 ||
		pipe2(p->err, O_CLOEXEC) < 0 || pipe2(p->failure, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(p->in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(p->out[0], F_SETFL, O_NONBLOCK) < 0 ||
		fcntl(p->err[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/* --- in the child: only what is safe between fork and exec --- */

static bool place_fd(int fd, int where)
{
	int above = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* where == fd would stay closed on exec */

	return above >= 0 && dup2(above, where) >= 0;
}

static void forget_signals(void)
{
	struct sigaction by_default = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		sigaction(i, &by_default, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void become(
	const struct exec_program *program, const struct pipes *p, pid_t parent)
{
	int failure = fcntl(p->failure[1], F_DUPFD_CLOEXEC, 3);
	int code;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	forget_signals();
	if (place_fd(p->in[0], STDIN_FILENO) && place_fd(p->out[1], STDOUT_FILENO) &&
		place_fd(p->err[1], STDERR_FILENO) &&
		(!program->folder || chdir(program->folder) == 0)) {
		/* Whatever a library forgot to mark. */
		syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
		execve(program->path, program->argv, program->environment);
	}
	code = errno;
	if (write(failure, &code, sizeof code) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_FAILURE);
}

/* --- starting --- */

/* What went wrong before the program ran, 0 when it runs. */
static int wait_for_exec(const struct pipes *p)
{
	int code = 0;
	ssize_t n;

	do
		n = read(p->failure[0], &code, sizeof code);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof code ? -code : 0;
}

static void wait_for_end(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int take_off(struct exec_process *p, const struct exec_program *program, struct pipes *pipes)
{
	pid_t parent = getpid(), pid = fork();
	int r;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		become(program, pipes, parent);
	setpgid(pid, pid); /* here too: whichever comes first */
	close_fd(&pipes->failure[1]);
	r = wait_for_exec(pipes);
	p->pidfd = r == 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (r == 0 && p->pidfd < 0) {
		r = -errno;
		kill(pid, SIGKILL);
	}
	if (r < 0)
		wait_for_end(pid);
	else
		p->pid = pid;
	return r;
}

int exec_process_start(struct exec_process *p, const struct exec_program *program)
{
	struct pipes pipes;
	int r;

	*p = (struct exec_process){.pidfd = -1, .in = -1, .out = -1, .err = -1};
	r = open_pipes(&pipes);
	if (r == 0)
		r = take_off(p, program, &pipes);
	if (r == 0) {
		p->in = pipes.in[1];
		p->out = pipes.out[0];
		p->err = pipes.err[0];
		pipes.in[1] = pipes.out[0] = pipes.err[0] = -1;
	}
	close_pipes(&pipes);
	return r;
}

/* --- speaking --- */

void exec_process_signal(const struct exec_process *p, int signal)
{
	if (p->pid)
		kill(-p->pid, signal);
}

void exec_process_close_in(struct exec_process *p)
{
	close_fd(&p->in);
}

void exec_process_write(struct exec_process *p)
{
	while (p->in >= 0 && p->n_written < p->request.n) {
		ssize_t n = write(p->in, p->request.p + p->n_written, p->request.n - p->n_written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			close_fd(&p->in); /* it does not listen; its end or its time will tell */
		else
			p->n_written += (size_t)n;
	}
}

bool exec_process_has_read(const struct exec_process *p)
{
	int n_left = 0;

	if (p->in < 0 || ioctl(p->in, FIONREAD, &n_left) < 0)
		return p->n_written > 0;
	return (size_t)n_left < p->n_written;
}

static int split(
	struct text *line, size_t max, void (*on_line)(void *arg, char *line, size_t n), void *arg)
{
	char *from = line->p, *end = line->p + line->n, *newline;

	while (from < end && (newline = memchr(from, '\n', (size_t)(end - from)))) {
		*newline = '\0';
		on_line(arg, from, (size_t)(newline - from));
		from = newline + 1;
	}
	line->n = (size_t)(end - from);
	memmove(line->p, from, line->n);
	return line->n > max ? -EMSGSIZE : 0;
}

int exec_process_read(int fd, struct text *line, size_t max,
	void (*on_line)(void *arg, char *line, size_t n), void *arg)
{
	static const size_t once = 16 * 1024;

	for (size_t total = 0; total < READ_MAX;) {
		char bytes[16 * 1024];
		ssize_t n = read(fd, bytes, once);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -ENODATA;
		text_bytes(line, bytes, (size_t)n);
		if (line->failed)
			return -ENOMEM;
		r = split(line, max, on_line, arg);
		if (r < 0)
			return r;
		total += (size_t)n;
	}
	return 0;
}

void exec_process_keep_last(struct exec_process *p, const char *line)
{
	if (p->n_last == EXEC_LAST_LINES) {
		memmove(p->last[0], p->last[1], sizeof p->last - sizeof p->last[0]);
		p->n_last--;
	}
	snprintf(p->last[p->n_last++], sizeof p->last[0], "%s", line);
}

/* --- ending --- */

static void describe_end(const struct exec_process *p, int status, struct text *out)
{
	const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

	if (WIFSIGNALED(status))
		text_fmt(out, "was killed by signal %d (SIG%s)", WTERMSIG(status),
			name ? name : "?");
	else
		text_fmt(out, "exited with status %d", WEXITSTATUS(status));
	for (size_t i = 0; i < p->n_last; i++)
		text_fmt(out, "%s%s", i ? " | " : ": ", p->last[i]);
}

void exec_process_reap(struct exec_process *p, struct text *ret_how)
{
	int status = 0;

	kill(-p->pid, SIGKILL);
	while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
		;
	describe_end(p, status, ret_how);
	close_fd(&p->pidfd);
	close_fd(&p->in);
	close_fd(&p->out);
	close_fd(&p->err);
	text_fini(&p->request);
	text_fini(&p->out_line);
	text_fini(&p->err_line);
	p->pid = 0;
}
