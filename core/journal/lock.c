/* The lock that keeps a second writer out of a journal. */
#include "journal/lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem.h"

enum { LOCK_MODE = 0600 };

int journal_lock(const char *path, int *ret_fd, struct err *e)
{
	_cleanup_(freep) char *name = NULL;
	int fd;

	if (asprintf(&name, "%s.lock", path) < 0) {
		name = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, LOCK_MODE);
	if (fd < 0)
		return err_set(e, -errno, "'%s': %s", name, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;

		close(fd);
		return err_set(e, r, "'%s': %s", path,
			r == -EBUSY ? "another process writes this journal" : strerror(-r));
	}
	*ret_fd = fd;
	return 0;
}
