/* New files of SQLite: there or not, never half. */
#include "journal/new_file.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

/* With what SQLite has beside it. */
static void remove_partial(const struct new_file *f)
{
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	char name[4096];

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s%s", f->partial, ends[i]);
		unlink(name);
	}
}

static int make(const struct new_file *f, struct err *e)
{
	int fd;

	if (access(f->path, F_OK) == 0)
		return err_set(e, -EEXIST, "'%s' is there already; a new file is needed", f->path);
	remove_partial(f); /* of an earlier one that died */
	fd = open(f->partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "'%s': %s", f->partial, strerror(errno));
	close(fd);
	return 0;
}

int new_file_begin(struct new_file *f, const char *path, struct err *e)
{
	int r;

	*f = (struct new_file){.path = strdup(path)};
	if (asprintf(&f->partial, "%s.partial", path) < 0)
		f->partial = NULL;
	if (!f->path || !f->partial)
		return err_set(e, -ENOMEM, "out of memory");
	r = make(f, e);
	if (r < 0)
		free(steal_ptr(f->partial)); /* nothing to remove */
	return r;
}

static int sync_path(const char *path, int flags, struct err *e)
{
	int fd = open(path, flags | O_CLOEXEC), r = 0;

	if (fd < 0 || fsync(fd) < 0)
		r = err_set(e, -errno, "'%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return r;
}

/* Replaces nothing. A file system such as NFS knows no rename that does not: there it has both names for a moment. */
static int give_name(const struct new_file *f)
{
	if (renameat2(AT_FDCWD, f->partial, AT_FDCWD, f->path, RENAME_NOREPLACE) == 0)
		return 0;
	return errno == EINVAL && link(f->partial, f->path) == 0 ? 0 : -errno;
}

int new_file_publish(struct new_file *f, struct err *e)
{
	_cleanup_(freep) char *folder = strdup(f->path);
	int r = folder ? sync_path(f->partial, O_RDONLY, e) : err_set(e, -ENOMEM, "out of memory");

	if (r < 0)
		return r;
	r = give_name(f);
	if (r < 0)
		return err_set(e, r, "'%s': %s", f->path, strerror(-r));
	return sync_path(dirname(folder), O_RDONLY | O_DIRECTORY, e);
}

void new_file_fini(struct new_file *f)
{
	if (f->partial)
		remove_partial(f); /* there is none when all went well */
	free(f->path);
	free(f->partial);
	*f = (struct new_file){0};
}
