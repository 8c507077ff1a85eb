/* Faults inside the real daemon, by LD_PRELOAD: its disk, its memory and its wall clock.
 *
 * FAULT_CONTROL names a file of the struct below, which tests/lib/faults.mjs writes at any time. Disk
 * operations count on files named journal.sqlite… alone. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum operation { ON_READ = 1, ON_WRITE = 2, ON_SYNC = 4, ON_TRUNCATE = 8 };

struct control {
	atomic_int operations; /* that count */
	atomic_int disk_countdown, disk_is_sticky, disk_errno, disk_hits;
	atomic_int memory_countdown, memory_hits;
	atomic_int wall_ahead_s;
};

static struct control off, *control = &off;

#define EXPORT __attribute__((visibility("default")))

__attribute__((constructor)) static void map_control(void)
{
	const char *path = getenv("FAULT_CONTROL");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		control = map;
}

/* --- the disk --- */

static int is_journal(int fd)
{
	char link[64], path[512];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n <= 0)
		return 0;
	path[n] = '\0';
	return strstr(path, "/journal.sqlite") != NULL;
}

static int disk_fails(int fd, enum operation op)
{
	int left;

	if (!(control->operations & op) || !is_journal(fd))
		return 0;
	left = atomic_fetch_sub(&control->disk_countdown, 1);
	if (left > 1 || (left < 1 && !control->disk_is_sticky))
		return 0;
	control->disk_hits++;
	errno = control->disk_errno;
	return 1;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

EXPORT ssize_t pread64(int fd, void *out, size_t n, off64_t at)
{
	if (disk_fails(fd, ON_READ))
		return -1;
	return REAL(ssize_t, "pread64", int, void *, size_t, off64_t)(fd, out, n, at);
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	if (disk_fails(fd, ON_WRITE))
		return -1;
	return REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(fd, bytes, n, at);
}

EXPORT int fdatasync(int fd)
{
	return disk_fails(fd, ON_SYNC) ? -1 : REAL(int, "fdatasync", int)(fd);
}

EXPORT int fsync(int fd)
{
	return disk_fails(fd, ON_SYNC) ? -1 : REAL(int, "fsync", int)(fd);
}

EXPORT int ftruncate64(int fd, off64_t size)
{
	return disk_fails(fd, ON_TRUNCATE) ? -1 : REAL(int, "ftruncate64", int, off64_t)(fd, size);
}

/* --- memory --- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

static int memory_fails(void)
{
	if (control->memory_countdown <= 0 || atomic_fetch_sub(&control->memory_countdown, 1) != 1)
		return 0;
	control->memory_hits++;
	errno = ENOMEM;
	return 1;
}

EXPORT void *malloc(size_t size)
{
	return memory_fails() ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t n, size_t size)
{
	return memory_fails() ? NULL : __libc_calloc(n, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	return memory_fails() ? NULL : __libc_realloc(p, size);
}

/* --- the wall clock --- */

EXPORT int clock_gettime(clockid_t id, struct timespec *ret)
{
	static _Atomic(void *) real;
	int r;

	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	r = ((int (*)(clockid_t, struct timespec *))real)(id, ret);
	if (r == 0 && id == CLOCK_REALTIME)
		ret->tv_sec += control->wall_ahead_s;
	return r;
}
