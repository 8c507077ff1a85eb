/* Copying a plugin's file: refuses what cannot be trusted, what is just being written and what is cut off, and
 * names the rest by its bytes.
 *
 * A shared object that is mapped from its file changes under whoever runs it when somebody copies another
 * version over it; and the dynamic linker takes an equal file for the same object. A copy per version is free
 * of both. */
#include "stage/plugin_file.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"

enum { FILE_MAX = 256 << 20, CHUNK = 64 << 10, WRITING_TRIES = 20, WRITING_WAIT_US = 10000 };

#define SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL)

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* --- trust --- */

static int check_trust(const struct stat *st, const char *path, struct err *e)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(e, -EPERM, "'%s' belongs to user %u, neither to root nor to us",
			path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(e, -EPERM, "'%s' can be written by others (chmod go-w)", path);
	return 0;
}

static int check_folder(const char *path, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	return check_trust(&st, path, e);
}

/* The file behind all links, the listed folder, and the folder that the file lies in. */
static int check_all(const struct stat *st, const char *folder, const char *path, struct err *e)
{
	char parent[PATH_MAX];
	char *slash;
	int r;

	if (!S_ISREG(st->st_mode))
		return err_set(e, -EINVAL, "'%s' is not a file", path);
	if (st->st_size > FILE_MAX)
		return err_set(e, -EINVAL, "'%s' is larger than %d MiB", path, FILE_MAX >> 20);
	r = check_trust(st, path, e);
	if (r == 0)
		r = check_folder(folder, e);
	if (r < 0)
		return r;
	snprintf(parent, sizeof parent, "%s", path);
	slash = strrchr(parent, '/');
	slash[slash == parent] = '\0';
	return check_folder(parent, e);
}

/* --- copying --- */

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

static int copy_bytes(int from, int to, struct digest *d, off_t *ret_size)
{
	_cleanup_(freep) char *chunk = malloc(CHUNK);
	ssize_t n;
	int r = 0;

	*ret_size = 0;
	if (!chunk)
		return -ENOMEM;
	while (r == 0 && (n = pread(from, chunk, CHUNK, *ret_size)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		digest_add(d, chunk, (size_t)n);
		r = write_all(to, chunk, (size_t)n);
		*ret_size += n;
	}
	return r;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Whether nobody wrote meanwhile: a mixture of two versions must not run. */
static bool is_unchanged(int fd, const struct stat *before, off_t copied)
{
	struct stat now;

	return fstat(fd, &now) == 0 && now.st_size == copied && before->st_size == copied &&
	       is_same_time(now.st_mtim, before->st_mtim) &&
	       is_same_time(now.st_ctim, before->st_ctim);
}

/* An object whose end is missing would be mapped beyond its end, and end the process there. */
static int check_whole(int fd, off_t size, struct err *e)
{
	uint64_t length = (uint64_t)size;
	ElfW(Ehdr) head;
	ElfW(Phdr) part;

	if (pread(fd, &head, sizeof head, 0) != sizeof head ||
		memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
		return 0; /* the dynamic linker says what is wrong with it */
	if (head.e_shoff > length || head.e_shoff + head.e_shnum * sizeof(ElfW(Shdr)) > length)
		return err_set(e, -EINVAL, "is cut off after %lld bytes", (long long)size);
	for (size_t i = 0; i < head.e_phnum; i++) {
		if (pread(fd, &part, sizeof part, (off_t)(head.e_phoff + i * sizeof part)) !=
				sizeof part ||
			part.p_offset > length || part.p_filesz > length - part.p_offset)
			return err_set(e, -EINVAL, "is cut off after %lld bytes", (long long)size);
	}
	return 0;
}

/* -EAGAIN: it was written meanwhile. */
static int copy_once(int from, const struct stat *st, struct plugin_file *ret, struct err *e)
{
	_cleanup_(closep) int to = memfd_create("stage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_(digest_fini) struct digest d = {0};
	uint8_t bytes[DIGEST_SIZE];
	char hex[DIGEST_TEXT_SIZE];
	off_t size;
	int r;

	if (to < 0)
		return err_set(e, -errno, "cannot be copied: %s", strerror(errno));
	if (digest_init(&d) < 0)
		return -ENOMEM;
	digest_start(&d);
	r = copy_bytes(from, to, &d, &size);
	if (r < 0)
		return err_set(e, r, "cannot be copied: %s", strerror(-r));
	if (!is_unchanged(from, st, size))
		return -EAGAIN;
	r = check_whole(to, size, e);
	if (r < 0)
		return r;
	if (fcntl(to, F_ADD_SEALS, SEALS) < 0)
		return err_set(e, -errno, "cannot be sealed: %s", strerror(errno));
	digest_finish(&d, bytes);
	digest_text(bytes, hex);
	memcpy(ret->digest, hex, PLUGIN_DIGEST_SIZE - 1);
	ret->digest[PLUGIN_DIGEST_SIZE - 1] = '\0';
	ret->fd = to;
	to = -1;
	return 0;
}

int plugin_file_copy(const char *folder, const char *path, struct plugin_file *ret, struct err *e)
{
	_cleanup_(closep) int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r = -EAGAIN;

	if (from < 0)
		return err_set(e, -errno, "'%s': %s", path, strerror(errno));
	for (int i = 0; r == -EAGAIN && i < WRITING_TRIES; i++) {
		if (i)
			usleep(WRITING_WAIT_US);
		if (fstat(from, &st) < 0)
			return err_set(e, -errno, "'%s': %s", path, strerror(errno));
		r = check_all(&st, folder, path, e);
		if (r < 0)
			return err_wrap(e, r, "is refused");
		r = copy_once(from, &st, ret, e);
	}
	return r == -EAGAIN ? err_set(e, -EBUSY, "'%s' is being written", path) : r;
}
