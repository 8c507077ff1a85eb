/* Limits, Landlock and seccomp, from what kernel and policy say. */
#include "stage/sandbox.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

static void note_lack(struct buf *lacks, const char *what)
{
	if (lacks->len)
		buf_text(lacks, "; ");
	buf_text(lacks, what);
}

/* --- limits --- */

/* Address space that is only reserved, by malloc's arenas and threads' stacks. */
#define RESERVED_BYTES ((int64_t)1 << 30)

static int limit(int what, int64_t n, struct err *e)
{
	struct rlimit old, new = {(rlim_t)n, (rlim_t)n};

	if (getrlimit((__rlimit_resource_t)what, &old) == 0 && old.rlim_max < new.rlim_max)
		new = (struct rlimit){old.rlim_max, old.rlim_max};
	if (setrlimit((__rlimit_resource_t)what, &new) < 0)
		return err_set(e, -errno, "a limit cannot be set: %s", strerror(errno));
	return 0;
}

static int set_limits(const struct sandbox_policy *p, bool is_sanitized, struct err *e)
{
	int r = limit(RLIMIT_NOFILE, p->files, e);

	if (r == 0 && !is_sanitized)
		r = limit(RLIMIT_DATA, p->memory, e);
	if (r == 0 && !is_sanitized)
		r = limit(RLIMIT_AS, p->memory + RESERVED_BYTES, e);
	return r;
}

/* --- Landlock: the ABI by which a right can be handled; Debian's headers know the first ones --- */

#define FS_READ                                                                                    \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)
#define FS_FIRST     ((1ULL << 13) - 1)
#define FS_REFER     (1ULL << 13)
#define FS_TRUNCATE  (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define FS_OF_FILE                                                                                 \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |                            \
		LANDLOCK_ACCESS_FS_EXECUTE | FS_TRUNCATE)
#define FS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | FS_IOCTL_DEV)
#define NET_ALL	   3ULL /* bind, connect */
#define SCOPE_ALL  3ULL /* abstract Unix sockets, signals */

struct ruleset {
	uint64_t fs, net, scoped;
};

static struct ruleset rights_of(long abi, bool network)
{
	struct ruleset all = {.fs = FS_FIRST};

	if (abi >= 2)
		all.fs |= FS_REFER;
	if (abi >= 3)
		all.fs |= FS_TRUNCATE;
	if (abi >= 4 && !network)
		all.net = NET_ALL;
	if (abi >= 5)
		all.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		all.scoped = SCOPE_ALL;
	return all;
}

/* -ENOENT: there is no such path. */
static int allow_path(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = rights};
	struct stat st;
	int fd = open(path, O_PATH | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	rule.parent_fd = fd;
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_OF_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

static int allow_listed(int ruleset, const struct sl_list *paths, uint64_t rights, struct err *e)
{
	for (size_t i = 0; i < paths->n; i++) {
		int r = allow_path(ruleset, paths->items[i], rights);

		if (r < 0)
			return err_set(e, r, "sandbox: '%s': %s", paths->items[i], strerror(-r));
	}
	return 0;
}

/* What is public on every system; where it is not there nothing is lost. */
static void allow_public(int ruleset, bool network)
{
	static const char *const paths[] = {"/usr", "/lib", "/lib64", "/etc/ld.so.cache",
		"/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom"};
	static const char *const network_paths[] = {"/etc/ssl", "/etc/resolv.conf", "/etc/hosts",
		"/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
		"/etc/protocols", "/run/systemd/resolve"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		allow_path(ruleset, paths[i], FS_READ);
	for (size_t i = 0; network && i < ARRAY_LEN(network_paths); i++)
		allow_path(ruleset, network_paths[i], FS_READ);
}

static int restrict_files(const struct sandbox_policy *p, struct buf *lacks, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset all = rights_of(abi, p->network);
	size_t size = abi >= 6	 ? sizeof all
		      : abi >= 4 ? offsetof(struct ruleset, scoped)
				 : offsetof(struct ruleset, net);
	int fd, r;

	if (abi < 1) {
		note_lack(lacks, "the kernel has no Landlock: stages may read what the daemon may");
		return 0;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, size, 0);
	if (fd < 0)
		return err_set(e, -errno, "Landlock: %s", strerror(errno));
	allow_public(fd, p->network);
	r = allow_listed(fd, &p->read, FS_READ & all.fs, e);
	if (r == 0)
		r = allow_listed(fd, &p->write, all.fs & ~FS_DEVICES, e);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = err_set(e, -errno, "Landlock: %s", strerror(errno));
	close(fd);
	return r;
}

/* --- seccomp --- */

/* Memory, threads, time, signals, open files, reading. */
static const int calls_of_all[] = {SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64),
	SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev), SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(close),
	SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fcntl),
	SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(memfd_create),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
	SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(fadvise64),
	SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
	SCMP_SYS(brk), SCMP_SYS(mincore), SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(membarrier),
	SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(set_robust_list),
	SCMP_SYS(get_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_get_priority_max), SCMP_SYS(sched_get_priority_min), SCMP_SYS(getcpu),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigsuspend),
	SCMP_SYS(sigaltstack), SCMP_SYS(signalfd4), SCMP_SYS(restart_syscall), SCMP_SYS(pause),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(times), SCMP_SYS(alarm), SCMP_SYS(setitimer), SCMP_SYS(getitimer),
	SCMP_SYS(timer_create), SCMP_SYS(timer_settime), SCMP_SYS(timer_gettime),
	SCMP_SYS(timer_getoverrun), SCMP_SYS(timer_delete), SCMP_SYS(getpid), SCMP_SYS(getppid),
	SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(getgroups), SCMP_SYS(getpgrp), SCMP_SYS(getrusage), SCMP_SYS(getrlimit),
	SCMP_SYS(getpriority), SCMP_SYS(getrandom), SCMP_SYS(uname), SCMP_SYS(sysinfo),
	SCMP_SYS(umask)};

static const int calls_of_network[] = {SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg),
	SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(setsockopt),
	SCMP_SYS(getsockopt), SCMP_SYS(socketpair), SCMP_SYS(sendfile), SCMP_SYS(splice)};

static const int calls_of_writing[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(creat),
	SCMP_SYS(truncate), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fsync),
	SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range), SCMP_SYS(msync), SCMP_SYS(flock),
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink),
	SCMP_SYS(unlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(link),
	SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(chmod), SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat), SCMP_SYS(utimensat), SCMP_SYS(copy_file_range), SCMP_SYS(chdir),
	SCMP_SYS(fchdir)};

/* What no program of a stage has to do with, whatever it is written in. */
static const int calls_of_nobody[] = {SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd), SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(mount),
	SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(setns),
	SCMP_SYS(unshare), SCMP_SYS(open_by_handle_at), SCMP_SYS(keyctl), SCMP_SYS(add_key),
	SCMP_SYS(request_key), SCMP_SYS(kexec_load), SCMP_SYS(init_module), SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff),
	SCMP_SYS(acct), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname)};

/* With the id of a process first. */
static const int calls_on_processes[] = {SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(tgkill),
	SCMP_SYS(pidfd_open), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo)};

struct rules {
	scmp_filter_ctx filter;
	int result; /* the first error */
};

static void allow_all(struct rules *r, const int *calls, size_t n)
{
	for (size_t i = 0; i < n && r->result == 0; i++)
		r->result = seccomp_rule_add(r->filter, SCMP_ACT_ALLOW, calls[i], 0);
}

static void answer(struct rules *r, int call, uint32_t action, struct scmp_arg_cmp when)
{
	if (r->result == 0)
		r->result = seccomp_rule_add(r->filter, action, call, 1, when);
}

static void answer_always(struct rules *r, int call, uint32_t action)
{
	if (r->result == 0)
		r->result = seccomp_rule_add(r->filter, action, call, 0);
}

/* Opening for reading only; else EACCES, as where a folder does not allow more. */
static void allow_reading(struct rules *r, int call, unsigned flags_at)
{
	static const int changing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
	unsigned all = 0;

	for (size_t i = 0; i < ARRAY_LEN(changing); i++) {
		all |= (unsigned)changing[i];
		answer(r, call, SCMP_ACT_ERRNO(EACCES),
			SCMP_CMP(flags_at, SCMP_CMP_MASKED_EQ, (unsigned)changing[i],
				(unsigned)changing[i]));
	}
	answer(r, call, SCMP_ACT_ALLOW, SCMP_CMP(flags_at, SCMP_CMP_MASKED_EQ, all, 0));
}

static void allow_network(struct rules *r)
{
	static const unsigned families[] = {
		2 /* AF_INET */, 10 /* AF_INET6 */, 16 /* AF_NETLINK: getaddrinfo */};

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		answer(r, SCMP_SYS(socket), SCMP_ACT_ALLOW, SCMP_A0(SCMP_CMP_EQ, families[i]));
	answer(r, SCMP_SYS(socket), SCMP_ACT_ERRNO(EACCES), SCMP_A0(SCMP_CMP_EQ, 1 /* AF_UNIX */));
	allow_all(r, calls_of_network, ARRAY_LEN(calls_of_network));
}

/* Of calls that can do much, what concerns the process itself. */
static void allow_on_itself(struct rules *r)
{
	static const unsigned long ioctls[] = {TCGETS, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX};
	static const unsigned prctls[] = {
		PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, 0x53564d41 /* PR_SET_VMA */};
	scmp_datum_t pid = (scmp_datum_t)getpid();

	answer(r, SCMP_SYS(clone), SCMP_ACT_ALLOW,
		SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	answer_always(r, SCMP_SYS(clone3), SCMP_ACT_ERRNO(ENOSYS)); /* libc tries clone then */
	answer(r, SCMP_SYS(kill), SCMP_ACT_ALLOW, SCMP_A0(SCMP_CMP_EQ, pid));
	answer(r, SCMP_SYS(tgkill), SCMP_ACT_ALLOW, SCMP_A0(SCMP_CMP_EQ, pid));
	answer(r, SCMP_SYS(prlimit64), SCMP_ACT_ALLOW, SCMP_A0(SCMP_CMP_EQ, 0));
	answer(r, SCMP_SYS(prlimit64), SCMP_ACT_ALLOW, SCMP_A0(SCMP_CMP_EQ, pid));
	for (size_t i = 0; i < ARRAY_LEN(ioctls); i++)
		answer(r, SCMP_SYS(ioctl), SCMP_ACT_ALLOW, SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
	for (size_t i = 0; i < ARRAY_LEN(prctls); i++)
		answer(r, SCMP_SYS(prctl), SCMP_ACT_ALLOW, SCMP_A0(SCMP_CMP_EQ, prctls[i]));
}

static void fill(struct rules *r, const struct sandbox_policy *p)
{
	allow_all(r, calls_of_all, ARRAY_LEN(calls_of_all));
	allow_on_itself(r);
	if (p->network)
		allow_network(r);
	answer_always(r, SCMP_SYS(openat2), SCMP_ACT_ERRNO(ENOSYS));
	if (p->write.n) {
		allow_all(r, calls_of_writing, ARRAY_LEN(calls_of_writing));
		return;
	}
	allow_reading(r, SCMP_SYS(open), 1);
	allow_reading(r, SCMP_SYS(openat), 2);
}

/* Programs make calls of all kinds, so what may be called is not listed: EPERM for what would lead out of the sandbox,
 * and for signals to the daemon. Files are Landlock's matter. */
static void fill_for_programs(struct rules *r, const struct sandbox_policy *p)
{
	const uint32_t daemon[] = {(uint32_t)getppid(), (uint32_t)-getppid(), (uint32_t)-1};

	for (size_t i = 0; i < ARRAY_LEN(calls_of_nobody); i++)
		answer_always(r, calls_of_nobody[i], SCMP_ACT_ERRNO(EPERM));
	for (size_t i = 0; i < ARRAY_LEN(calls_on_processes); i++)
		for (size_t k = 0; k < ARRAY_LEN(daemon); k++)
			answer(r, calls_on_processes[i], SCMP_ACT_ERRNO(EPERM),
				SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, daemon[k]));
	if (p->network)
		answer(r, SCMP_SYS(socket), SCMP_ACT_ERRNO(EACCES),
			SCMP_A0(SCMP_CMP_EQ, 1 /* AF_UNIX */));
	else
		answer_always(r, SCMP_SYS(socket), SCMP_ACT_ERRNO(EACCES));
}

static int restrict_calls(const struct sandbox_policy *p, struct buf *lacks, struct err *e)
{
	struct rules r = {.filter = seccomp_init(p->programs ? SCMP_ACT_ALLOW : SCMP_ACT_TRAP)};

	if (!r.filter)
		return -ENOMEM;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
		seccomp_release(r.filter);
		note_lack(lacks, "the kernel has no seccomp: stages may make any system call");
		return 0;
	}
	seccomp_attr_set(r.filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list */
	if (p->programs)
		fill_for_programs(&r, p);
	else
		fill(&r, p);
	if (r.result == 0)
		r.result = seccomp_load(r.filter);
	seccomp_release(r.filter);
	return r.result < 0 ? err_set(e, r.result, "seccomp: %s", strerror(-r.result)) : 0;
}

int sandbox_enter(const struct sandbox_policy *policy, bool is_sanitized, struct buf *ret_lacks,
	struct err *e)
{
	int r;

	if (policy->is_off)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, -errno, "no_new_privs: %s", strerror(errno));
	if (is_sanitized)
		note_lack(ret_lacks, "memory has no limit in a sanitizer's build");
	r = restrict_files(policy, ret_lacks, e);
	if (r == 0)
		r = set_limits(policy, is_sanitized, e);
	if (r == 0)
		r = restrict_calls(policy, ret_lacks, e);
	return r;
}

char *sandbox_call_name(int number)
{
	return seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
}
