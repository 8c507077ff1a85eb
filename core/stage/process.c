/* Children by posix_spawn(), which does not copy the daemon's memory, and seen by pidfd. */
#include "stage/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "stage/child.h"

enum { RECEIVE_BYTES = 64 * 1024 };

/* What a child gets, from CHILD_FD on; nothing else of the daemon's stays open. */
enum { GIVEN = 3 };

static bool is_clear(int base, const int given[GIVEN])
{
	for (int i = 0; i < GIVEN; i++)
		if (given[i] >= base && given[i] < base + GIVEN)
			return false;
	return true;
}

static int set_files(posix_spawn_file_actions_t *files, const int given[GIVEN])
{
	int spare = CHILD_FD + GIVEN, r = 0; /* out of each other's way first */

	while (!is_clear(spare, given))
		spare += GIVEN;
	for (int i = 0; i < GIVEN && r == 0; i++)
		r = posix_spawn_file_actions_adddup2(files, given[i], spare + i);
	for (int i = 0; i < GIVEN && r == 0; i++)
		r = posix_spawn_file_actions_adddup2(files, spare + i, CHILD_FD + i);
	for (int i = 0; i < CHILD_FD && r == 0; i++)
		r = posix_spawn_file_actions_addopen(files, i, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(files, CHILD_FD + GIVEN);
	return r;
}

/* Signals as a new program expects them; a group of its own, so that Ctrl-C ends the daemon alone. */
static int set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setpgroup(attr, 0);
	return posix_spawnattr_setflags(
		attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

static int spawn(const int given[GIVEN], const char *name, pid_t *ret)
{
	char *argv[] = {(char *)"stageline", (char *)CHILD_COMMAND, (char *)name, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r = posix_spawn_file_actions_init(&files);

	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		posix_spawn_file_actions_destroy(&files);
		return -r;
	}
	r = set_files(&files, given);
	if (r == 0)
		r = set_attributes(&attr);
	if (r == 0)
		r = posix_spawn(ret, "/proc/self/exe", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return -r;
}

static void free_all(struct process *p)
{
	if (p->pid_fd >= 0)
		close(p->pid_fd);
	if (p->fd >= 0)
		close(p->fd);
	if (p->claim)
		munmap(p->claim, CLAIM_BYTES);
	buf_fini(&p->in);
	buf_fini(&p->out);
	*p = (struct process){.fd = -1, .pid_fd = -1};
}

/* The page, and its file for the child. */
static int make_claim(struct process *p)
{
	int fd = memfd_create("stageline-claim", MFD_CLOEXEC), r;
	void *page = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, CLAIM_BYTES) == 0)
		page = mmap(NULL, CLAIM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	r = page == MAP_FAILED ? -errno : fd;
	if (r < 0)
		close(fd);
	else
		p->claim = page;
	return r;
}

static int start(struct process *p, const char *name, int claim_fd, int plugin_fd)
{
	int fds[2], r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	p->fd = fds[0];
	fcntl(p->fd, F_SETFL, O_NONBLOCK);
	r = spawn((const int[GIVEN]){fds[1], claim_fd, plugin_fd}, name, &p->pid);
	close(fds[1]);
	if (r < 0)
		return r;
	p->pid_fd = pidfd_open(p->pid, 0);
	if (p->pid_fd >= 0)
		return 0;
	r = -errno;
	process_signal(p, SIGKILL);
	waitpid(p->pid, NULL, 0);
	return r;
}

int process_start(struct process *p, const char *name, int plugin_fd, struct err *e)
{
	int claim_fd, r;

	*p = (struct process){.fd = -1, .pid_fd = -1};
	claim_fd = r = make_claim(p);
	if (r >= 0) {
		r = start(p, name, claim_fd, plugin_fd);
		close(claim_fd);
	}
	if (r < 0)
		free_all(p);
	return r < 0 ? err_set(e, r, "no process can be started: %s", strerror(-r)) : 0;
}

int process_send(struct process *p)
{
	while (p->fd >= 0 && p->out_at < p->out.len) {
		ssize_t n =
			send(p->fd, p->out.data + p->out_at, p->out.len - p->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p->out_at += (size_t)n;
	}
	buf_clear(&p->out);
	p->out_at = 0;
	return 0;
}

void process_stop_sending(struct process *p)
{
	buf_clear(&p->out);
	p->out_at = 0;
	shutdown(p->fd, SHUT_WR);
}

ssize_t process_receive(struct process *p)
{
	char *room = buf_reserve(&p->in, RECEIVE_BYTES);
	ssize_t n = room ? recv(p->fd, room, RECEIVE_BYTES, 0) : -1;

	if (!room)
		return -ENOMEM;
	if (n < 0)
		return errno == ECONNRESET ? 0 : errno == EINTR ? -EAGAIN : -errno;
	p->in.len += (size_t)n;
	return n;
}

void process_hang_up(struct process *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

void process_signal(const struct process *p, int number)
{
	if (p->pid <= 0)
		return;
	kill(number == SIGKILL ? -p->pid : p->pid, number);
	if (number == SIGKILL)
		kill(p->pid, number); /* before it has its own group */
}

bool process_reap(struct process *p, int *ret_status, uint64_t *ret_begun)
{
	if (p->pid <= 0 || waitpid(p->pid, ret_status, WNOHANG) != p->pid)
		return false;
	kill(-p->pid, SIGKILL); /* what it left behind */
	*ret_begun = claim_count(p->claim);
	free_all(p);
	return true;
}
